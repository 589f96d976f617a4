"""Parts of the cascade that are scripted."""

from __future__ import annotations

from vivavoce.model.cascade.llm import Deliver, Prompt, Stopped, Words


class Parrot:
    """A language model, and its only thread, that says what it was told last. `speculative`: it may be asked ahead."""

    vision = False

    def __init__(self, speculative: bool = False) -> None:
        self.speculative = speculative
        self.lateness = 0.0

    def open(self) -> Parrot:
        return self

    def prefill(self, prompt: Prompt, complete: bool = False) -> None:
        """It needs no head start."""

    def generate(self, prompt: Prompt, max_tokens: int, deliver: Deliver) -> Parrot:
        deliver(Words(prompt.items[-1].text))  # type: ignore[union-attr]  # a message, here
        deliver(Stopped("stop"))
        return self

    def cancel(self) -> None:
        """It has said all it will."""

    def close(self) -> None:
        """There is nothing to free."""
