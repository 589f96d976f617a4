"""The commands of the command line, one module each: `run(config, ...) -> exit code`."""


class Unusable(Exception):
    """What was asked for does not work here; the message says why, and may be shown."""
