"""Scripted parts of the cascade."""

from __future__ import annotations

from vivavoce.model.cascade.llm import Deliver, Prompt, Stopped
from vivavoce.model.dialogue import TextToken


class Parrot:
    """An LLM, and its only slot, that repeats the newest message. `speculative`: replies may be begun speculatively."""

    vision = False

    def __init__(self, speculative: bool = False) -> None:
        self.speculative = speculative
        self.lateness = 0.0

    def fits(self, prompt: Prompt) -> bool:
        return True

    def open(self) -> Parrot:
        return self

    def prefill(self, prompt: Prompt, complete: bool = False) -> None:
        """Reads nothing ahead."""

    def generate(self, prompt: Prompt, max_tokens: int, deliver: Deliver) -> Parrot:
        deliver(TextToken(prompt.items[-1].text))  # type: ignore[union-attr]  # a message, here
        deliver(Stopped("stop"))
        return self

    def cancel(self) -> None:
        """Has generated all of its reply already."""

    def close(self) -> None:
        """Holds nothing."""
