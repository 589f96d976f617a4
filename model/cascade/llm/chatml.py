"""Renders prompts as ChatML text, the format of Qwen and SmolLM, and keeps them within the context window.

    <|im_start|>system ... <|im_end|>
    <|im_start|>user ... <|im_end|>
    <|im_start|>assistant ...            <- the model goes on here

Rendering is incremental by construction: a conversation that has grown begins with the same text as before, so the
prompt cache matches. A long conversation loses its oldest items in big steps, for the same reason:

    items   a b c d e f g h          all fit
            a b c d e f g h i j      too many: three quarters are dropped, and the rest is read once without them ...
                            i j k l  ... and they stay dropped, until the rest is too much again

A model reads only the difference to its cache. A window that slides by a question and an answer each turn would be read
as a whole each turn, which on a CPU takes longer than the turn. Pure text; knows no model.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Final, assert_never

from vivavoce.model.cascade.llm import Prompt
from vivavoce.model.dialogue import Call, CallResult, Item, Message, Tool

WINDOW_CHARS: Final = 6000
"""Of the conversation, instructions apart: 30 to 40 turns, of which the last ten stay when older ones are dropped.
To read these again takes 5 s on a CPU, in which a user who speaks at once has to wait; 2 000 tokens would take 25."""

START: Final = "<|im_start|>"
END: Final = "<|im_end|>\n"

_SPECIAL: Final = re.compile(r"<\|(?=\w+\|>)")
"""The beginning of all text that the tokenizer could take for a special token."""

_TOOL_RULES: Final = (
    "\n\n# Tools\n\nYou can call these functions:\n{tools}\n\n"
    'To call one, answer with only a JSON object: {{"name": <function-name>, "arguments": <args-json-object>}}. '
    "Call a function only if the user asks for something that it does; otherwise just talk."
)


_RESULT: Final = "The function has answered: {output}\nNow tell me, in a short sentence."
"""Plain words: small models imitate marked-up results, or go on calling tools (model/LOG.md)."""


def render(prompt: Prompt) -> str:
    """The whole prompt, up to the beginning of the assistant's message."""
    return "".join([_system(prompt), *map(_item, prompt.items), f"{START}assistant\n"])


def render_growing(prompt: Prompt) -> str:
    """The part of the prompt that is certain while its last item, a message, is still growing."""
    return render(prompt).removesuffix(f"{END}{START}assistant\n")


def trimmed(prompt: Prompt, max_chars: int) -> Prompt:
    """Drops the oldest items until the rendered prompt fits into `max_chars`; the newest item always stays.

    The cut moves by three quarters of the bound at a time: in between, a conversation that grows begins the same, and
    its cache stays valid. When the cut moves, little is left to read again, which takes seconds on a CPU."""
    lengths = [len(_item(item)) for item in prompt.items]
    excess = len(render(replace(prompt, items=()))) + sum(lengths) - max_chars
    if excess <= 0:
        return prompt
    step = max(3 * max_chars // 4, 1)
    goal = -(-excess // step) * step
    first = dropped = 0
    while first < len(lengths) - 1 and (dropped < goal or isinstance(prompt.items[first], CallResult)):
        dropped += lengths[first]  # a result without its call means nothing
        first += 1
    return replace(prompt, items=prompt.items[first:])


class ContextWindow:
    """The part of one conversation that its prompts hold. `max_chars`: of a whole prompt, with its instructions."""

    def __init__(self, max_chars: int) -> None:
        self._max_chars = max_chars
        self._first = ""  # id of the oldest item in the window, since items were last dropped

    def fit(self, prompt: Prompt) -> Prompt:
        """`prompt` with the items in the window only. Where the oldest of them is gone, since the conversation has
        dropped it too, the window begins with the oldest item that is left."""
        first = next((place for place, item in enumerate(prompt.items) if item.id and item.id == self._first), 0)
        rest = replace(prompt, items=prompt.items[first:])
        instructions = len(render(replace(prompt, items=())))
        kept = trimmed(rest, min(instructions + WINDOW_CHARS, self._max_chars))
        if len(kept.items) < len(rest.items):
            self._first = kept.items[0].id
        return kept


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
    """Breaks up special tokens, so that no text can close its own message. They are not removed: the rest of two
    interleaved ones could make a third."""
    return _SPECIAL.sub("< |", text)
