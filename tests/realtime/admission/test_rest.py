"""realtime/admission/rest.py: damaged bodies, forms and messages are read or refused, and raise nothing else.

A seeded share; 100 000 of each were tried once."""

from __future__ import annotations

import asyncio
import copy
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import chain
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from harness.mutations import mutations
from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.admission.client_secrets import read_request
from vivavoce.realtime.admission.rest import read_offer
from vivavoce.realtime.wire.errors import Refused, WireError
from vivavoce.realtime.wire.parsing import parse

SESSION: dict[str, Any] = {
    "type": "realtime",
    "instructions": "Grüße \u2028",
    "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}, "turn_detection": {"type": "semantic_vad"}}},
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}],
    "max_output_tokens": "inf",
}
ITEM: dict[str, Any] = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
EVENTS: list[dict[str, Any]] = [
    {"type": "session.update", "session": SESSION, "event_id": "e1"},
    {"type": "input_audio_buffer.append", "audio": "AAAA"},
    {"type": "conversation.item.create", "item": ITEM, "previous_item_id": None},
    {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 1500},
    {"type": "response.create", "response": {"output_modalities": ["text"], "input": [ITEM], "metadata": {"a": "b"}}},
]
FORMS = [
    b'--XX\r\nContent-Disposition: form-data; name="sdp"\r\n\r\nv=0\r\n--XX\r\n'
    b'Content-Disposition: form-data; name="session"; filename="s.json"\r\nContent-Type: application/json\r\n\r\n'
    + json.dumps(SESSION).encode()
    + b"\r\n--XX--\r\n",
    b'--XX\r\nContent-Disposition: form-data; name="session"\r\n\r\n{}\r\n--XX--\r\n',
]
KINDS = [b"multipart/form-data; boundary=XX", b'multipart/form-data;charset=utf-8; boundary="XX"', b"application/sdp"]


ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1.5,
    10**30,
    "",
    "x",
    "\ud800",
    "\0" * 5,
    [],
    {},
    [[]],
    {"type": "x"},
    [None] * 3,
    "y" * 5000,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the values inside a value are."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*path, key)
        yield from _paths(inner, (*path, key))


def reshaped(values: Sequence[dict[str, Any]], count: int, seed: int) -> Iterator[bytes]:
    """JSON of `values` with parts left out, renamed, or taken from elsewhere."""
    dice = random.Random(seed)
    parts = [reduce(lambda inner, key: inner[key], path, value) for value in values for path in _paths(value)]
    for _ in range(count):
        value = copy.deepcopy(dice.choice(values))
        for _ in range(dice.randint(1, 2)):
            *way, key = dice.choice(list(_paths(value)) or [("type",)])
            place = reduce(lambda inner, step: inner[step], way, value)
            match dice.randrange(4):
                case 0 if isinstance(place, dict):
                    place[f"{key}s"] = place.pop(key, None)
                case 1 if key in place or isinstance(place, list):
                    del place[key]
                case 2:
                    place[key] = copy.deepcopy(dice.choice(parts))
                case _:
                    place[key] = copy.deepcopy(dice.choice(ODD))
        yield json.dumps(value).encode()


def fuzz_forms(count: int, seed: int) -> Counter[str]:
    """Bodies with their content types, in pieces."""
    seen = Counter[str]()

    async def main() -> None:
        kinds = mutations(KINDS, count, seed)
        for number, (body, damaged) in enumerate(zip(mutations(FORMS, count, seed), kinds, strict=True)):
            kind = damaged if number % 4 == 0 else KINDS[number % 2]
            pieces = [body[at : at + 50] for at in range(0, len(body), 50)] if number % 2 else [body]
            messages: list[Message] = [{"type": "http.request", "body": one, "more_body": True} for one in pieces]
            messages.append({"type": "http.disconnect"} if number % 50 == 0 else {"type": "http.request", "body": b""})

            async def receive(messages: list[Message] = messages) -> Message:
                return messages.pop(0)

            scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind)]}
            try:
                await read_offer(Request(scope, receive))
                seen["read"] += 1
            except Denied as denied:
                seen[str(denied.status)] += 1
            except ClientDisconnect:
                seen["left"] += 1

    asyncio.run(main())
    return seen


def fuzz_messages(count: int, seed: int) -> Counter[str]:
    """Client events."""
    seen = Counter[str]()
    damaged = mutations([json.dumps(event).encode() for event in EVENTS], count // 2, seed)
    for data in chain(damaged, reshaped(EVENTS, count - count // 2, seed)):
        for text in (data, data.decode(errors="replace")):
            seen["refused" if isinstance(parse(text), WireError) else "read"] += 1
    return seen


def fuzz_secrets(count: int, seed: int) -> Counter[str]:
    """Bodies of requests for client secrets."""
    seen = Counter[str]()
    body = {"session": SESSION, "expires_after": {"anchor": "created_at", "seconds": 60}}
    damaged = mutations([json.dumps(body).encode(), b"{}"], count // 2, seed)
    for data in chain(damaged, reshaped([body], count - count // 2, seed)):
        try:
            read_request(data)
            seen["read"] += 1
        except Refused:
            seen["refused"] += 1
    return seen


@pytest.mark.parametrize("fuzz", [fuzz_forms, fuzz_messages, fuzz_secrets])
def test_damaged_input_is_read_or_refused(fuzz: Callable[[int, int], Counter[str]]) -> None:
    seen = fuzz(500, 0)
    assert seen["read"] > 20
    assert sum(seen.values()) - seen["read"] > 100
