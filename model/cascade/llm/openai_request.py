"""Writes the requests of OpenAI's chat completions, and learns what an endpoint does not take of them.

    Prompt ──request_of──► {"model": …, "messages": […], "max_tokens": …}
                               ▲
    Dialect ───────────────────┘ ◄──learn── the text of a refusal: "Use 'max_completion_tokens' instead."

A parameter that the endpoint refuses by name is replaced or left out, for all later requests of this process. Pictures
are sent as JPEG data URIs. Pure, but for the pictures' encoder.
"""

from __future__ import annotations

import base64
import io
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, assert_never

from vivavoce.model.cascade.llm import Prompt
from vivavoce.model.cascade.llm.endpoint_faults import leaves
from vivavoce.model.cascade.llm.thoughts import THOUGHT_TOKENS, Opened, Thoughts
from vivavoce.model.dialogue import Call, CallResult, Message, Picture

TEMPERATURE: Final = 0.4
"""Between the correctness of a small model and the liveliness of a large one."""

LIMITS: Final = ("max_tokens", "max_completion_tokens", "")
"""Names of the limit, in the order in which they are tried; "": no limit is sent, and the answer is cut here."""

OPTIONAL: Final = ("temperature", "stream_options", "stream", "tool_choice", "tools")
"""Parameters that can be left out. Without `stream` the answer comes whole."""

_REFUSAL: Final = re.compile(
    r"unsupported|not support|n't support|unknown|unrecogni[sz]ed|not permitted|not allowed|unexpected|extra input|"
    r"forbidden|deprecated|cannot find field|instead|only the default|requires|must be verified|(?:not a |in)valid",
    re.IGNORECASE,
)
_SIZE: Final = re.compile(r"context|too (?:large|long|many|high|big)|exceed|at most|less than|reduce", re.IGNORECASE)
_TOOLS: Final = r"(?:tools|tool[_ ](?:calls?|calling|use|choice))"
_SYSTEM_ROLE: Final = re.compile(r"messages\W*0\W*role")
_NO_SYSTEM: Final = re.compile(r"system (?:role|message|prompt)s? .{0,20}not|not support ['\"]?system", re.IGNORECASE)

log = logging.getLogger(__name__)


@dataclass
class Dialect:
    """How one endpoint and its model depart from the API. Shared by all conversations; it is only ever added to.

    `limit`: the name of the token limit. `left_out`: parameters that are refused. `system`: there are system messages.
    `thinks`: the model reasons, and the limit counts its thoughts. `opened`: whether its template opens them."""

    limit: str = LIMITS[0]
    left_out: frozenset[str] = frozenset()
    system: bool = True
    thinks: bool = False
    opened: Opened = Opened.UNKNOWN

    def learn(self, refusal: str, sent: Mapping[str, Any]) -> bool:
        """Takes the text of a refusal of the request `sent`. Returns whether the next request will be another one."""
        names, texts = _named(refusal)
        refused = {name for name in (*OPTIONAL, *LIMITS) if name in sent and _refuses(name, names, texts)}
        if {"tools", "tool_choice"} <= refused:
            refused.remove("tools")  # perhaps the choice alone is refused
        if sent.get("tool_choice", "auto") != "auto":
            refused.discard("tools")  # without them no call could come
        if self.limit in refused:
            self.limit = LIMITS[LIMITS.index(self.limit) + 1]
        self.left_out |= refused & {*OPTIONAL}
        if any(map(_NO_SYSTEM.search, texts)) or any(_SYSTEM_ROLE.fullmatch(name) for name in names):
            refused |= {"system"} if self.system else set()
            self.system = False
        if refused:
            log.warning("endpoint refuses parameters", extra={"refused": sorted(refused)})
        return bool(refused)

    def note(self, thoughts: Thoughts, thinks: bool, answered: bool) -> None:
        """Takes from an answer how the model thinks; `answered`: it has words, and is whole."""
        self.thinks |= thinks
        if thoughts.unopened:
            self.opened = Opened.YES
        elif answered:
            self.opened = Opened.UNKNOWN if self.opened is Opened.YES else Opened.NO


def _named(refusal: str) -> tuple[list[str], list[str]]:
    """The parameters that a refusal names in fields of its own, and its texts."""
    names: list[str] = []
    texts: list[str] = []
    for key, value in leaves(refusal):
        (names if key in ("param", "parameter", "loc", "field") else texts).append(value)
    return names, texts


