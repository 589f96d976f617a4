"""Errors of the settings, and of what they forbid. Each message may be shown.

ConfigError             a setting, variable or option cannot be used; names it and what was expected
└── BadTarget           a client names a target that cannot be used, or that the settings forbid
    ├── BadAddress      no web address, or one in a private network
    └── NotAllowed      no number or SIP address, or one that may not be dialled
"""

from __future__ import annotations


class ConfigError(Exception):
    """A setting that cannot be used."""


class BadTarget(ConfigError):
    """A target that cannot be used, or that the settings forbid."""


class BadAddress(BadTarget):
    """A URL or network address that must not be connected to."""


class NotAllowed(BadTarget):
    """A number or SIP address that must not be dialled; the message does not repeat it."""
