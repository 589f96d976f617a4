"""Scenarios as data: what the caller says, when it cuts in, what the room is like. Read from TOML files.

    scenarios/single.toml ──read──► Scenario (words) ──prepare(studio)──► Play (sound) ──► script.py

A user's own file works like those that come along; see any of them for the shape. Wrong keys are named.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parents[1] / "scenarios"
KINDS: Final = ("interruption", "backchannel", "noise")


class ScenarioError(Exception):
    """A scenario that cannot be read; the message names the file and the fault."""


@dataclass(frozen=True, slots=True)
class Cue:
    """A sound over the reply, `after` seconds from its first sound. `say` is spoken, or `sound` names a noise of the
    studio (cough, laugh, knock ...)."""

    kind: str
    after: float
    say: str = ""
    sound: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One turn: texts, and between them inner pauses in seconds. `cues` meet its reply. `expect`: one of these words
    should be in the answer (reported, not required)."""

    say: tuple[str | float, ...]
    cues: tuple[Cue, ...] = ()
    expect: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What is said, pauses as dots."""
        return " … ".join(part for part in self.say if isinstance(part, str))


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of conversation. `per_call`: turns before the caller hangs up and calls again. `turns`: how many make a
    quick run. `noise`: decibels of signal above noise (`crowd`: of people, else of a fan); None for a silent room.
    `echo`: decibels by which the loudspeaker comes back weaker; None for headphones. `picture`: name of what the camera
    sees; WebRTC only. `tools`, `answers`: function tools of the client, and what each of them says."""

    name: str
    title: str
    lines: tuple[Line, ...]
    per_call: int = 5
    turns: int = 10
    instructions: str = "Answer in one short sentence."
    voices: tuple[str, ...] = ("joe",)
    noise: float | None = None
    crowd: bool = False
    echo: float | None = None
    picture: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)

    @property
    def interrupts(self) -> bool:
        """Its caller speaks over replies."""
        return any(line.cues for line in self.lines)


def names() -> list[str]:
    """The scenarios that come along."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def load(name: str) -> Scenario:
    """A scenario by its name, or a file by its path. Raises `ScenarioError`."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        return parse(tomllib.loads(path.read_text(encoding="utf-8")), path.stem)
    except FileNotFoundError as error:
        raise ScenarioError(f"There is no scenario {name!r}; there are: {', '.join(names())}.") from error
    except (OSError, ValueError) as error:
        raise ScenarioError(f"{path}: {error}") from error


def parse(table: Mapping[str, Any], name: str) -> Scenario:
    """A scenario from its table. Raises ValueError."""
    known = {f.name for f in fields(Scenario)} - {"name"}
    _refuse_unknown(table, known, "the scenario")
    lines = tuple(_line(entry, number) for number, entry in enumerate(table.get("lines", ()), 1))
    if not lines or not isinstance(table.get("title"), str):
        raise ValueError("a scenario has a title and at least one [[lines]]")
    rest = {key: table[key] for key in table if key not in ("lines", "voices", "tools")}
    return Scenario(
        name=name,
        lines=lines,
        **rest,
        voices=tuple(table.get("voices", ("joe",))),
        tools=tuple(table.get("tools", ())),
    )


def _line(entry: Mapping[str, Any], number: int) -> Line:
    where = f"line {number}"
    _refuse_unknown(entry, {"say", "cues", "expect"}, where)
    said = entry.get("say", "")
    parts = (said,) if isinstance(said, str) else tuple(said)
    if not parts or not all(isinstance(part, str | int | float) and part for part in parts):
        raise ValueError(f"{where}: 'say' is a text, or texts with pauses in seconds between them")
    if not isinstance(parts[0], str) or not isinstance(parts[-1], str):
        raise ValueError(f"{where}: 'say' begins and ends with a text")
    return Line(parts, tuple(_cue(cue, where) for cue in entry.get("cues", ())), tuple(entry.get("expect", ())))


def _cue(entry: Mapping[str, Any], where: str) -> Cue:
    _refuse_unknown(entry, {f.name for f in fields(Cue)}, f"a cue of {where}")
    cue = Cue(**entry)
    if cue.kind not in KINDS or not 0 <= cue.after <= 60 or bool(cue.say) == bool(cue.sound):
        raise ValueError(
            f"{where}: a cue has a kind ({', '.join(KINDS)}), a time after the reply began, and say or sound"
        )
    return cue


def _refuse_unknown(table: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(table) - known):
        raise ValueError(f"{where} has no {', '.join(unknown)}; known: {', '.join(sorted(known))}")
