"""What providers are told to do with a call: connect it to our socket; and when that is closed, dial or hang up.

TwiML, TeXML and Plivo's XML differ in a few attributes; Vonage and Exotel want JSON. A core."""

from __future__ import annotations

import json
from typing import Final
from xml.sax.saxutils import escape, quoteattr

XML: Final = "application/xml"
JSON: Final = "application/json"

AFTERWARDS: Final = ("twilio", "telnyx", "plivo")
"""Dialects that ask what comes next when the stream is over, so that a call can be transferred."""


def connect(dialect: str, socket: str, afterwards: str) -> tuple[str, str]:
    """The answer that connects a call to the WebSocket URL `socket`; `afterwards`: the URL that says what comes next
    ("" for nothing). Content type and body."""
    then = f"<Redirect>{escape(afterwards)}</Redirect>" if afterwards else ""
    match dialect:
        case "twilio":
            return _xml(f"<Connect><Stream url={quoteattr(socket)}/></Connect>{then}")
        case "telnyx":
            stream = f'<Stream url={quoteattr(socket)} bidirectionalMode="rtp" bidirectionalCodec="PCMU"/>'
            return _xml(f"<Connect>{stream}</Connect>{then}")
        case "plivo":
            how = 'bidirectional="true" keepCallAlive="true" contentType="audio/x-mulaw;rate=8000"'
            return _xml(f"<Stream {how}>{escape(socket)}</Stream>{then}")
        case "vonage":
            endpoint = {"type": "websocket", "uri": socket, "content-type": "audio/l16;rate=16000"}
            return JSON, json.dumps([{"action": "connect", "endpoint": [endpoint]}])
        case _:
            return JSON, json.dumps({"url": socket})


def afterwards(target: str) -> tuple[str, str]:
    """What comes when the stream is over: `target` is dialled, or the call ends."""
    return _xml(f"<Dial>{_dialled(target)}</Dial>" if target else "<Hangup/>")


def _dialled(target: str) -> str:
    name = "Sip" if target.lower().startswith(("sip:", "sips:")) else "Number"
    return f"<{name}>{escape(target.removeprefix('tel:'))}</{name}>"


def _xml(content: str) -> tuple[str, str]:
    return XML, f'<?xml version="1.0" encoding="UTF-8"?><Response>{content}</Response>'
