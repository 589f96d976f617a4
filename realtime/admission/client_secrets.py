"""Client secrets: short-lived keys that an application hands to its browsers, each with the config of a session.

    POST /v1/realtime/client_secrets ──read_request──► SecretRequest ──issue──► ek_…    sent once, kept as a digest
    a connection with ek_…           ──find──► session config, or None: unknown, or expired

They live in memory: a restart forgets them. Each API key has a bound of its own, so that the holder of one does not use
up the room of the others. `now` is unix seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec

from vivavoce.realtime.admission.auth import SECRET_PREFIX, Denied
from vivavoce.realtime.session.rate_limit import WINDOW
from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire.session_config import Part

MAX_SECRETS: Final = 1000
MAX_BYTES: Final = 16 << 20
"""Of the session configs of one key's secrets. One body may have 256 KiB, a usual one has three."""

DEFAULT_LIFETIME: Final = 600  # seconds


class _ExpiresAfter(Part):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, msgspec.Meta(ge=10, le=7200)] = DEFAULT_LIFETIME


class _Body(Part):
    expires_after: _ExpiresAfter | None = None
    session: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class SecretRequest:
    """A request for a secret: `config` is a session object as JSON values, not yet checked."""

    seconds: int
    config: Mapping[str, Any]


def read_request(body: bytes) -> SecretRequest:
    """Reads the body of a request; an empty one requests the defaults. Raises `Refused`."""
    parsed = wire.read_json(body or b"{}", _Body)
    expires = parsed.expires_after or _ExpiresAfter()
    return SecretRequest(expires.seconds, parsed.session or {})


@dataclass(frozen=True, slots=True)
class _Secret:
    config: bytes  # JSON: a tenth of the room that the values take
    expires_at: int
    owner: str


class ClientSecrets:
    """The secrets of one process. `token` gives a new, unguessable string each time. `max_kept` and `max_bytes` (of
    session configs): valid at the same time, for one owner."""

    def __init__(self, token: Callable[[], str], max_kept: int = MAX_SECRETS, max_bytes: int = MAX_BYTES) -> None:
        self._token = token
        self._max_kept = max_kept
        self._max_bytes = max_bytes
        self._kept: dict[bytes, _Secret] = {}

    def issue(self, config: Mapping[str, Any], seconds: int, now: float, owner: str = "") -> tuple[str, int]:
        """A new secret for the holder of the key `owner`, and the unix second at which it expires. Raises `Denied` when
        too many are valid."""
        self._kept = {digest: secret for digest, secret in self._kept.items() if secret.expires_at > now}
        own = [len(secret.config) for secret in self._kept.values() if secret.owner == owner]
        kept = msgspec.json.encode(config)
        if len(own) >= self._max_kept or sum(own) + len(kept) > self._max_bytes:
            full = f"{len(own)} client secrets of this key are valid; wait until some have expired."
            raise Denied(429, "rate_limit_exceeded", full, retry_after=WINDOW)
        value = f"{SECRET_PREFIX}{self._token()}"
        expires_at = int(now) + seconds
        self._kept[_digest(value)] = _Secret(kept, expires_at, owner)
        return value, expires_at

    def find(self, value: str, now: float) -> Mapping[str, Any] | None:
        """The session config of a secret; None for one that is unknown or has expired."""
        secret = self._kept.get(_digest(value))
        if secret is None or secret.expires_at <= now:
            return None
        config: dict[str, Any] = msgspec.json.decode(secret.config)
        return config


def _digest(value: str) -> bytes:
    """The key of the look-up: its time says nothing about the characters of the secret."""
    return hashlib.sha256(value.encode(errors="replace")).digest()
