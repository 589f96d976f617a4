"""Admission of requests: authentication, client secrets, rate limits, call slots, and error bodies.

`Denied` (auth.py) is the one exception of the package: every refusal is one, fit to be the answer to the request.
"""
