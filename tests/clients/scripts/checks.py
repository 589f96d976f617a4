"""What the clients' scripts share: the words and sounds of the checks, and one line of JSON for each of them.

Runs in each client's own environment, so it uses nothing but the standard library.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

RATE = 24_000
CHUNK = RATE // 10 * 2  # bytes of 0.1 s
PATIENCE = 45.0
"""Seconds a check may take."""

QUESTION = "What is the capital of France?"
LONG = "Write an essay about the history of Paris."
WEATHER = "How warm is it in Paris right now?"
INSTRUCTIONS = "You are a friendly assistant. Answer in one short sentence."
TALKATIVE = "You write essays of at least three hundred words."
TOOL_RESULT = "It is 21 degrees in Paris."
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "the name of the city"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {
    "type": "function",
    "name": "get_temperature",
    "description": "Tells how warm it is in a city right now.",
    "parameters": PARAMETERS,
}
PLAYED = 1.2
"""Seconds of the long answer that are heard before somebody cuts in."""

_options = argparse.ArgumentParser()
_options.add_argument("--url", required=True)
_options.add_argument("--sounds", type=Path, required=True)
_options.add_argument("--only", nargs="*", help="names of checks; without it all of them run")
_asked = _options.parse_args()

HTTP = f"{_asked.url}/v1"
WEBSOCKET = HTTP.replace("http", "ws", 1) + "/realtime"


def sound(name: str, pause: float = 1.0) -> bytes:
    """What the user says, with a pause after it."""
    return (_asked.sounds / f"{name}.pcm").read_bytes() + bytes(int(pause * RATE) * 2)


async def say(pcm: bytes, send: Callable[[bytes], Awaitable[None]]) -> None:
    """Speaks as a microphone does: a tenth of a second at a time, in real time."""
    begin = time.perf_counter()
    for start in range(0, len(pcm), CHUNK):
        await send(pcm[start : start + CHUNK])
        await asyncio.sleep(max(0.0, begin + (start / CHUNK + 1) * 0.1 - time.perf_counter()))


def encoded(pcm: bytes) -> str:
    return base64.b64encode(pcm).decode()


async def report(*checks: Callable[[], Awaitable[dict[str, Any]]]) -> None:
    """Runs the checks one after the other; each returns its facts."""
    for check in (check for check in checks if not _asked.only or check.__name__ in _asked.only):
        begin = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                facts = await check()
        except Exception:  # the border: a check that fails is reported, and the next one runs
            facts = {"failed": traceback.format_exc()}
        seconds = round(time.perf_counter() - begin, 1)
        print(json.dumps({"check": check.__name__, "seconds": seconds, **facts}), flush=True)
