"""Constrains the tool calls of a small model by a grammar, and parses its output.

    text of the LLM ──ToolCallParser──► TextToken ...           the first character is not "{"
                                    └─► ToolCall ... final      {"name": "<tool>", "arguments": {...}}

A call is one JSON object; several follow each other on lines of their own. The grammar allows speech or valid calls
only, and decides by the first character. So a tool that is called exists, and its arguments fit its schema. (llama.cpp
ignores a schema that it cannot compile, without an error; the parser is where that shows.) The result of a tool is
followed by speech: a small model would call again, forever.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Final

from vivavoce.model.cascade.llm import Prompt
from vivavoce.model.dialogue import CallResult, TextToken, Tool, ToolCall
from vivavoce.model.errors import InvalidTool, ToolCallError

MAX_CALLS: Final = 4
"""Calls in one reply; a small model in a loop would repeat itself until its tokens are used up."""

SPEECH: Final = r"speech: /[^{<\s][^{<]*/"


SCHEMA_TYPES: Final = frozenset(("string", "number", "integer", "boolean", "object", "array", "null"))


def effective_choice(prompt: Prompt) -> str:
    """The prompt's `tool_choice`; with "auto", the result of a tool is followed by speech."""
    answered = bool(prompt.items) and isinstance(prompt.items[-1], CallResult)
    return "none" if answered and prompt.tool_choice == "auto" else prompt.tool_choice


def grammar(tools: Sequence[Tool], choice: str) -> str | None:
    """An llguidance grammar (Lark syntax) for a reply under `choice`; None when all text is allowed.

    Raises `InvalidTool` for a tool whose parameters are not a JSON schema."""
    if not tools:
        return None
    if choice == "none":  # the model would imitate earlier calls in the conversation
        return f"%llguidance {{}}\nstart: speech\n{SPEECH}"
    allowed = [tool for tool in tools if choice in ("auto", "required", tool.name)]
    start = "speech | calls" if choice == "auto" else "calls"
    calls = f'call ("\\n" call){{0,{MAX_CALLS - 1}}}' if choice in ("auto", "required") else "call"
    lines = ["%llguidance {}", f"start: {start}", SPEECH, f"calls: {calls}"]
    lines.append("call: " + " | ".join(f"call{i}" for i in range(len(allowed))))
    lines += [f"call{i}: %json {json.dumps(_schema(tool))}" for i, tool in enumerate(allowed)]
    return "\n".join(lines)


def _schema(tool: Tool) -> dict[str, Any]:
    _check(tool.parameters, tool.name)
    parameters = {"type": "object", "additionalProperties": False, **tool.parameters}
    return {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": parameters},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _check(schema: Any, name: str) -> None:
    """Raises `InvalidTool`. llama.cpp ignores a grammar that it cannot read, and any call would be possible."""
    if isinstance(schema, list):
        for part in schema:
            _check(part, name)
    if not isinstance(schema, dict):
        return
    kinds = schema.get("type")
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if isinstance(kind, str) and kind not in SCHEMA_TYPES:
            raise InvalidTool(f"The tool '{name}' cannot be used: '{kind}' is no type of a JSON schema.")
    for key, part in schema.items():
        if key not in ("const", "default", "enum", "examples"):  # values, not schemas
            _check(part, name)


class ToolCallParser:
    """Splits the text of a reply, piece by piece, into speech and tool calls. A call that is cut never becomes
    final."""

    def __init__(self, tools: Sequence[Tool], choice: str = "auto") -> None:
        self._names = frozenset(tool.name for tool in tools) if choice != "none" else frozenset()
        self._undecided = bool(self._names)
        self._call: _Call | None = None  # the call being read; None for speech

    def push(self, text: str) -> Iterator[TextToken | ToolCall]:
        """The reply's next piece. Raises `ToolCallError`."""
        if self._undecided:
            text = text.lstrip()
            if not text:
                return
            self._undecided = False
            self._call = _Call() if text[0] == "{" else None
        if self._call is None:
            yield TextToken(text)
            return
        arguments = ""
        for character in text:
            arguments += self._call.push(character, self._names)
            if self._call.complete:
                yield self._call.piece(arguments)
                self._call, arguments = _Call(), ""
        if arguments:
            yield self._call.piece(arguments)


class _Call:
    """One call object, character by character. The grammar fixes the order of the keys, so the name is known before the
    arguments begin.

        { "name": "timer", "arguments": { ... } }
        depth 1                         depth 2  depth 1 again: complete at 0
    """

    def __init__(self) -> None:
        self.complete = False
        self._head = ""  # all before the arguments
        self._depth = 0
        self._in_string = self._escaped = False
        self._id = f"call_{secrets.token_hex(10)}"
        self._name = ""

    def piece(self, arguments: str) -> ToolCall:
        return ToolCall(self._id, self._name, arguments, final=self.complete)

    def push(self, character: str, names: frozenset[str]) -> str:
        """Takes the next character; returns it where it is one of the arguments. Raises `ToolCallError` for a tool not
        in `names`."""
        before = self._depth
        self._count(character)
        if before <= 1 < self._depth and not self._name:
            self._name = self._tool_name(names)
        if self._name:
            self.complete = self._depth == 0
            return character if max(before, self._depth) > 1 else ""
        if before == 1 and self._depth == 0:
            raise ToolCallError("The language model called a function without arguments.")
        self._head += character
        return ""

    def _tool_name(self, names: frozenset[str]) -> str:
        head, _, colon = self._head.rpartition('"arguments"')
        try:
            name = str(json.loads(head.rstrip().removesuffix(",") + "}")["name"])
        except (ValueError, KeyError):
            name = ""
        if name not in names or colon.strip() != ":":
            raise ToolCallError("The language model called a function that does not exist; is the tool's schema valid?")
        return name

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
