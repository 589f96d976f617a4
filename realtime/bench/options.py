"""Check the options of a run of the benchmark, from the command line. No I/O."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from vivavoce.realtime.bench.caller.impairments import Impairment
from vivavoce.realtime.bench.runs.run import PHONE, TRANSPORTS
from vivavoce.realtime.config import ConfigError

T = TypeVar("T")

MODELS: Final = {"fast": "smollm2-135m", "quality": "qwen2.5-1.5b"}
"""Short names of LLMs of our own server."""

MOST_CALLS: Final = 64
"""Callers at the same time: each is a process."""


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """The options of a run. `url` "": starts our own server, with the settings of `settings`. `lines`: impairments,
    over each of which each scenario runs. `calls`: levels of a load sweep. `punctual`: numbers of silent calls. `soak`:
    number of short calls, 0 for none. `long`: minutes of one call, 0 for none."""

    url: str
    key: str
    model: str
    transports: tuple[str, ...]
    scenarios: tuple[str, ...]
    turns: int
    lines: tuple[Impairment, ...]
    calls: tuple[int, ...]
    punctual: tuple[int, ...]
    soak: int
    long: float
    seed: int
    calibrate: bool
    output: Path | None
    settings: Path | None

    @property
    def language(self) -> str:
        """The LLM of our own server; "" for that of its settings."""
        return "" if self.url or self.model == "default" else MODELS.get(self.model, self.model)

    @property
    def only_load(self) -> bool:
        """Whether load, soak or a long call are requested, and no scenario by name."""
        return bool((self.calls or self.punctual or self.soak or self.long) and not self.scenarios)


def choose(options: argparse.Namespace) -> BenchOptions:
    """Checks the options. Raises `ConfigError`, which names the option."""
    losses = _numbers(options.loss, float, "--loss")
    try:
        lines = tuple(Impairment(loss, options.burst, options.jitter / 1000, options.skew) for loss in losses)
    except ValueError as error:
        raise ConfigError(
            "'--loss' is a share from 0 to 0.9, '--burst' at least 1, '--jitter' 0 to 1000 ms, '--skew' up to 10000."
        ) from error
    calls, punctual = _numbers(options.calls, int, "--calls"), _numbers(options.punctual, int, "--punctual")
    if any(not 1 <= count <= MOST_CALLS for count in (*calls, *punctual)):
        raise ConfigError(f"'--calls' and '--punctual' must be numbers from 1 to {MOST_CALLS}, such as 1,2,4.")
    if not 0 <= options.turns <= 10_000 or not 0 <= options.soak <= 100_000:
        raise ConfigError("'--turns' must be between 0 and 10000, '--soak' between 0 and 100000.")
    if not 0 <= options.long <= 24 * 60:
        raise ConfigError("'--long' must be between 0 and 1440 minutes.")
    if (options.soak or options.long) and options.url:
        raise ConfigError(
            "'--soak' and '--long' look into the server's process: they need our own server, not with '--url'."
        )
    transports = _transports(options.transport or ["webrtc"])
    if options.url and PHONE in transports:
        raise ConfigError(f"'--transport {PHONE}' works with our own server only, not with '--url'.")
    return BenchOptions(
        url=options.url,
        key=options.api_key,
        model=options.model,
        transports=transports,
        scenarios=tuple(options.scenario or ()),
        turns=options.turns,
        lines=lines,
        calls=calls,
        punctual=punctual,
        soak=options.soak,
        long=options.long,
        seed=options.seed,
        calibrate=options.calibrate,
        output=options.output,
        settings=options.config,
    )


def _transports(names: Sequence[str]) -> tuple[str, ...]:
    if "all" in names:
        return TRANSPORTS
    for name in names:
        if name not in (*TRANSPORTS, PHONE):
            known = ", ".join((*TRANSPORTS, PHONE))
            raise ConfigError(f"'--transport' must be one of {known}, or all; not {name!r}.")
    return tuple(names)


def _numbers(text: str, kind: Callable[[str], T], option: str) -> tuple[T, ...]:
    try:
        return tuple(kind(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ConfigError(f"'{option}' must be numbers with commas between them, not {text!r}.") from None
