"""Prompts as ChatML text, the format of Qwen and SmolLM.

    <|im_start|>system ... <|im_end|>
    <|im_start|>user ... <|im_end|>
    <|im_start|>assistant ...            <- the model goes on here

Rendering is incremental by construction: a conversation that has grown begins with the same text as before, so the
model's prompt cache matches. Pure text; knows no model."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Final, assert_never

from vivavoce.model.cascade.llm import Prompt
from vivavoce.model.dialogue import Call, CallResult, Item, Message, Tool

START: Final = "<|im_start|>"
END: Final = "<|im_end|>\n"

_MARK: Final = re.compile(r"<\|(?=\w+\|>)")
"""The beginning of anything that the tokenizer could take for a mark of its own."""

_TOOL_RULES: Final = (
    "\n\n# Tools\n\nYou can call these functions:\n{tools}\n\n"
    'To call one, answer with only a JSON object: {{"name": <function-name>, "arguments": <args-json-object>}}. '
    "Call a function only if the user asks for something that it does; otherwise just talk."
)


_RESULT: Final = "The function has answered: {output}\nNow tell me, in a short sentence."
"""Plain words: small models imitate marked-up results, or go on calling (model/LOG.md)."""


def render(prompt: Prompt) -> str:
    """The whole prompt, up to the point where the assistant begins to speak."""
    return "".join([_system(prompt), *map(_item, prompt.items), f"{START}assistant\n"])


def render_growing(prompt: Prompt) -> str:
    """The prompt as far as it is certain while its last item, a message, is still being spoken."""
    return render(prompt).removesuffix(f"{END}{START}assistant\n")


def trimmed(prompt: Prompt, max_chars: int) -> Prompt:
    """Drops the oldest items until what is rendered fits into `max_chars`; the newest item always stays.

    The place of the cut moves on by three quarters of the bound at a time: in between, a long conversation that grows
    begins the same, and its cache is not lost on every turn. And when it moves, little is left to be read again, which
    is a matter of seconds on a CPU."""
    lengths = [len(_item(item)) for item in prompt.items]
    excess = len(render(replace(prompt, items=()))) + sum(lengths) - max_chars
    if excess <= 0:
        return prompt
    step = max(3 * max_chars // 4, 1)
    wanted = -(-excess // step) * step
    first = dropped = 0
    while first < len(lengths) - 1 and (dropped < wanted or isinstance(prompt.items[first], CallResult)):
        dropped += lengths[first]  # (a result without its call means nothing)
        first += 1
    return replace(prompt, items=prompt.items[first:])


def _system(prompt: Prompt) -> str:
    usable = prompt.tools and prompt.tool_choice != "none"
    rules = _TOOL_RULES.format(tools="\n".join(map(_signature, prompt.tools))) if usable else ""
    return f"{START}system\n{_clean(prompt.instructions + rules)}{END}"


def _signature(tool: Tool) -> str:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return json.dumps({"type": "function", "function": function})


def _item(item: Item) -> str:
    match item:
        case Message(role=role, text=text):
            return f"{START}{role}\n{_clean(text)}{END}"
        case Call(name=name, arguments=arguments):
            call = f'{{"name": {json.dumps(name)}, "arguments": {arguments or "{}"}}}'
            return f"{START}assistant\n{_clean(call)}{END}"
        case CallResult(output=output):
            return f"{START}user\n{_RESULT.format(output=_clean(output))}{END}"
        case _:
            assert_never(item)


def _clean(text: str) -> str:
    """User text must not be able to close its own message. (Marks are broken up, not removed: what is left over of two
    interleaved ones could make a third.)"""
    return _MARK.sub("< |", text)
