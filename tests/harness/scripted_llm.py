"""A language model whose answers are written down, behind an endpoint: for tests of all that is ours around a model.

with ScriptedLlm() as llm:
    serving(environment=llm.environment)          or Engine(CascadeSettings(language=llm.url), ...)
    llm.messages()                                the conversation as it reached the model

What a small model makes of a question changes with its weights, with the processor, and with a word that was recognized
a little differently. What reaches the model, and what becomes of its words, is for our code to answer.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from harness.chat_server import DONE, ChatServer, Step, event

CAPITAL: Final = "The capital of France is Paris."
FIVE: Final = "The answer is five, as far as I know."
"""To every question that the script does not know."""
STORY: Final = " ".join(
    f"This is sentence number {number} of a long story about the moon and the sea." for number in range(1, 31)
)
SCRIPT: Final = ((r"france", CAPITAL), (r"story|essay|moon|count", STORY))
"""The first pattern that is found in what the user said last."""
PACE: Final = 0.04
"""Seconds for each word, as a small model on two cores: a story is still being told while its beginning is heard."""
ASKS_FOR_TOOL: Final = r"how warm|temperature|weather"


class ScriptedLlm(ChatServer):
    """Calls the first tool that is offered, for Paris, when the weather is asked for, and reads out its result."""

    def __init__(self) -> None:
        super().__init__(answer=lambda body: (200, self.steps(body)))
        self.said: list[str] = []
        """All its answers so far."""

    @property
    def environment(self) -> dict[str, str]:
        """Settings of a server that uses it."""
        return {"VIVAVOCE_MODEL_LANGUAGE": self.url, "VIVAVOCE_MODEL_ENDPOINT_MODEL": "scripted"}

    def messages(self) -> list[tuple[str, str]]:
        """The conversation as the model got it last: (role, text), without the instructions."""
        return [(message["role"], _text(message)) for message in self.requests[-1].body["messages"][1:]]

    def steps(self, body: dict[str, Any]) -> list[Step]:
        last = body["messages"][-1]
        said = _text(last)
        tools = body.get("tools") or ()
        if tools and last["role"] == "user" and re.search(ASKS_FOR_TOOL, said, re.IGNORECASE):
            call = {"name": tools[0]["function"]["name"], "arguments": json.dumps({"city": "Paris"})}
            return [event({"tool_calls": [{"index": 0, "id": "call_1", "function": call}]}), *_end("tool_calls", 9)]
        words = said if last["role"] == "tool" else _answer(said)
        self.said.append(words)
        pieces = re.findall(r"\S+\s*", words)
        told = (step for piece in pieces for step in (event({"content": piece}), PACE))
        return [*told, *_end("stop", len(pieces))]


def _answer(said: str) -> str:
    return next((answer for pattern, answer in SCRIPT if re.search(pattern, said, re.IGNORECASE)), FIVE)


def _end(reason: str, tokens: int) -> list[Step]:
    return [event({}, reason), event({}, None, {"prompt_tokens": 20, "completion_tokens": tokens}), DONE]


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
