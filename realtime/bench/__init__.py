"""The benchmark: virtual callers measure a server by the sound that they record. Nothing here runs in a call.

    measure/     figures of recorded calls: audio ground truth, distributions, history             (pure)
    caller/      one call: scenario, microphone, loudspeaker, connection with packet loss and jitter
    runs/        many calls: scenarios, load, soak, one long call, pacing jitter; the server, the instrument's own error
    report/      the figures as JSON, on the terminal, as a page; two reports compared
    turns/       endpointing, barge-in and self-echo on labelled sound, without calls, at virtual time
    scenarios/   conversations as TOML

A folder imports only folders above it. The exceptions are one tree:

    BenchError
    ├── CallError            caller/link.py
    │   ├── CallRefused      the server takes no call
    │   └── CallBroken       the connection failed, or ended before the call did
    ├── ServerFailed         runs/server.py: our own server did not start
    ├── ScenarioError        caller/scenario.py: a scenario that cannot be read
    └── ReportError          report/report.py: a file that is no report of this version
"""


class BenchError(Exception):
    """A measurement cannot be made or read; the message is for the user."""
