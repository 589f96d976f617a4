"""Measures of recorded calls: audio ground truth, distributions with intervals, the history of a call."""
