"""Text that anyone may send is read in linear time: twice as much of it takes about twice as long, never four times.

Regular expressions such as `\\s+(?=,)` are quadratic where nothing follows, and hold the event loop for seconds. The
CPU time of this thread counts, at its best of some tries; times too short to tell are no fault."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from harness.offers import BUNDLED, audio, data
from vivavoce.model.cascade.llm import Prompt
from vivavoce.model.cascade.llm.chatml import render
from vivavoce.model.cascade.tts.clauses import Clauses
from vivavoce.model.cascade.tts.english.spoken import speakable
from vivavoce.model.vision import questions
from vivavoce.realtime.admission.forwarded import client_address
from vivavoce.realtime.config.dial_rules import canonical
from vivavoce.realtime.config.errors import BadTarget
from vivavoce.realtime.tools.arithmetic import CannotCompute, compute
from vivavoce.realtime.transports.webrtc.sdp import OfferError
from vivavoce.realtime.transports.webrtc.sdp import read as read_offer
from vivavoce.realtime.turns import backchannel_words, phrases
from vivavoce.realtime.wire.parsing import parse

ATOMS = (
    " ", "\n", "\t", "a", "1", ".", ",", "-", "'", '"', "_", "(", "[", "{", "`", "*", "#", "|", "<", "&", "/", "@", ":",
    ";", "=", "+", "%", "$", "1 ", "a ", "1,", "a.", "a-", "a'", "- ", ", ", "1-", "1/", "x1", "http://", "www.a.",
    "a@a.",
    "<|", "](", "<!--", "\r\n", "\n ", " - at `", "é", "m=", "a=", "how many ", "is there a ",
    "the number of ", "what does ",
)  # fmt: skip
SIZES = {"the language model's answer": 500}
"""Characters, where a reader is slow though linear."""


def spoken(text: str) -> None:
    clauses = Clauses()
    for clause in [*clauses.push(text), *clauses.flush()]:
        speakable(clause.text)


def offered(text: str) -> None:
    for offer in (f"{BUNDLED}{audio()}{data()}a={text}\n", f"{BUNDLED}m=audio {text}\n", f"v=0\n{text}"):
        with suppress(OfferError):
            read_offer(offer)


def event(text: str) -> None:
    """Paths and values of errors are read from texts of the parser, which repeat the client's."""
    for field in ({"type": text}, {"type": "session.update", text: 1}, {"type": "response.cancel", "event_id": [text]}):
        parse(json.dumps(field))


def computed(text: str) -> None:
    with suppress(CannotCompute):
        compute(text)


def dialled(text: str) -> None:
    for target in (text, f"sip:{text}@{text}", f"tel:{text}"):
        with suppress(BadTarget):
            canonical(target)


READERS: dict[str, Callable[[str], object]] = {
    "SDP offers": offered,
    "client events": event,
    "a transcript": phrases.read,
    "speech over the assistant": backchannel_words.read,
    "a question about a picture": questions.parse,
    "an expression": computed,
    "headers of proxies": lambda text: client_address("10.0.0.1", text, f"for={text}", lambda address: True),
    "a number to be dialled": dialled,
    "the language model's answer": spoken,
    "a prompt": lambda text: render(Prompt(text, ())),
}


def seconds(reader: Callable[[str], object], text: str) -> float:
    best = float("inf")
    for _ in range(3):
        began = time.thread_time()
        reader(text)
        best = min(best, time.thread_time() - began)
        if best < 0.005:
            break
    return best


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_twice_the_text_takes_twice_the_time(name: str) -> None:
    reader, n = READERS[name], SIZES.get(name, 4000)
    slow = []
    for atom in ATOMS:
        for begins in ("", "1"):
            twice = seconds(reader, begins + atom * (2 * n // len(atom)))
            if twice < 0.02:
                continue
            once = seconds(reader, begins + atom * (n // len(atom)))
            slow += [f"{begins}{atom!r}: {once:.3f} s, {twice:.3f} s"] if twice > 3 * once else []
    assert slow == []
