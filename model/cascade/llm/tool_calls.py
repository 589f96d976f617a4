"""Constrains the tool calls of a small model by a grammar, parses its output, and checks the arguments.

    tools ──Grammars──► a grammar: speech or valid calls
    text of the LLM ──ToolCallParser──► TextToken ...           the first character is not "{"
                                    └─► ToolCall ... final      {"name": "<tool>", "arguments": {...}}
    calls ──CallGate──► those that fit their schemas; the others are tried once more

A call is one JSON object; several follow each other on lines of their own. The grammar allows speech or valid calls
only, and decides by the first character. So a tool that is called exists, and its arguments fit what a grammar can say
of its schema; the rest of the schema is checked afterwards, as are the calls of endpoints, which know no grammar. The
result of a tool is followed by speech: a small model would call again, forever.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final, Generic, TypeVar

from vivavoce.model.cascade.llm import Prompt
from vivavoce.model.cascade.llm.schema_checker import TOO_COSTLY, SchemaChecker
from vivavoce.model.dialogue import Call, CallResult, TextToken, Tool, ToolCall
from vivavoce.model.errors import InvalidTool, ToolCallError
from vivavoce.model.tool_schemas import ToolSchema, checkable, read

MAX_CALLS: Final = 4
"""Calls in one reply; a small model in a loop would repeat itself until its tokens are used up."""

MAX_GRAMMAR: Final = 400_000
"""Characters of one grammar; where its tools have more to say, only their names are kept."""

MAX_KNOWN: Final = 256
"""Grammars that are remembered as compiled."""

SPEECH: Final = r"speech: /[^{<\s][^{<]*/"

T = TypeVar("T")

log = logging.getLogger(__name__)


def effective_choice(prompt: Prompt) -> str:
    """The prompt's `tool_choice`; with "auto", the result of a tool is followed by speech."""
    answered = bool(prompt.items) and isinstance(prompt.items[-1], CallResult)
    return "none" if answered and prompt.tool_choice == "auto" else prompt.tool_choice


class Grammars:
    """Makes grammars that are known to compile. llama.cpp ignores, without an error, one that does not, and one that
    takes all memory would end the process: `checker` compiles them first, elsewhere."""

    def __init__(self, checker: SchemaChecker) -> None:
        self._checker = checker
        self._schemas: _Known[ToolSchema] = _Known()  # by name and parameters
        self._compiled: _Known[str | None] = _Known()

    def of(self, tools: Sequence[Tool], choice: str) -> str | None:
        """An llguidance grammar (Lark syntax) for a reply under `choice`; None when all text is allowed.

        Raises `InvalidTool` for a tool whose parameters no call can fit."""
        if not tools:
            return None
        if choice == "none":  # the model would imitate earlier calls in the conversation
            return f"%llguidance {{}}\nstart: speech\n{SPEECH}"
        allowed = [tool for tool in tools if choice in ("auto", "required", tool.name)]
        schemas = [self._schema(tool) for tool in allowed]
        grammar = _grammar(allowed, schemas, choice)
        if len(grammar) <= MAX_GRAMMAR and not self._problem(grammar):
            return grammar
        *_, anything = schemas[0].looser()
        return _grammar(allowed, [anything] * len(allowed), choice)

    def _schema(self, tool: Tool) -> ToolSchema:
        def strictest() -> ToolSchema:
            try:
                schema = read(tool.parameters)
            except InvalidTool as error:
                where = f"parameters{error.path} {error}"
                raise InvalidTool(f"The tool '{tool.name}' cannot be used: {where}.") from error
            candidates = (schema, *schema.looser())
            compiling = (one for one in candidates if not self._problem(_grammar([tool], [one], "auto")))
            return next(compiling, candidates[-1])

        return self._schemas.get(json.dumps([tool.name, tool.parameters]), strictest)

    def _problem(self, grammar: str) -> str | None:
        """Why a grammar does not compile; "" where it does, None where that is not known (it is bounded)."""

        def compiled() -> str | None:
            problem = self._checker.compiles(grammar)
            if problem:
                log.info("grammar not compiled", extra={"reason": problem.partition("\n")[0][:100]})
            return problem

        return self._compiled.get(grammar, compiled)