def _refuses(name: str, names: list[str], texts: list[str]) -> bool:
    about = [text for text in texts if _REFUSAL.search(text)]
    if name in LIMITS and any(map(_SIZE.search, texts)):
        return False  # the number is refused, or the prompt is too long
    if any(re.split(r"[.\[]", given)[0] == name for given in names):
        return True
    words = _TOOLS if name == "tools" else name.replace("_", "[_ ]")
    return any(re.search(rf"(?<![\w.]){words}(?![\w.]*\w)", text, re.IGNORECASE) for text in about)


def request_of(
    prompt: Prompt, model: str, max_tokens: int, vision: bool, dialect: Dialect, extras: Mapping[str, Any]
) -> dict[str, Any]:
    """The body of a request for chat completions. `extras`: of calls in the conversation, by their id, what the
    endpoint wants back with them."""
    request: dict[str, Any] = {
        "model": model,
        "messages": _messages(prompt, vision, dialect.system, extras),
        dialect.limit: max_tokens + (THOUGHT_TOKENS if dialect.thinks else 0),
        "temperature": TEMPERATURE,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if prompt.tools and prompt.tool_choice != "none":
        request["tools"] = [
            _function(name=tool.name, description=tool.description, parameters=tool.parameters) for tool in prompt.tools
        ]
        named = prompt.tool_choice not in ("auto", "required")
        request["tool_choice"] = _function(name=prompt.tool_choice) if named else prompt.tool_choice
    without = dialect.left_out | {""}
    if "tools" in without:
        without |= {"tool_choice"}
    if "stream" in without:
        without |= {"stream_options"}
    return {name: value for name, value in request.items() if name not in without}


def _messages(prompt: Prompt, vision: bool, system: bool, extras: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "system" if system else "user", "content": prompt.instructions}]
    questions = [item for item in prompt.items if isinstance(item, Message) and item.role == "user"]
    for item in prompt.items:
        match item:
            case Message(role=role, text=text, pictures=pictures):
                newest = bool(questions) and item is questions[-1]
                view = (prompt.view,) if prompt.view is not None and newest else ()
                shown = [_picture(picture) for picture in (*pictures, *view)] if vision else []
                role = role if system or role != "system" else "user"
                messages.append({"role": role, "content": [*shown, {"type": "text", "text": text}] if shown else text})
            case Call(call_id=call_id, name=name, arguments=arguments):
                if "tool_calls" not in messages[-1]:  # calls made together are one message, followed by their results
                    messages.append({"role": "assistant", "content": None, "tool_calls": []})
                extra = {"extra_content": extras[call_id]} if call_id in extras else {}
                messages[-1]["tool_calls"].append({"id": call_id} | _function(name=name, arguments=arguments) | extra)
            case CallResult(call_id=call_id, output=output):
                messages.append({"role": "tool", "tool_call_id": call_id, "content": output})
            case _:
                assert_never(item)
    return messages if system else _alternating(messages)


def _alternating(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Templates without a system role mostly refuse two messages of the user in a row: instructions and question are
    one."""
    first, *rest = messages
    if rest and rest[0]["role"] == "user" and isinstance(rest[0]["content"], str):
        return [{"role": "user", "content": f"{first['content']}\n\n{rest[0]['content']}"}, *rest[1:]]
    return messages


def _function(**description: Any) -> dict[str, Any]:
    return {"type": "function", "function": description}


def _picture(picture: Picture) -> dict[str, Any]:
    import av  # only where pictures are used

    frame = av.VideoFrame.from_ndarray(picture.pixels, format="rgb24")
    out = io.BytesIO()
    with av.open(out, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuvj420p"
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return {
        "type": "image_url",
        "image_url": {"url": "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()},
    }


def texts_of(request: Mapping[str, Any]) -> list[str]:
    """Everything in a request that somebody said or wrote: not for a log."""
    found: list[str] = []

    def collect(value: Any) -> None:
        match value:
            case str():
                found.append(value)
            case dict():
                list(map(collect, value.values()))
            case list():
                list(map(collect, value))

    for message in request["messages"]:
        collect({name: value for name, value in message.items() if name != "role"})
    collect(request.get("tools", []))
    return found
