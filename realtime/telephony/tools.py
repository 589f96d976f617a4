"""What the assistant may do on the telephone by itself: hang up, transfer the caller, press keys.

    phone.tools = ["hang_up", "transfer", "keys"]

Numbers stay here: the model knows names, and transfers to those of the settings only.
"""

from __future__ import annotations

from typing import Any, Protocol

from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.events import ListedTool
from vivavoce.realtime.telephony import KEYS, CannotDo
from vivavoce.realtime.tools import ToolError

MAX_KEYS = 32


class Handset(Protocol):
    """The line, as far as the assistant may use it."""

    def hang_up(self) -> None: ...
    def transfer(self, target: str) -> None: ...
    async def press(self, keys: str) -> None: ...


def offered(settings: PhoneConfig) -> tuple[ListedTool, ...]:
    """The tools, as the settings want them."""
    tools: list[ListedTool] = []
    if "hang_up" in settings.tools:
        tools.append(_tool("hang_up", "End the phone call, after the caller has said goodbye.", {}, _BYE))
    if "transfer" in settings.tools and settings.targets:
        to = {"to": {"enum": list(settings.targets)}}
        tools.append(_tool("transfer_call", "Connect the caller to somebody else.", to, _TRANSFER))
    if "keys" in settings.tools:
        keys = {"keys": {"type": "string", "description": "digits, * and #"}}
        tools.append(_tool("press_keys", "Press keys of the telephone, where a machine asks for them.", keys, _PRESS))
    return tuple(tools)


class PhoneTools:
    """The tools of one call; implements `MoreTools`."""

    def __init__(self, handset: Handset, settings: PhoneConfig) -> None:
        self._handset = handset
        self._targets = settings.targets
        self._names = {tool.name for tool in offered(settings)}

    def has(self, name: str) -> bool:
        return name in self._names

    async def run(self, name: str, given: dict[str, Any]) -> str:
        match name:
            case "hang_up":
                self._handset.hang_up()
                return "The call ends when you have said goodbye. Say goodbye now, in one short sentence."
            case "transfer_call":
                target = self._targets.get(given["to"])
                if target is None:
                    raise ToolError(f"There is no '{given['to']}'; there is {', '.join(self._targets)}.")
                self._handset.transfer(target)
                return (
                    f"The caller is connected to {given['to']} when you have said so. Tell them now, in one sentence."
                )
            case _:
                return await self._press(given["keys"])

    async def _press(self, keys: object) -> str:
        if not isinstance(keys, str):
            raise TypeError
        pressed = "".join(key for key in keys.upper() if key in KEYS)
        if not 0 < len(pressed) <= MAX_KEYS:
            raise ToolError(f"Press 1 to {MAX_KEYS} keys out of 0 to 9, * and #.")
        try:
            await self._handset.press(pressed)
        except CannotDo as error:
            raise ToolError(str(error)) from error
        return f"Pressed {' '.join(pressed)}."


def _tool(name: str, description: str, properties: dict[str, Any], cue: str) -> ListedTool:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return ListedTool(name, description, schema, cue=cue)


_BYE = r"\b(good ?bye|bye|hang up|end the call|that('s| is| will be) (all|it|everything)|see you|have a (nice|good))\b"
_TRANSFER = (
    r"\b(transfer|connect|put|pass|switch)\b.*\b(me|us|call|through|over)\b|\b(speak|talk) (to|with)\b|\bhuman\b"
)
_PRESS = r"\b(press|dial|enter|key|digit|pound|hash|star)\b"
"""What English speakers say who want a tool."""
