"""Defines the contract of a model: one conversation, taken in and answered incrementally.

A `Dialogue` is one conversation with one model: the cascade of ASR, LLM and TTS, or a native speech model. The call
uses it through this protocol only:

    hear(frame) ──┐ while the user speaks                       ┌──► TextToken   text of the reply
    see(frame)  ──┤ newest camera picture                       ├──► AudioToken  the same text, as sound
    read(item)  ──┼──► context ──► reply(spec) ─────────────────┼──► ToolCall
    turn(id)    ──┘ the open turn becomes an item               └──► Done
    anticipate(spec) ───► the reply may be begun speculatively, before the turn is over
    classify_overlap(sound) ─► speech over the assistant: backchannel or interruption? Leaves no trace
                         ▲
    cut(heard) ──────────┘ context rolled back to the words that the user heard

All methods but `classify_overlap`, `reply`, `transcripts` and `close` return at once; the work happens on the model's
own threads. Turn-taking is not decided here: that is the call's job.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import Samples


@dataclass(frozen=True, slots=True)
class Picture:
    """One camera frame or attached image: RGB, shape (height, width, 3), uint8."""

    pixels: NDArray[np.uint8]
    at: float  # seconds on the call's clock at which it was taken


# --- context: items of the conversation --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """A message of one side, spoken or written. Only user messages have `pictures`."""

    id: str
    role: Literal["system", "user", "assistant"]
    text: str
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that the model made, or that the client put into the history. `arguments` is JSON text."""

    id: str
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class CallResult:
    """The result of a tool call, as text."""

    id: str
    call_id: str
    output: str


Item = Message | Call | CallResult


# --- the request for a reply ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; `parameters` is its JSON schema. `cue`: a regular expression (any case) that
    matches what users say who want it. A small model calls any tool that it is offered, so it is offered only those
    whose cue matches."""

    name: str
    description: str
    parameters: dict[str, Any]
    cue: str = ""


@dataclass(frozen=True, slots=True)
class ReplySpec:
    """Settings of one reply.

    `context` replaces the conversation for this reply (items, or ids of items of the conversation); None: the
    conversation as it is. `tool_choice` is "auto", "none", "required" or the name of a tool in `tools`. `words` are
    spoken as given, without the model.
    """

    id: str
    instructions: str = ""
    voice: str = ""
    speed: float = 1.0
    audio: bool = True
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    max_tokens: int | None = None
    context: tuple[Item | str, ...] | None = None
    words: str = ""


# --- tokens of a reply ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextToken:
    """A piece of the reply's text, in order; pieces concatenate to the whole."""

    text: str


@dataclass(frozen=True, slots=True)
class WordEnd:
    """The first `chars` characters of the reply's text have been spoken when `sample` samples of it were played."""

    chars: int
    sample: int


@dataclass(frozen=True, slots=True)
class AudioToken:
    """The next chunk of the reply's sound, 24 kHz. `words`: the word ends that fall into it, counted from the beginning
    of the reply."""

    samples: Samples
    words: tuple[WordEnd, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model calls a tool. `arguments` arrives in pieces; the last piece has `final=True`."""

    call_id: str
    name: str
    arguments: str
    final: bool


@dataclass(frozen=True, slots=True)
class Working:
    """A sign of life: the model reads a long prompt, or reasons, and has no words yet. Comes every few seconds while
    that lasts; nothing else follows from it."""


@dataclass(frozen=True, slots=True)
class DetectedThing:
    """A thing in a picture. `box`: left, top, right, bottom as shares (0..1) of the picture."""

    name: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Observation:
    """The reply uses what was seen in a picture, taken `at` seconds on the call's clock: a camera frame, or (not
    `camera`) a picture of a message. `report` says what was seen, in a sentence or two. Comes at most once, before the
    text."""

    at: float
    camera: bool
    report: str
    things: tuple[DetectedThing, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one reply; `cached`: input tokens read from the cache."""

    input_text: int = 0
    input_audio: int = 0
    input_image: int = 0
    cached: int = 0
    output_text: int = 0
    output_audio: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """The reply is complete. `reason` "length": `max_tokens` cut it."""

    reason: Literal["stop", "length"]
    usage: Usage = field(default_factory=Usage)


