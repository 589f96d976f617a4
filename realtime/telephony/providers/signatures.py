"""Checks the providers' signatures of webhooks. Pure functions: True for a valid signature, False for any other.

Twilio   HMAC-SHA1 over URL and sorted form fields, by the account's auth token
Plivo    HMAC-SHA256 over URL, sorted fields and a nonce (version 3), by the auth token
Telnyx   Ed25519 over time and body, by Telnyx's key
Vonage   a JWT (HS256) that holds the body's SHA-256, by the signature secret
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FRESH: Final = 300.0
"""Seconds by which a signed time may differ from our clock."""

Fields = Sequence[tuple[str, str]]


def twilio(token: str, url: str, fields: Fields, signature: str) -> bool:
    """X-Twilio-Signature of a request to `url` with the form `fields`. Twilio signs with and without the port, and a
    stream's URL with and without a slash at its end."""
    return any(
        hmac.compare_digest(_hmac_sha1(token, f"{variant}{_joined(fields)}"), signature.encode())
        for variant in _variants(url)
    )


def plivo(token: str, method: str, url: str, fields: Fields, nonce: str, signatures: str) -> bool:
    """X-Plivo-Signature-V3 (one or more, separated by commas) and its nonce."""
    parts = urlsplit(url)
    base = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    query = parse_qsl(parts.query, keep_blank_values=True)
    if method == "GET":
        query, fields = [*query, *(pair for pair in fields if pair not in query)], ()
    arguments = "&".join(f"{key}={value}" for key, value in sorted(query))
    if arguments or fields:
        base += f"?{arguments}"
    if arguments and fields:
        base += "."
    signed = f"{base}{''.join(f'{key}{value}' for key, value in sorted(fields))}.{nonce}"
    expected = base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha256"))
    return any(hmac.compare_digest(expected, signature.strip().encode()) for signature in signatures.split(","))


def telnyx(public_key: str, body: bytes, timestamp: str, signature: str, now: float) -> bool:
    """telnyx-signature-ed25519 and telnyx-timestamp; `now` in unix seconds."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key))
        key.verify(base64.b64decode(signature), timestamp.encode() + b"|" + body)
        return abs(now - int(timestamp)) <= FRESH
    except (InvalidSignature, ValueError):  # binascii.Error is one
        return False


def vonage(secret: str, body: bytes, authorization: str, now: float) -> bool:
    """`Authorization: Bearer <JWT>`; `now` in unix seconds."""
    scheme, _, token = authorization.partition(" ")
    try:
        signed, _, signature = token.strip().rpartition(".")
        head, claims = (json.loads(_unpadded(part)) for part in signed.split("."))
        valid = hmac.compare_digest(hmac.digest(secret.encode(), signed.encode(), "sha256"), _unpadded(signature))
    except (ValueError, RecursionError):  # RecursionError: deep nesting
        return False
    if scheme.lower() != "bearer" or not valid or not isinstance(head, dict) or head.get("alg") != "HS256":
        return False
    return isinstance(claims, dict) and _are_valid(claims, body, now)


def _are_valid(claims: Mapping[str, Any], body: bytes, now: float) -> bool:
    issued, expires, digest = claims.get("iat"), claims.get("exp"), claims.get("payload_hash")
    if not isinstance(issued, int | float) or abs(now - issued) > FRESH:
        return False
    if isinstance(expires, int | float) and now > expires:
        return False
    if not body:
        return True
    return isinstance(digest, str) and hmac.compare_digest(hashlib.sha256(body).hexdigest().encode(), digest.encode())


def _hmac_sha1(token: str, signed: str) -> bytes:
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1"))


def _joined(fields: Fields) -> str:
    return "".join(f"{key}{value}" for key, value in sorted(set(fields)))


def _variants(url: str) -> Iterable[str]:
    """The URL with and without its port; for sockets, with and without a slash at its end."""
    parts = urlsplit(url)
    default_port = {"https": 443, "wss": 443, "http": 80, "ws": 80}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    for netloc in {parts.netloc, host, f"{host}:{parts.port or default_port}"}:
        variant = urlunsplit(parts._replace(netloc=netloc))
        yield variant
        if parts.scheme in ("ws", "wss"):
            yield f"{variant}/"


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
