"""Defines the contract of an LLM: a conversation in, text and tool calls out, one token at a time.

    Prompt ──► LlmSlot.prefill    the KV cache takes the beginning of the prompt while the user is still speaking
           └─► LlmSlot.generate ──► deliver(Piece) ... deliver(Stopped), on the LLM's own thread
                                     └─ Generation.cancel(): ends within one token, or one piece of the prompt

Two implementations: `llama_cpp` runs a GGUF file in process, `openai_endpoint` calls any OpenAI-compatible server. A
slot belongs to one dialogue and works on one generation at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from vivavoce.model.dialogue import Item, Picture, TextToken, Tool, ToolCall, Usage, Working

CONTEXT_FULL: Final = "The conversation no longer fits into the language model."

SIGN_OF_LIFE: Final = 1.0
"""Seconds between two `Working`, while no words come."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The conversation to continue. `tool_choice` as in `dialogue.ReplySpec`; pictures count only where `Llm.vision` is
    true. `view`: the newest camera picture."""

    instructions: str
    items: tuple[Item, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    view: Picture | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """The generation has ended. With `error` it failed, and the message can be shown to the user; `again`: the same
    request may succeed."""

    reason: Literal["stop", "length", "cancelled", "error"]
    usage: Usage = field(default_factory=Usage)
    error: str = ""
    again: bool = True


Piece = TextToken | ToolCall | Working | Stopped
Deliver = Callable[[Piece], None]
"""Takes pieces on the LLM's thread; must be quick and thread-safe. `Stopped` comes exactly once, last."""


class Generation(Protocol):
    """A reply being generated."""

    def cancel(self) -> None:
        """Ends it within one token, or one piece of the prompt; `Stopped` follows. May be called from any thread, and
        more than once."""


class LlmSlot(Protocol):
    """The place of one conversation in an LLM."""

    def prefill(self, prompt: Prompt, complete: bool = False) -> None:
        """Reads a prompt ahead of its reply. Its last message may still be growing; `complete`: it will probably be
        answered as it is. Returns at once; of several prompts in a row, only the newest is read, and the reading of an
        older one is given up: what they have in common is not read again."""

    def generate(self, prompt: Prompt, max_tokens: int, deliver: Deliver) -> Generation:
        """Begins a reply; earlier work of this slot is finished or cancelled first."""

    def close(self) -> None:
        """Cancels work under way and releases the slot. Returns at once; the work ends behind it, within a token or a
        piece of a prompt."""


class Llm(Protocol):
    """A loaded large language model."""

    vision: bool
    """Whether it sees the pictures of a prompt."""

    speculative: bool
    """Whether replies may be begun that are perhaps dropped: not where tokens are paid for."""

    @property
    def lateness(self) -> float:
        """Seconds by which first tokens were late at worst in the last ten, where conversations wait for each other."""

    def fits(self, prompt: Prompt) -> bool:
        """Whether instructions and tools of `prompt` leave room for a conversation; True where that is not known.
        Returns within some milliseconds."""

    def open(self) -> LlmSlot:
        """A slot for one more conversation. Raises `DialogueError` when all are taken."""

    def close(self) -> None:
        """Ends all threads and frees the model."""
