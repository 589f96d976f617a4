"""Client secrets: short-lived keys that a server hands to its browsers, each with the settings of a session.

    POST /v1/realtime/client_secrets ──read──► Request ──issue──► ek_…       shown once, kept as a digest
    a connection that shows ek_…     ──find──► session config, or None: unknown, or expired

They live in memory: a restart forgets them. `now` is unix seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec

from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.session_config import Part

PREFIX: Final = "ek_"
"""What client programs know a client secret by."""

MAX_SECRETS: Final = 1000
PLAIN_LIFE: Final = 600  # seconds


class _ExpiresAfter(Part):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, msgspec.Meta(ge=10, le=7200)] = PLAIN_LIFE


class _Body(Part):
    expires_after: _ExpiresAfter | None = None
    session: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for: `config` is a session object as JSON values, not yet looked into."""

    seconds: int
    config: Mapping[str, Any]


def read(body: bytes) -> Request:
    """Reads the body of a request; an empty one asks for nothing special. Raises `Refused`."""
    try:
        asked = msgspec.json.decode(body or b"{}", type=_Body)
    except msgspec.ValidationError as error:
        raise wire.refusal(error) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refused("invalid_json", f"The body is not JSON: {error}") from error
    expires = asked.expires_after or _ExpiresAfter()
    return Request(expires.seconds, asked.session or {})


class SecretsFull(Exception):
    """No room for one more; the message may be shown."""


@dataclass(frozen=True, slots=True)
class _Kept:
    config: Mapping[str, Any]
    expires_at: int


class ClientSecrets:
    """The secrets of one process. `token` gives a new, unguessable string each time."""

    def __init__(self, token: Callable[[], str], max_kept: int = MAX_SECRETS) -> None:
        self._token = token
        self._max_kept = max_kept
        self._kept: dict[bytes, _Kept] = {}

    def issue(self, config: Mapping[str, Any], seconds: int, now: float) -> tuple[str, int]:
        """A new secret, and the unix second at which it expires. Raises `SecretsFull`."""
        self._kept = {digest: kept for digest, kept in self._kept.items() if kept.expires_at > now}
        if len(self._kept) >= self._max_kept:
            raise SecretsFull(f"{self._max_kept} client secrets are valid; wait until some have expired.")
        value = f"{PREFIX}{self._token()}"
        expires_at = int(now) + seconds
        self._kept[_digest(value)] = _Kept(config, expires_at)
        return value, expires_at

    def find(self, value: str, now: float) -> Mapping[str, Any] | None:
        """The session that a secret brings along; None for one that is unknown or has expired."""
        kept = self._kept.get(_digest(value))
        return kept.config if kept is not None and kept.expires_at > now else None


def _digest(value: str) -> bytes:
    """Looked up in place of the secret: how long that takes says nothing about the secret's own characters."""
    return hashlib.sha256(value.encode(errors="replace")).digest()
