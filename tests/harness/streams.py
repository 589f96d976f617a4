"""Providers of media streams: signed webhooks, and what a caller hears of what was sent.

Twilio's part is played by streamdouble, which keeps its own clock of what the caller hears; the others by a socket.
"""

from __future__ import annotations

import base64
import hmac
import re
from pathlib import Path
from urllib.parse import urlencode
from wave import open as open_wave

import numpy as np
from streamdouble.session import SessionResult

from harness.gateway import Running
from vivavoce.codecs import g711
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler

BASE = "https://voice.example.org"
TOKEN = "the auth token"


def signature(url: str, form: dict[str, str]) -> str:
    """As Twilio signs."""
    signed = url + "".join(f"{key}{form[key]}" for key in sorted(form))
    return base64.b64encode(hmac.digest(TOKEN.encode(), signed.encode(), "sha1")).decode()


async def ask(running: Running, path: str, form: dict[str, str]) -> str:
    """A webhook of Twilio's, signed: the answer."""
    headers = {
        "X-Twilio-Signature": signature(f"{BASE}{path}", form),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    answer = await running.http.post(path, content=urlencode(form), headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/xml")
    return answer.text


async def announce(running: Running, caller: str = "+14155550100") -> tuple[str, str]:
    """A call comes in at Twilio: the URL of our socket, and the path that says what comes afterwards."""
    twiml = await ask(running, "/phone/twilio", {"From": caller, "To": "+14155550199", "CallSid": ""})
    socket, then = re.search(r'url="wss://[^/]+([^"]+)"', twiml), re.search(rf"<Redirect>{BASE}([^<]+)<", twiml)
    assert socket is not None, twiml
    assert then is not None, twiml
    return running.url.replace("http", "ws", 1) + socket[1], then[1]


def earpiece(result: SessionResult) -> Samples:
    """What the caller heard, at `SAMPLE_RATE`, from the beginning of the stream on: each piece behind the one before,
    or when it came, and nothing of what was cleared."""
    length = max((event.at for event in result.events), default=0.0) - result.started_at + 60
    line = np.zeros(round(length * 8000), np.float32)
    taken, ends = 0, 0
    for event in result.events:
        now = round((event.at - result.started_at) * 8000)
        if event.kind == "media_received":
            size = event.detail["bytes"]
            begins = max(now, ends)
            ends = begins + size
            line[begins:ends] = g711.decode(result.audio_received[taken : taken + size], "mu")
            taken += size
        elif event.kind == "clear_received":
            line[now:] = 0
            ends = now
    return Resampler(8000, SAMPLE_RATE).push(line)


def write_wav(path: Path, samples: Samples, rate: int = 8000) -> Path:
    """16-bit mono."""
    with open_wave(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path
