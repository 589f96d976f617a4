"""`vivavoce codec encode | decode | eval`: speech as tokens, from file to file, and how good it is.

encode  speech.wav ─► codes.npz          decode  codes.npz ─► speech.wav          eval  a table, report.json

`vivavoce codec eval`: speech through the codec and through what it is compared with; a table, and report.json.
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
from vivavoce.model.errors import BrokenAsr, DnsmosMissing, MaterialError, MissingSystem
from vivavoce.model.evaluation.codec.delay import delays, work
from vivavoce.model.evaluation.codec.dnsmos import Dnsmos
from vivavoce.model.evaluation.codec.evaluation import JUDGES, Evaluation, Plan, Rows, open_judges
from vivavoce.model.evaluation.codec.material import SETS, Material
from vivavoce.model.evaluation.codec.scores import Row
from vivavoce.model.evaluation.codec.systems import CODEC, SYSTEMS, weights_digest
from vivavoce.model.evaluation.codec.table import report, streaming_lines, table
from vivavoce.model.store import Store, catalog
from vivavoce.realtime.bench.report import machine
from vivavoce.realtime.cli import Unusable
from vivavoce.realtime.cli.models import pull
from vivavoce.realtime.config import Config, ConfigError


def run(config: Config, options: argparse.Namespace) -> int:
    """Returns the exit code: 0 done, 1 failed, 2 wrong usage. Raises `ModelError`."""
    try:
        match options.action:
            case "encode":
                _encode(options.speech, options.output)
            case "decode":
                _decode(options.codes, options.output)
            case _:
                evaluate(Store(config.home, catalog.load()), options)
    except (Unreadable, CodesError, Unusable) as error:
        print(f"vivavoce: {error}", file=sys.stderr)
        return 2 if isinstance(error, Unreadable | CodesError) else 1
    except OSError as error:
        print(f"vivavoce: {error.filename or options.output} cannot be written: {error.strerror}.", file=sys.stderr)
        return 1
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
    """Opened in `directions` only. Raises `Unusable`."""
    for name in directions:
        if not (WEIGHTS / f"{name}.onnx").is_file():
            raise Unusable(f"the codec's weights {name}.onnx are not in this installation")
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
"""What of the model catalog a set, a system or a recogniser needs."""
TIMED: Final = 8
"""Seconds of speech on which delays and work are measured."""


def evaluate(store: Store, options: argparse.Namespace) -> None:
    """Raises `ConfigError`, `Unusable`, `ModelError`, `OSError`."""
    sets = _listed(options.sets, SETS, "--sets") or SETS
    systems = _listed(options.systems, SYSTEMS, "--systems") or _here()
    judges = _listed(options.judges, JUDGES, "--judges") or JUDGES
    if options.clips < 1:
        raise ConfigError(f"'--clips' must be at least 1, not {options.clips}.")
    pull(store, dict.fromkeys(name for one in (*sets, *systems, *judges) for name in ARTEFACTS.get(one, ())))
    material = Material(store, store.root.parent / "material")
    try:
        evaluation = Evaluation(store, material, open_judges(judges, store), _quality(options.quality))
        found = _watched(evaluation.run(Plan(sets, systems, options.clips), _rows(options.output)))
        print("\n".join(table(found)))
        about: dict[str, Any] = {"machine": machine.describe()}
        if CODEC in systems:
            about["streaming"] = _streaming(material, sets[0])
    except (MissingSystem, MaterialError, BrokenAsr) as error:
        raise Unusable(str(error)) from error
    if options.output:
        text = json.dumps(report(found, about), indent=1, ensure_ascii=False)
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


def _here() -> tuple[str, ...]:
    """What is compared unless something else is asked for: without the codec's weights, only what needs none."""
    there = list(SYSTEMS)
    for name, needs in {CODED: ("latents", "decoder"), CODEC: ("encoder", "decoder")}.items():
        try:
            weights_digest(*needs)
        except MissingSystem:
            there.remove(name)
    return tuple(there)


def _quality(wanted: bool) -> Dnsmos | None:
    try:
        return Dnsmos() if wanted else None
    except DnsmosMissing as error:
        print(f"Quality is not rated. {error}", file=sys.stderr)
        return None


def _watched(rows: Iterable[Row]) -> list[Row]:
    """All rows, with one line of progress on standard error."""
    found = []
    for row in rows:
        found.append(row)
        print(f"\r{row.set} {row.clip} {row.system}\x1b[K", end="", file=sys.stderr, flush=True)
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return found


def _streaming(material: Material, group: str) -> dict[str, Any]:
    sound = next(material.clips(group, 1)).samples[: TIMED * SAMPLE_RATE]
    tokenizer = AudioTokenizer()
    counted, timed = delays(tokenizer, sound), work(tokenizer, sound)
    print("\n".join(streaming_lines(counted, timed)))
    return {"delays": asdict(counted), "work": asdict(timed)}
