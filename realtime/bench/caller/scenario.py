"""Read scenarios from TOML: what the caller says, when it speaks over replies, and the acoustics.

    scenarios/single.toml ──read──► Scenario (text) ──prepare(studio)──► PreparedScenario (sound) ──► script.py

A user's own file has the same form as the built-in ones. Errors name the wrong key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from vivavoce.realtime.bench import BenchError

FOLDER: Final = Path(__file__).parents[1] / "scenarios"
KINDS: Final = ("interruption", "backchannel", "noise")


class ScenarioError(BenchError):
    """A scenario that cannot be read; the message names the file and the fault."""


@dataclass(frozen=True, slots=True)
class Cue:
    """A sound over the reply, `after` seconds from its first sound: `say` is synthesized, or `sound` names a noise
    (cough, bark, door, keyboard)."""

    kind: str
    after: float
    say: str = ""
    sound: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One turn: texts, with pauses in seconds between them. `cues` are played over its reply. `expect`: one of these
    words should be in the reply (reported, not required)."""

    say: tuple[str | float, ...]
    cues: tuple[Cue, ...] = ()
    expect: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The words, pauses as dots."""
        return " … ".join(part for part in self.say if isinstance(part, str))


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of conversation. `per_call`: turns of one call. `turns`: turns of a quick run. `noise`: signal-to-noise
    ratio in dB (`crowd`: babble, else a fan); None for a silent room. `echo`: attenuation in dB from loudspeaker to
    microphone; None for headphones. `picture`: name of the camera picture; WebRTC only. `tools`, `answers`: function
    tools of the client, and their outputs by name."""

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
        """Whether the caller speaks over replies."""
        return any(line.cues for line in self.lines)


def names() -> list[str]:
    """The names of the built-in scenarios."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def load(name: str) -> Scenario:
    """Loads a built-in scenario by name, or a file by its path. Raises `ScenarioError`."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        return parse(tomllib.loads(path.read_text(encoding="utf-8")), path.stem)
    except FileNotFoundError as error:
        raise ScenarioError(f"There is no scenario {name!r}; there are: {', '.join(names())}.") from error
    except (OSError, ValueError) as error:
        raise ScenarioError(f"{path}: {error}") from error


def parse(table: Mapping[str, Any], name: str) -> Scenario:
    """Makes a scenario of its TOML table. Raises ValueError."""
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
    say = entry.get("say", "")
    parts = (say,) if isinstance(say, str) else tuple(say)
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
