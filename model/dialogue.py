"""The model contract: one conversation, heard and answered incrementally.

A `Dialogue` is one conversation with one model. Whatever stands behind it (the cascade of recogniser, language
model and voice; the native model), the call speaks to it only through this protocol:

    hear(frame) ──┐ while the user speaks                       ┌──► TextToken   words of the reply
    see(frame)  ──┤ freshest camera picture                     ├──► AudioToken  the same words, as sound
    read(item)  ──┼──► context ──► reply(spec) ─────────────────┼──► ToolCall
    turn(id)    ──┘ the open turn becomes an item               └──► Done
    anticipate(spec) ───► the answer may be begun before the turn is over, unheard
    classify_overlap(sound) ─► speech over the assistant: backchannel or interruption? Leaves no trace
                         ▲
    cut(heard) ──────────┘ context rolled back to what reached the user's ear

All methods but `classify_overlap`, `reply`, `transcripts` and `close` return at once; the work happens on the model's
own threads.
The protocol decides nothing about who may speak when: that is the call's business.
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


# --- context: what was said --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """Something said or written by one side. `pictures` belong to user messages only."""

    id: str
    role: Literal["system", "user", "assistant"]
    text: str
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call which the model made (or which the client put into the history). `arguments` is JSON text."""

    id: str
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class CallResult:
    """What the tool answered, as text."""

    id: str
    call_id: str
    output: str


Item = Message | Call | CallResult


# --- asking for a reply --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call; `parameters` is its JSON schema. `cue`: a pattern of what users say who want it
    (regular expression, any case). Small models call whatever they are shown, so they need not be shown the others."""

    name: str
    description: str
    parameters: dict[str, Any]
    cue: str = ""


@dataclass(frozen=True, slots=True)
class ReplySpec:
    """How one reply is to be made.

    `context` replaces the conversation for this reply (items, or ids of items of the conversation); None means the
    conversation as it stands. `tool_choice` is "auto", "none", "required" or the name of a tool in `tools`. `words` are
    said as they are, instead of an answer.
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


# --- what a reply is made of ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextToken:
    """A piece of the reply's text, in order; pieces concatenate to the whole."""

    text: str


@dataclass(frozen=True, slots=True)
class WordEnd:
    """The first `chars` characters of the reply's text have been said when `sample` samples of it were played."""

    chars: int
    sample: int


@dataclass(frozen=True, slots=True)
class AudioToken:
    """The next stretch of the reply's sound. `words` lists the word ends that fall into it, counted from the
    beginning of the reply."""

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
class Usage:
    """Tokens of one reply; `cached` counts input tokens whose work was reused."""

    input_text: int = 0
    input_audio: int = 0
    input_image: int = 0
    cached: int = 0
    output_text: int = 0
    output_audio: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """The reply is complete. `reason` "length" means that `max_tokens` cut it."""

    reason: Literal["stop", "length"]
    usage: Usage = field(default_factory=Usage)


ReplyToken = TextToken | AudioToken | ToolCall | Done


# --- what was heard, both ways -------------------------------------------------------------------------------------


def joined(first: str, second: str) -> str:
    """Two stretches of recognised text as one: with a space between them, but for scripts that use none."""
    spaceless = bool(second) and ("\u2e80" <= second[0] <= "\u9fff" or "\uff00" <= second[0] <= "\uffef")
    return f"{first}{'' if spaceless else ' '}{second}".strip()


@dataclass(frozen=True, slots=True)
class Transcript:
    """What the ears make of a turn so far: `stable` will not change any more, `tail` may. `error`: they failed, and the
    turn has no words; the message is fit to be shown to the user. `whole`: nothing has been said since the sound that
    this covers, so it may be all there is; `finished`: how likely it is, by the sound of it, where the ears know."""

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
    """What the ears make of sound over the assistant: words ("" for none), and how likely (0..1) it is that somebody
    wants to interrupt, by how it sounds; None when they cannot tell."""

    text: str
    interruption: float | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """How much of the reply `id` reached the user: `samples` of its sound, the first `chars` characters of its text."""

    id: str
    samples: int
    chars: int


class Dialogue(Protocol):
    """One conversation with one model. See the module's drawing."""

    def hear(self, samples: Samples, voiced: bool = True) -> None:
        """Adds sound to the open user turn; the first sound opens one. `voiced`: the VAD takes it for speech, so the
        model knows a pause when it begins."""

    def turn(self, item_id: str) -> None:
        """Closes the open turn: it becomes the conversation's newest item, called `item_id`."""

    def anticipate(self, spec: ReplySpec) -> None:
        """This will be asked for when the open turn ends (its `id` aside). The model may begin at any time, unheard and
        without a trace; `reply` with an equal spec takes up what was begun, if the turn turned out as expected."""

    def discard_turn(self) -> None:
        """Drops the open turn."""

    async def classify_overlap(self, samples: Samples) -> OverlapOpinion:
        """Listens to sound that is in no turn: the last second, at most, while the assistant speaks. Nothing of it is
        kept. Raises `DialogueError`."""

    def see(self, picture: Picture) -> None:
        """The freshest picture from the camera; replaces the one before."""

    def read(self, item: Item, after: str | None = None) -> None:
        """Puts `item` behind the item called `after` (None: at the end, "root": at the front)."""

    def forget(self, item_id: str) -> None:
        """Takes an item out of the context."""

    def cut(self, heard: Heard) -> None:
        """Rolls the context back: the reply `heard.id` ends where the user stopped hearing it."""

    def reply(self, spec: ReplySpec) -> AsyncGenerator[ReplyToken]:
        """Answers, as a stream that ends with `Done`. Closing the iterator cancels within one token. The reply joins
        the conversation under `spec.id` unless `spec.context` was given.

        Raises `DialogueError`."""

    def transcripts(self) -> AsyncIterator[Transcript]:
        """Transcripts of the user's turns, partial ones while they speak; ends when the dialogue closes. Each turn that
        was closed gets a final one, if only to say that the ears failed."""

    async def close(self) -> None:
        """Ends everything under way and gives back the slot."""