class _Known(Generic[T]):
    """What was found out about texts, of which the newest `MAX_KNOWN` are remembered by their digests: they have up to
    400 kB. For several threads: each copy of the language model asks on its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[bytes, T] = {}

    def get(self, text: str, find_out: Callable[[], T]) -> T:
        """What is known of `text`. `find_out` may take seconds, in which others are not kept waiting."""
        key = sha256(text.encode("utf-8", "surrogatepass")).digest()
        with self._lock:
            if key in self._known:
                return self._known[key]
        found = find_out()
        with self._lock:
            while len(self._known) >= MAX_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[key] = found
        return found


def _grammar(tools: Sequence[Tool], schemas: Sequence[ToolSchema], choice: str) -> str:
    start = "speech | calls" if choice == "auto" else "calls"
    calls = f'call ("\\n" call){{0,{MAX_CALLS - 1}}}' if choice in ("auto", "required") else "call"
    lines = ["%llguidance {}", f"start: {start}", SPEECH, f"calls: {calls}"]
    lines.append("call: " + " | ".join(f"call{i}" for i in range(len(tools))))
    described = zip(tools, schemas, strict=True)
    lines += [f"call{i}: %json {json.dumps(_call(tool.name, schema))}" for i, (tool, schema) in enumerate(described)]
    return "\n".join(lines)


def _call(name: str, schema: ToolSchema) -> dict[str, Any]:
    call = {
        "type": "object",
        "properties": {"name": {"const": name}, "arguments": schema.root},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }
    return call | ({"$defs": schema.definitions} if schema.definitions else {})


@dataclass(frozen=True, slots=True)
class CheckedCall:
    """A whole call. `problem`: why it cannot be passed on; "" where it can."""

    call: ToolCall
    problem: str

    @property
    def error(self) -> str:
        """What users are told where the second try fails too."""
        return f"The language model called the function '{self.call.name}' in a way that does not fit: {self.problem}."


class CallGate:
    """Puts the pieces of an answer's calls together, and checks the calls."""

    def __init__(self, tools: Sequence[Tool], checker: SchemaChecker) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._checker = checker
        self._calls: dict[str, ToolCall] = {}

    def take(self, piece: ToolCall) -> None:
        """Takes the next piece of a call."""
        before = self._calls.get(piece.call_id)
        self._calls[piece.call_id] = replace(piece, arguments=(before.arguments if before else "") + piece.arguments)

    def checked(self) -> list[CheckedCall]:
        """The calls so far, in order. Blocks for some milliseconds. A call that was cut is not checked."""
        return [CheckedCall(call, self._problem(call) if call.final else "") for call in self._calls.values()]

    def _problem(self, call: ToolCall) -> str:
        tool = self._tools.get(call.name)
        if tool is None:
            return "there is no function of this name"
        try:
            arguments = json.loads(call.arguments)
        except (ValueError, RecursionError):
            return "the arguments are not JSON"
        if not isinstance(arguments, dict):
            return "the arguments are not a JSON object"
        try:
            read(tool.parameters)
        except InvalidTool:
            return ""  # an endpoint took it
        problem = self._checker.fits(checkable(tool.parameters), arguments)
        return "" if problem is None or problem == TOO_COSTLY else problem


def second_try(prompt: Prompt, failed: CheckedCall) -> Prompt:
    """The prompt that asks for a failed call once more, and for this call only."""
    call = failed.call
    try:
        arguments = call.arguments if isinstance(json.loads(call.arguments), dict) else "{}"
    except (ValueError, RecursionError):
        arguments = "{}"
    result = f"Error: {failed.problem}. Call the function again, with arguments that fit its schema."
    known = any(tool.name == call.name for tool in prompt.tools)
    items = (Call("", call.call_id, call.name, arguments), CallResult("", call.call_id, result))
    choice = call.name if known else prompt.tool_choice
    return replace(prompt, items=(*prompt.items, *items), tool_choice=choice)


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
