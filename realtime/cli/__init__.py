"""The commands of the command line, one module each: `run(config, ...) -> exit code`.

CommandError          the command ends; `__main__` prints the message, `code` is the exit code
├── WrongUsage        2: an argument or a file that was given cannot be used
└── CommandFailed     1: the work failed

Beside it, `__main__` prints `ConfigError` (2) and `ModelError` (1): their messages can be shown as they are.
"""

from __future__ import annotations

from pathlib import Path


class CommandError(Exception):
    """Root of the tree."""

    code = 1


class WrongUsage(CommandError):
    """An argument or a file that was given cannot be used; the message names it."""

    code = 2


class CommandFailed(CommandError):
    """The work failed; the message says why."""


def not_written(path: Path | None, error: OSError) -> CommandFailed:
    """The error for a file or folder that cannot be written."""
    return CommandFailed(f"{error.filename or path} cannot be written: {error.strerror}.")
