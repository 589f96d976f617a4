"""The webhook `realtime.call.incoming`: what is sent when a telephone rings, and how it is signed; no I/O.

    a ringing call ──body──► JSON ──headers──► webhook-id, webhook-timestamp, webhook-signature

Whoever receives it can tell that it is ours and recent: the signature is an HMAC-SHA256 over id, time and body with a
secret that both sides know (Standard Webhooks). Each try has the same id and a time of its own, so that a call that is
told twice is answered once.
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
"""Of the call's headers that are passed on, and characters of each."""

SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization"})
"""They hold answers to passwords, and are nobody's business but the registrar's."""

TRIES: Final = 6

AGAIN: Final = frozenset({408, 425, 429})
"""Statuses below 500 after which it is worth asking again."""


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
    None: it has arrived, or another try would change nothing."""
    if arrived(status) or (300 <= status < 500 and status not in AGAIN) or tries >= TRIES:
        return None
    return float(0.25 * 2**tries)


def arrived(status: int) -> bool:
    """Whether the receiver has taken it."""
    return 200 <= status < 300
