"""Measures from recorded sound: delays by audio truth, distributions with intervals, the history of a call."""
