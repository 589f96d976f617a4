"""`vivavoce codec encode | decode | eval`: speech as tokens, and the evaluation of the codec.

encode  speech.wav ─► codes.npz          decode  codes.npz ─► speech.wav
eval    clips ─► the codec and the systems that it is compared with ─► ASR, DNSMOS ─► a table, report.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.codecs.errors import CodesError, Unreadable
from vivavoce.codecs.files import decode_whole, encode_whole, read, write
from vivavoce.codecs.media import read_sound, write_sound
from vivavoce.codecs.tokenizer import WEIGHTS, AudioTokenizer
from vivavoce.model.cascade.tts.names import CODED
from vivavoce.model.errors import DnsmosMissing, MissingSystem
from vivavoce.model.evaluation.codec.delay import delays, work
from vivavoce.model.evaluation.codec.dnsmos import Dnsmos
from vivavoce.model.evaluation.codec.evaluation import RECOGNIZERS, Evaluation, Plan, Rows, open_recognizers
from vivavoce.model.evaluation.codec.material import SETS, Material
from vivavoce.model.evaluation.codec.scores import Row
from vivavoce.model.evaluation.codec.systems import CODEC, SYSTEMS, weights_digest
from vivavoce.model.evaluation.codec.table import report, streaming_lines, table
from vivavoce.model.store import Store, catalog
from vivavoce.realtime.bench.report import machine
from vivavoce.realtime.cli import CommandFailed, WrongUsage, not_written
from vivavoce.realtime.cli.models import pull
from vivavoce.realtime.config import Config, ConfigError


def run(config: Config, options: argparse.Namespace) -> int:
    """Raises `CommandError`, `ConfigError`, `ModelError`."""
    try:
        match options.action:
            case "encode":
                _encode(options.speech, options.output)
            case "decode":
                _decode(options.codes, options.output)
            case _:
                evaluate(Store(config.home, catalog.load()), options)
    except (Unreadable, CodesError) as error:
        raise WrongUsage(str(error)) from error
    except OSError as error:
        raise not_written(options.output, error) from error
    return 0


def _encode(speech: Path, output: Path) -> None:
    sound = read_sound(speech)
    coded = encode_whole(_tokenizer("encoder"), sound)
    write(output, coded)
    count = coded.codes.size
    print(f"{coded.seconds:.2f} s of speech: {count} codes, {count * 12 / coded.seconds:.0f} bit/s -> {output}")


def _decode(codes: Path, output: Path) -> None:
    coded = read(codes)
    sound = decode_whole(_tokenizer("decoder"), coded)
    write_sound(output, sound)
    print(f"{coded.codes.size} codes: {coded.seconds:.2f} s of speech -> {output}")


def _tokenizer(*directions: str) -> AudioTokenizer:
    """Opened in `directions` only. Raises `CommandFailed`."""
    for name in directions:
        if not (WEIGHTS / f"{name}.onnx").is_file():
            raise CommandFailed(f"the codec's weights {name}.onnx are not in this installation")
    return AudioTokenizer(WEIGHTS, encodes="encoder" in directions, decodes="decoder" in directions)


ARTEFACTS: Final = {
    "prompts": (),
    "readings": ("speech-clips",),
    "voices": ("piper-joe", "kokoro"),
    "joe": ("piper-joe",),
    CODED: ("piper-joe",),
    "moonshine": ("moonshine-tiny-en",),
    "whisper": ("whisper-base",),
}
"""Artefacts of the model catalog that a set, a system or a recogniser needs."""

TIMED: Final = 8
"""Seconds of speech on which delays and work are measured."""


def evaluate(store: Store, options: argparse.Namespace) -> None:
    """Prints the table, and writes report.json. Raises `ConfigError`, `ModelError`, `OSError`."""
    sets = _listed(options.sets, SETS, "--sets") or SETS
    systems = _listed(options.systems, SYSTEMS, "--systems") or _installed_systems()
    judges = _listed(options.judges, RECOGNIZERS, "--judges") or RECOGNIZERS
    if options.clips < 1:
        raise ConfigError(f"'--clips' must be at least 1, not {options.clips}.")
    pull(store, dict.fromkeys(name for one in (*sets, *systems, *judges) for name in ARTEFACTS.get(one, ())))
    material = Material(store, store.root.parent / "material")
    evaluation = Evaluation(store, material, open_recognizers(judges, store), _dnsmos(options.quality))
    rows = _with_progress(evaluation.run(Plan(sets, systems, options.clips), _rows(options.output)))
    print("\n".join(table(rows)))
    about: dict[str, Any] = {"machine": machine.describe()}
    if CODEC in systems:
        about["streaming"] = _streaming(material, sets[0])
    if options.output:
        text = json.dumps(report(rows, about), indent=1, ensure_ascii=False)
        (options.output / "report.json").write_text(text, encoding="utf-8")


def _listed(text: str, known: tuple[str, ...], option: str) -> tuple[str, ...]:
    """Names with commas between them. Raises `ConfigError` for one that is not known."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in known:
            raise ConfigError(f"'{option}' must be of {', '.join(known)}, not {name!r}.")
    return names


def _rows(folder: Path | None) -> Rows:
    if folder is None:
        return Rows(None)
    folder.mkdir(parents=True, exist_ok=True)
    return Rows(folder / "rows.jsonl")


def _installed_systems() -> tuple[str, ...]:
    """The default of `--systems`: without the codec's weights, those that need none."""
    installed = list(SYSTEMS)
    for name, needs in {CODED: ("latents", "decoder"), CODEC: ("encoder", "decoder")}.items():
        try:
            weights_digest(*needs)
        except MissingSystem:
            installed.remove(name)
    return tuple(installed)


def _dnsmos(requested: bool) -> Dnsmos | None:
    try:
        return Dnsmos() if requested else None
    except DnsmosMissing as error:
        print(f"Quality is not rated. {error}", file=sys.stderr)
        return None


def _with_progress(rows: Iterable[Row]) -> list[Row]:
    """All rows, with one line of progress on standard error."""
    done = []
    for row in rows:
        done.append(row)
        print(f"\r{row.set} {row.clip} {row.system}\x1b[K", end="", file=sys.stderr, flush=True)
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return done


def _streaming(material: Material, group: str) -> dict[str, Any]:
    sound = next(material.clips(group, 1)).samples[: TIMED * SAMPLE_RATE]
    tokenizer = AudioTokenizer()
    counted, timed = delays(tokenizer, sound), work(tokenizer, sound)
    print("\n".join(streaming_lines(counted, timed)))
    return {"delays": asdict(counted), "work": asdict(timed)}
