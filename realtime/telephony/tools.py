"""Telephone tools of the model: hang up, transfer the caller, press keys.

    phone.tools = ["hang_up", "transfer", "keys"]

The model knows names of targets, never numbers, and transfers only to those of the settings.
"""

from __future__ import annotations

from typing import Any, Protocol

from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.events import ListedTool
from vivavoce.realtime.telephony import DTMF_KEYS
from vivavoce.realtime.telephony.errors import ActionFailed
from vivavoce.realtime.tools import ToolError

MAX_KEYS = 32


class Handset(Protocol):
    """What the assistant may do with its call; see `PhoneTransport`."""

    def hang_up(self) -> None: ...
    def transfer(self, target: str) -> None: ...
    async def send_dtmf(self, keys: str) -> None: ...


def offered(settings: PhoneConfig) -> tuple[ListedTool, ...]:
    """The tools that the settings name."""
    tools: list[ListedTool] = []
    if "hang_up" in settings.tools:
        tools.append(_tool("hang_up", "End the phone call, after the caller has said goodbye.", {}, _GOODBYE_WORDS))
    if "transfer" in settings.tools and settings.targets:
        to = {"to": {"enum": list(settings.targets)}}
        tools.append(_tool("transfer_call", "Connect the caller to somebody else.", to, _TRANSFER_WORDS))
    if "keys" in settings.tools:
        keys = {"keys": {"type": "string", "description": "digits, * and #"}}
        description = "Press keys of the telephone, where a machine asks for them."
        tools.append(_tool("press_keys", description, keys, _KEY_WORDS))
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
        pressed = "".join(key for key in keys.upper() if key in DTMF_KEYS)
        if not 0 < len(pressed) <= MAX_KEYS:
            raise ToolError(f"Press 1 to {MAX_KEYS} keys out of 0 to 9, * and #.")
        try:
            await self._handset.send_dtmf(pressed)
        except ActionFailed as error:
            raise ToolError(str(error)) from error
        return f"Pressed {' '.join(pressed)}."


def _tool(name: str, description: str, properties: dict[str, Any], cue: str) -> ListedTool:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return ListedTool(name, description, schema, cue=cue)


_GOODBYE_WORDS = (
    r"\b(good ?bye|bye|hang up|end the call|that('s| is| will be) (all|it|everything)|see you|have a (nice|good))\b"
)
_TRANSFER_WORDS = (
    r"\b(transfer|connect|put|pass|switch)\b.*\b(me|us|call|through|over)\b|\b(speak|talk) (to|with)\b|\bhuman\b"
)
_KEY_WORDS = r"\b(press|dial|enter|key|digit|pound|hash|star)\b"
"""English words of users that make the tool likely to be needed: they cue a small model."""
