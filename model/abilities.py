"""What a model can do, as far as the settings of a session may ask for more: the other half of its contract.

A setting that the model cannot follow is refused when it comes, instead of failing at the first reply.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from vivavoce.model.dialogue import Tool


class SchemaFault(Protocol):
    """Why no arguments can be made for a tool: `path` of the fault below its JSON schema, such as
    `.properties.a.pattern`, and a sentence about it."""

    @property
    def path(self) -> str: ...
    @property
    def message(self) -> str: ...


def _no_fault(schema: dict[str, Any]) -> SchemaFault | None:
    return None


def _always(instructions: str, tools: tuple[Tool, ...]) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Abilities:
    """The default takes everything. The functions are called on the event loop: they take milliseconds at most.

    `voices`: names that the TTS takes. `languages`: codes (ISO 639-1) that the ASR recognizes. None: not known.
    `check_tool`: returns the fault of a tool's JSON schema.
    `fits`: whether instructions, with these tools, leave the LLM room for a conversation."""

    voices: tuple[str, ...] | None = None
    languages: tuple[str, ...] | None = None
    check_tool: Callable[[dict[str, Any]], SchemaFault | None] = _no_fault
    fits: Callable[[str, tuple[Tool, ...]], bool] = _always
