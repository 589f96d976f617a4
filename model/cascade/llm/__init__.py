"""The language model of the cascade: a conversation in, words out, one token at a time.

    Prompt ──► Thread.prefill   the KV cache gets the beginning of the prompt while the user is still speaking
           └─► Thread.generate ──► deliver(Piece) ... deliver(Stopped), from the model's own thread
                                    └─ Generation.cancel(): ends within one token

Two implementations: `llama.py` runs a GGUF file in process, `endpoint.py` asks any OpenAI-compatible server. A `Thread`
is one conversation's slot; it belongs to one dialogue and works on one generation at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from vivavoce.model.dialogue import Item, Picture, Tool, Usage


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model answers. `tool_choice` as in `dialogue.ReplySpec`; pictures count only where `Llm.vision` is
    true."""

    instructions: str
    items: tuple[Item, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    view: Picture | None = None  # what the camera sees now


@dataclass(frozen=True, slots=True)
class Words:
    """The next words of the reply."""

    text: str


@dataclass(frozen=True, slots=True)
class Calls:
    """The next piece of a tool call; see `dialogue.ToolCall`."""

    call_id: str
    name: str
    arguments: str
    final: bool


@dataclass(frozen=True, slots=True)
class Stopped:
    """The generation has ended, for good. With `error` it failed, and the message may be shown to the user."""

    reason: Literal["stop", "length", "cancelled", "error"]
    usage: Usage = field(default_factory=Usage)
    error: str = ""


Piece = Words | Calls | Stopped
Deliver = Callable[[Piece], None]
"""Takes pieces on the model's thread; must be quick and thread-safe. `Stopped` comes exactly once, last."""


class Generation(Protocol):
    """A reply being generated."""

    def cancel(self) -> None:
        """Ends it within one token; `Stopped` follows. May be called from any thread, and more than once."""


class Thread(Protocol):
    """One conversation's place in the model."""

    def prefill(self, prompt: Prompt, complete: bool = False) -> None:
        """Gets a head start on a prompt. Its last message may still be growing; `complete`: it will probably be
        answered as it stands. Returns at once; of several asked for in a row, only the newest is worked on."""

    def generate(self, prompt: Prompt, max_tokens: int, deliver: Deliver) -> Generation:
        """Begins a reply; earlier work of this thread is finished or cancelled first."""

    def close(self) -> None:
        """Cancels what is under way and gives the place back; blocks until that has happened (a token, or a
        prefill)."""


class Llm(Protocol):
    """A loaded language model."""

    vision: bool
    """Whether pictures in the prompt are looked at."""

    speculative: bool
    """Whether answers may be begun that will perhaps not be wanted: not where somebody is paid by the token."""

    @property
    def lateness(self) -> float:
        """Seconds by which first words have been late at worst in the last ten, where conversations wait for each
        other here."""

    def open(self) -> Thread:
        """A place for one more conversation. Raises `DialogueError` when there is none."""

    def close(self) -> None:
        """Ends all threads and frees the model."""
