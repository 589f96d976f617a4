"""Who may talk to the server: keys, client secrets, web origins, hosts. Pure decisions over request headers.

Without keys the server listens on loopback only, and there any web page that the user visits could reach it too. So a
browser's request must come from our own page (or an origin that was allowed), and must name a loopback host (against
DNS rebinding).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from vivavoce.realtime.admission.client_secrets import PREFIX
from vivavoce.realtime.config import ServerConfig, is_loopback

KEY_PROTOCOL: Final = "openai-insecure-api-key."
"""Browsers cannot set headers on a WebSocket: the key comes as a subprotocol."""


Find = Callable[[str], Mapping[str, Any] | None]
"""The session that a client secret brings along; None for one that is not valid."""


class Denied(Exception):
    """The request is refused: HTTP `status`, and `code` and `param` of the error body. `retry_after`: seconds."""

    def __init__(
        self, status: int, code: str, message: str, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.param = param
        self.status = status
        self.code = code
        self.retry_after = retry_after


def check(config: ServerConfig, headers: Mapping[str, str], subprotocols: Iterable[str] = ()) -> None:
    """Raises `Denied` unless the request may use the whole API. `headers` with lower-case names."""
    _check_origin(config, headers)
    _check_host(config, headers)
    if config.keys:
        _check_key(config, _key(headers, subprotocols))


def check_session(
    config: ServerConfig, headers: Mapping[str, str], find: Find, subprotocols: Iterable[str] = ()
) -> Mapping[str, Any] | None:
    """Raises `Denied` unless the request may open a session, with an API key or a client secret. Returns the session
    which the secret brings along."""
    _check_origin(config, headers)
    _check_host(config, headers)
    key = _key(headers, subprotocols)
    if key.startswith(PREFIX):
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
        return  # no browser, or one that was allowed
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
