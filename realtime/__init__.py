"""The call: gateway, turn-taking, protocol, transports. `pipeline.py` is the place to start reading."""
