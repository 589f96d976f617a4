"""Runs of many calls: scenarios, load, soak, one long call, pacing jitter; and the server and the instrument they
need."""