ReplyToken = TextToken | AudioToken | ToolCall | Working | Observation | Done


# --- recognized by the ASR, heard by the user -----------------------------------------------------------------------


def joined(first: str, second: str) -> str:
    """Joins two parts of recognized text: with a space between them, except in scripts without spaces."""
    spaceless = bool(second) and ("\u2e80" <= second[0] <= "\u9fff" or "\uff00" <= second[0] <= "\uffef")
    return f"{first}{'' if spaceless else ' '}{second}".strip()


@dataclass(frozen=True, slots=True)
class Transcript:
    """The ASR's text of a turn so far: `stable` will not change any more, `tail` may. `error`: the ASR failed, and the
    turn has no words; the message can be shown to the user. `whole`: the user has not spoken since the sound that this
    covers, so the text may be complete; `finished`: probability (0..1), by the sound, that the turn is over; None where
    the ASR gives none."""

    turn: str
    stable: str
    tail: str
    final: bool
    error: str = ""
    whole: bool = False
    finished: float | None = None

    @property
    def text(self) -> str:
        return joined(self.stable, self.tail)


@dataclass(frozen=True, slots=True)
class OverlapOpinion:
    """The ASR's opinion of sound over the assistant: words ("" for none), and the probability (0..1), by the sound, of
    an interruption; None where the ASR gives none."""

    text: str
    interruption: float | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """The part of the reply `id` that the user heard: `samples` of its sound, the first `chars` characters of its
    text."""

    id: str
    samples: int
    chars: int


class Dialogue(Protocol):
    """One conversation with one model. See the module's drawing."""

    def hear(self, samples: Samples, voiced: bool = True) -> None:
        """Adds sound (24 kHz) to the open user turn; the first sound opens one. `voiced`: the VAD finds speech in it,
        which tells the model when a pause begins."""

    def turn(self, item_id: str) -> None:
        """Closes the open turn: it becomes the conversation's newest item, with the id `item_id`."""

    def anticipate(self, spec: ReplySpec) -> None:
        """Announces the reply that will be requested next, as a rule when the open turn ends (its `id` may differ). The
        model may read its instructions, and begin it speculatively, at any time and without a trace; `reply` with an
        equal spec takes it up, if the turn ended as expected."""

    def discard_turn(self) -> None:
        """Drops the open turn."""

    async def classify_overlap(self, samples: Samples) -> OverlapOpinion:
        """Classifies sound that is in no turn: at most the last second, while the assistant speaks. Keeps none of it.
        Raises `DialogueError`."""

    def see(self, picture: Picture | None) -> None:
        """Takes the newest camera picture, which replaces the one before; None when the camera is off."""

    def read(self, item: Item, after: str | None = None) -> None:
        """Puts `item` behind the item with the id `after` (None: at the end, "root": at the front)."""

    def forget(self, item_id: str) -> None:
        """Removes an item from the context."""

    def cut(self, heard: Heard) -> None:
        """Rolls the context back: the reply `heard.id` ends where the user stopped hearing it."""

    def reply(self, spec: ReplySpec) -> AsyncGenerator[ReplyToken]:
        """Generates a reply, as a stream that ends with `Done`. Closing the iterator cancels within one token. The
        reply joins the conversation under `spec.id` unless `spec.context` was given.

        Raises `DialogueError`."""

    def transcripts(self) -> AsyncIterator[Transcript]:
        """Transcripts of the user's turns, partial ones while the user speaks; ends when the dialogue closes. Each
        closed turn gets a final one, even if the ASR failed."""

    async def close(self) -> None:
        """Gives up all work under way and releases the slot. Returns within a tenth of a second; work that cannot be
        interrupted at once ends behind it."""
