"""What came of a completion, from the events of llama.cpp's server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from vivavoce.model.cascade.llm import Stopped
from vivavoce.model.dialogue import Usage
from vivavoce.model.errors import ToolCallError

CONTEXT_FULL: Final = "The conversation no longer fits into the language model."
NO_ANSWER: Final = "The language model ended without an answer."


class Cancellable(Protocol):
    """The side of a generation that its thread sees."""

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants it any more."""


class Outcome:
    """Collects what llama.cpp's callback says; returning True from it stops the generation. `begins` is told once, at
    the first token, how many tokens of the prompt had to be read for it."""

    def __init__(self, generation: Cancellable, say: Callable[[str], None], begins: Callable[[int], None]) -> None:
        self._generation = generation
        self._say = say
        self._begins: Callable[[int], None] | None = begins
        self.stopped = Stopped("error", error=NO_ANSWER)

    def receive(self, message: Any) -> bool:
        """(An exception would be swallowed by the C++ side, so there must be none.)"""
        if self._generation.cancelled:
            self.stopped = Stopped("cancelled")
            return True
        try:
            for event in message if isinstance(message, list) else [message]:
                self._take(event)
        except ToolCallError as error:
            self.stopped = Stopped("error", error=str(error))
            return True
        return False

    def _take(self, event: Mapping[str, Any]) -> None:
        if error := event.get("error"):
            full = error.get("type") == "exceed_context_size_error"
            self.stopped = Stopped(
                "error", error=CONTEXT_FULL if full else f"The language model failed: {error.get('message')}"
            )
            return
        if self._begins is not None and (timings := event.get("timings")):
            self._begins(timings["prompt_n"])
            self._begins = None
        for choice in event.get("choices", ()):
            if choice.get("text"):
                self._say(choice["text"])
            if reason := choice.get("finish_reason"):
                self.stopped = Stopped("length" if reason == "length" else "stop")
        if usage := event.get("usage"):
            self.stopped = Stopped(self.stopped.reason, _usage(usage), self.stopped.error)


def _usage(counts: Mapping[str, Any]) -> Usage:
    return Usage(
        input_text=counts["prompt_tokens"],
        cached=counts.get("prompt_tokens_details", {}).get("cached_tokens", 0),
        output_text=counts["completion_tokens"],
    )
