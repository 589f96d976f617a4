"""Runs of many calls: the scenarios, load, a call of hours, a soak, and the punctuality of sound."""
