"""Authenticate requests by their headers: API keys, client secrets, web origins, hosts. Pure.

Without keys the server listens on loopback only, where any web page that the user visits could reach it too. So a
browser's request must come from our own page (or an allowed origin), and must name a loopback host (against DNS
rebinding).

    Exception
    └── Denied      the one exception of this package: an HTTP error with the protocol's error body
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from vivavoce.realtime.config import ServerConfig, is_loopback

SECRET_PREFIX: Final = "ek_"
"""Client programs know a client secret by this."""

KEY_PROTOCOL: Final = "openai-insecure-api-key."
"""Browsers cannot set headers on a WebSocket, so the key comes as a subprotocol."""


Find = Callable[[str], Mapping[str, Any] | None]
"""The session config of a client secret; None for an invalid one."""


class Denied(Exception):
    """The request is refused, with HTTP `status`, and `code` and `param` of the error body. `retry_after`: seconds."""

    def __init__(
        self, status: int, code: str, message: str, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.param = param
        self.status = status
        self.code = code
        self.retry_after = retry_after


def check(config: ServerConfig, headers: Mapping[str, str], subprotocols: Iterable[str] = ()) -> str:
    """Raises `Denied` unless the request may use the whole API. `headers` with lower-case names. Returns its API key;
    "" where none is needed."""
    _check_origin(config, headers)
    _check_host(config, headers)
    if not config.keys:
        return ""
    key = _key(headers, subprotocols)
    _check_key(config, key)
    return key


def check_session(
    config: ServerConfig, headers: Mapping[str, str], find: Find, subprotocols: Iterable[str] = ()
) -> Mapping[str, Any] | None:
    """Raises `Denied` unless the request may open a session, with an API key or a client secret. Returns the session
    config of the secret."""
    _check_origin(config, headers)
    _check_host(config, headers)
    key = _key(headers, subprotocols)
    if key.startswith(SECRET_PREFIX):
        session = find(key)
        if session is None:
            raise Denied(401, "invalid_api_key", "The client secret is not known here, or has expired.")
        return session
    if config.keys:
        _check_key(config, key)
    return None


def _check_host(config: ServerConfig, headers: Mapping[str, str]) -> None:
    if not config.keys and not is_loopback(_hostname(headers.get("host", ""))):
        raise Denied(403, "wrong_host", "Without keys the server answers to loopback names only, such as localhost.")


def _check_origin(config: ServerConfig, headers: Mapping[str, str]) -> None:
    origin = headers.get("origin")
    if origin is None or "*" in config.origins or origin in config.origins:
        return  # no browser, or an allowed origin
    if origin.partition("://")[2] != headers.get("host"):
        raise Denied(403, "wrong_origin", f"Pages from {origin} may not use this server; see 'server.origins'.")


def _check_key(config: ServerConfig, key: str) -> None:
    if not key:
        raise Denied(401, "missing_api_key", "An API key is needed: 'Authorization: Bearer <key>'.")
    if not any(hmac.compare_digest(key.encode(), known.encode()) for known in config.keys):
        raise Denied(401, "invalid_api_key", "The API key is not known here.")


def _key(headers: Mapping[str, str], subprotocols: Iterable[str]) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    for protocol in subprotocols:
        if protocol.startswith(KEY_PROTOCOL):
            return protocol.removeprefix(KEY_PROTOCOL)
    return ""


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # a bracket without its pair
        return ""
