"""Tool calls of a small model: a grammar that allows nothing but speech or valid calls, and the parser of what comes out.

A call is one JSON object, `{"name": "<tool>", "arguments": {...}}`; several follow each other on lines of their own. The grammar decides by the first
character: `{` begins calls, anything else is speech. So what a model calls always exists, and its arguments always fit the tool's schema.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Final

from vivavoce.model.cascade.language import Calls, Words
from vivavoce.model.dialogue import Tool

SPEECH: Final = r"speech: /[^{<\s][^{<]*/"


def grammar(tools: Sequence[Tool], choice: str) -> str | None:
    """An llguidance grammar (Lark syntax) for a reply under `choice`; None when everything is allowed."""
    if not tools or choice == "none":
        return None
    allowed = [tool for tool in tools if choice in ("auto", "required", tool.name)]
    start = "speech | calls" if choice == "auto" else "calls"
    calls = "call" if choice not in ("auto", "required") else 'call ("\\n" call)*'
    lines = ["%llguidance {}", f"start: {start}", SPEECH, f"calls: {calls}"]
    lines.append("call: " + " | ".join(f"call{i}" for i in range(len(allowed))))
    lines += [f"call{i}: %json {json.dumps(_schema(tool))}" for i, tool in enumerate(allowed)]
    return "\n".join(lines)


def _schema(tool: Tool) -> dict[str, Any]:
    parameters = {"type": "object", "additionalProperties": False, **tool.parameters}
    return {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": parameters},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


class CallParser:
    """Text of a reply, piece by piece, to words and tool calls. A call that is cut in the middle never becomes final."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._calling = False
        self._undecided = bool(tools)
        self._call = _Call()

    def push(self, text: str) -> Iterator[Words | Calls]:
        if self._undecided:
            text = text.lstrip()
            if not text:
                return
            self._undecided = False
            self._calling = text[0] == "{"
        if not self._calling:
            yield Words(text)
            return
        for character in text:
            yield from self._call.push(character)
            if self._call.complete:
                self._call = _Call()


class _Call:
    """One call object, character by character.

    The grammar fixes the order of the keys, so the name is known before the arguments begin."""

    def __init__(self) -> None:
        self.complete = False
        self._seen = ""
        self._depth = 0
        self._in_string = self._escaped = False
        self._in_arguments = False
        self._id = f"call_{secrets.token_hex(10)}"
        self._name = ""

    def push(self, character: str) -> Iterator[Calls]:
        before = self._depth
        self._count(character)
        if self._in_arguments:
            yield Calls(self._id, self._name, character, final=False)
            if before == 2 and self._depth == 1:
                self._in_arguments = False
        elif before == 1 and self._depth == 2:
            self._name = json.loads(self._seen[: self._seen.rindex('"arguments"')].rstrip().rstrip(",") + "}")["name"]
            self._in_arguments = True
            yield Calls(self._id, self._name, character, final=False)
        elif before == 1 and self._depth == 0:
            self.complete = True
            yield Calls(self._id, self._name, "", final=True)
        elif self._depth:
            self._seen += character

    def _count(self, character: str) -> None:
        if self._in_string:
            if self._escaped:
                self._escaped = False
            elif character == "\\":
                self._escaped = True
            elif character == '"':
                self._in_string = False
        elif character == '"':
            self._in_string = True
        elif character == "{":
            self._depth += 1
        elif character == "}":
            self._depth -= 1
