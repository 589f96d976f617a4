"""Providers of media streams: signed webhooks, simulated calls, and the audio that the caller hears.

streamdouble simulates Twilio: it plays what it receives, returns marks, and drops its queue at a clear.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import re
from pathlib import Path
from urllib.parse import urlencode
from wave import open as open_wave

import numpy as np
from streamdouble.api import CallReport
from streamdouble.metrics import compute
from streamdouble.scenario import Scenario
from streamdouble.session import Session, SessionConfig, SessionResult

from harness.gateway import Running
from vivavoce.codecs import g711
from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.codecs.resample import Resampler

BASE = "https://voice.example.org"
TOKEN = "the auth token"


async def simulated_call(url: str, scenario: Scenario, config: SessionConfig | None = None) -> CallReport:
    """A call of Twilio's to our socket, on the clock of the event loop."""
    settings = config or SessionConfig(max_drain_s=15.0)
    result = await Session(url, scenario=scenario, config=settings, clock=asyncio.get_running_loop().time).run()
    return CallReport(result, compute(result))


def signature(url: str, form: dict[str, str]) -> str:
    """Twilio's signature."""
    signed = url + "".join(f"{key}{form[key]}" for key in sorted(form))
    return base64.b64encode(hmac.digest(TOKEN.encode(), signed.encode(), "sha1")).decode()


async def ask(running: Running, path: str, form: dict[str, str]) -> str:
    """The answer to a signed webhook of Twilio's."""
    headers = {
        "X-Twilio-Signature": signature(f"{BASE}{path}", form),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    answer = await running.http.post(path, content=urlencode(form), headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/xml")
    return answer.text


async def announce(running: Running, caller: str = "+14155550100") -> tuple[str, str]:
    """Twilio announces a call: the URL of our socket, and the path of the webhook that follows the stream."""
    twiml = await ask(running, "/phone/twilio", {"From": caller, "To": "+14155550199", "CallSid": ""})
    socket, next_url = re.search(r'url="wss://[^/]+([^"]+)"', twiml), re.search(rf"<Redirect>{BASE}([^<]+)<", twiml)
    assert socket is not None, twiml
    assert next_url is not None, twiml
    return running.url.replace("http", "ws", 1) + socket[1], next_url[1]


def earpiece(result: SessionResult) -> Samples:
    """The audio that the caller heard, at `SAMPLE_RATE`, since the stream began: each message after the one before, or
    when it arrived, and nothing of what was cleared."""
    length = max((event.at for event in result.events), default=0.0) - result.started_at + 60
    heard = np.zeros(round(length * 8000), np.float32)
    taken, ends = 0, 0
    for event in result.events:
        now = round((event.at - result.started_at) * 8000)
        if event.kind == "media_received":
            size = event.detail["bytes"]
            begins = max(now, ends)
            ends = begins + size
            heard[begins:ends] = g711.decode(result.audio_received[taken : taken + size], "mu")
            taken += size
        elif event.kind == "clear_received":
            heard[now:] = 0
            ends = now
    return Resampler(8000, SAMPLE_RATE).push(heard)


def write_wav(path: Path, samples: Samples, rate: int = 8000) -> Path:
    """16-bit mono."""
    with open_wave(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path
