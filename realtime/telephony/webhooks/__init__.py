"""The webhook `realtime.call.incoming`: its body, its signature, and when to try again; no I/O.

    a ringing call ──body──► JSON ──headers──► webhook-id, webhook-timestamp, webhook-signature

The signature is an HMAC-SHA256 over id, time and body with a secret that both sides know (Standard Webhooks): the
application can check origin and age. All tries have the same id, each its own time, so that an application can drop a
webhook that it received twice.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Final

from vivavoce.realtime.telephony import PhoneCall

MAX_HEADERS: Final = 64
MAX_VALUE: Final = 2048
"""Headers of the call that are passed on, and characters of each value."""

SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization"})
"""They hold digests of passwords, meant for the registrar only."""

TRIES: Final = 6

AGAIN: Final = frozenset({408, 425, 429})
"""Statuses below 500 after which another try may succeed."""


def body(event_id: str, call: PhoneCall, now: float) -> bytes:
    """The event, as JSON. `now` in unix seconds."""
    headers = [
        {"name": name, "value": value[:MAX_VALUE]} for name, value in call.headers if name.lower() not in SECRET_HEADERS
    ]
    event = {
        "id": event_id,
        "object": "event",
        "created_at": int(now),
        "type": "realtime.call.incoming",
        "data": {"call_id": call.id, "sip_headers": headers[:MAX_HEADERS]},
    }
    return json.dumps(event, separators=(",", ":")).encode()


def headers(key: bytes, event_id: str, body: bytes, now: float) -> dict[str, str]:
    """The headers of one try at `now` unix seconds."""
    signed = f"{event_id}.{int(now)}.".encode() + body
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": f"v1,{signature}",
    }


def pause(tries: int, status: int) -> float | None:
    """Seconds until the next try after `tries` of them, the last of which was answered with `status` (0: not at all);
    None: it was taken, or another try would change nothing."""
    if taken(status) or (300 <= status < 500 and status not in AGAIN) or tries >= TRIES:
        return None
    return float(0.25 * 2**tries)


def taken(status: int) -> bool:
    """Whether the application has taken the webhook."""
    return 200 <= status < 300
