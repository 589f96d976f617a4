"""Prompts as ChatML text, the format of Qwen and SmolLM.

    <|im_start|>system ... <|im_end|>
    <|im_start|>user ... <|im_end|>
    <|im_start|>assistant ...            <- the model goes on here

Rendering is incremental by construction: a conversation that has grown begins with the same text as before, so the model's prompt cache matches.
Pure text; knows no model.
"""

from __future__ import annotations

import json
from typing import Final, assert_never

from vivavoce.model.cascade.language import Prompt
from vivavoce.model.dialogue import Call, CallResult, Item, Message, Tool

START: Final = "<|im_start|>"
END: Final = "<|im_end|>\n"
MARKS: Final = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")

TOOL_RULES: Final = (
    "\n\n# Tools\n\nYou can call these functions:\n{tools}\n\n"
    'To call one, answer with only a JSON object: {{"name": <function-name>, "arguments": <args-json-object>}}. '
    "Call a function only if the user asks for something that it does; otherwise just talk."
)



def render(prompt: Prompt) -> str:
    """The whole prompt, up to the point where the assistant begins to speak."""
    return "".join([_system(prompt), *map(_item, prompt.items), f"{START}assistant\n"])


def render_growing(prompt: Prompt) -> str:
    """The prompt as far as it is certain while its last message is still being spoken."""
    *before, last = prompt.items
    assert isinstance(last, Message)
    return "".join([_system(prompt), *map(_item, before), f"{START}{last.role}\n{_clean(last.text)}"])


def trimmed(prompt: Prompt, max_chars: int) -> Prompt:
    """Drops the oldest items until what is rendered fits into `max_chars`; the newest item always stays.

    Drops down to three quarters of the bound, so that the cache of a long conversation is not lost on every turn."""
    if len(render(prompt)) <= max_chars:
        return prompt
    items = prompt.items
    room = max_chars * 3 // 4 - len(_system(prompt))
    while len(items) > 1 and sum(len(_item(item)) for item in items) > room:
        items = items[1:]
        while len(items) > 1 and isinstance(items[0], CallResult):
            items = items[1:]  # an answer without its call means nothing
    return Prompt(prompt.instructions, items, prompt.tools, prompt.tool_choice, prompt.view)


def _system(prompt: Prompt) -> str:
    rules = TOOL_RULES.format(tools="\n".join(map(_signature, prompt.tools))) if _usable(prompt) else ""
    return f"{START}system\n{_clean(prompt.instructions)}{rules}{END}"


def _usable(prompt: Prompt) -> bool:
    return bool(prompt.tools) and prompt.tool_choice != "none"


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
            return f"{START}user\n<tool_response>\n{_clean(output)}\n</tool_response>{END}"
        case _:
            assert_never(item)


def _clean(text: str) -> str:
    """User text must not be able to close its own message."""
    for mark in MARKS:
        text = text.replace(mark, "")
    return text
