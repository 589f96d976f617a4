"""Formats the comparison as a table to read and as a report for programs. Pure.

    rows ─table─► lines of text          rows, streaming figures ─report─► JSON values

Speakers are shown one by one where a set has several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from vivavoce.codecs.tokenizer import CARDINALITY
from vivavoce.model.evaluation.codec.delay import Delays, Work
from vivavoce.model.evaluation.codec.scores import CodeUse, Figure, Row, Summary, Words, by_speaker, code_use, summarise
from vivavoce.model.evaluation.codec.systems import CODEC, ORIGINAL

VERSION: Final = 1
FEW_SPEAKERS: Final = 1
"""Up to so many speakers of a set are not shown one by one."""


def table(rows: Iterable[Row]) -> Iterator[str]:
    """Yields lines: for each set all systems, then the codec speaker by speaker; then its use of codes."""
    rows = list(rows)
    for group, systems in grouped(rows).items():
        first = next(iter(systems.values()))
        yield f"{group}: {len(first)} clips, {sum(row.seconds for row in first):.0f} s"
        for system, found in systems.items():
            yield from _lines(system, summarise(found, systems.get(ORIGINAL, ())))
        speakers = by_speaker(systems.get(CODEC, ()))
        if len(speakers) > FEW_SPEAKERS:
            yield f"  {CODEC}, by speaker:"
            for speaker, found in speakers.items():
                yield from _lines(f"  {speaker}", summarise(found, systems[ORIGINAL]))
        yield ""
    if (use := used(rows)) is not None:
        yield f"codes: {use.used} of {use.cardinality} in use ({_even(use)}), {use.bits:.2f} bit each, n {use.n}"


def streaming_lines(delays: Delays, work: Work) -> Iterator[str]:
    """Yields the lines of delay and work."""
    yield f"delay, counted: encode {delays.encode * 1000:.0f} ms, decode {delays.decode * 1000:.0f} ms"
    yield f"work, one thread: encode {work.encode:.3f}, decode {work.decode:.3f} of real time"


def report(rows: Iterable[Row], about: dict[str, Any]) -> dict[str, Any]:
    """Returns everything as JSON values; `about`: the machine, the streaming figures and other results."""
    rows = list(rows)
    sets = {
        group: {
            system: {
                **asdict(summarise(found, systems.get(ORIGINAL, ()))),
                "speakers": {
                    speaker: asdict(summarise(theirs, systems.get(ORIGINAL, ())))
                    for speaker, theirs in by_speaker(found).items()
                },
            }
            for system, found in systems.items()
        }
        for group, systems in grouped(rows).items()
    }
    use = used(rows)
    return {"version": VERSION, **about, "sets": sets, "codes": asdict(use) if use else None}


def grouped(rows: Sequence[Row]) -> dict[str, dict[str, list[Row]]]:
    """Groups rows: set -> system -> rows."""
    found: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        found.setdefault(row.set, {}).setdefault(row.system, []).append(row)
    return found


def used(rows: Iterable[Row]) -> CodeUse | None:
    """The codec's use of its codes over all clips; None where it did not run."""
    codes = [code for row in rows if row.system == CODEC for code in row.codes]
    return code_use(codes, CARDINALITY) if codes else None


def _lines(system: str, found: Summary) -> Iterator[str]:
    bitrate = f"{found.bitrate:7.0f} bit/s" if found.bitrate else " " * 13
    quality = ""
    if found.quality:
        speech, background, overall = found.quality
        quality = f"DNSMOS {_score(overall)} (speech {speech.value:.2f}, background {background.value:.2f})"
    yield f"  {system:12} {bitrate}   n {found.n:3}   {quality}".rstrip()
    for recognizer, words in found.words.items():
        yield f"    {recognizer:10} {_words(words)}"


def _words(words: Words) -> str:
    ratio = f"   x {_score(words.ratio)} of the original's" if words.ratio else ""
    return f"WER {_share(words.wer)}{ratio}   changed {_share(words.changed)}   n {words.words} words"


def _share(figure: Figure) -> str:
    return f"{figure.value:6.1%} ({figure.low:.1%}..{figure.high:.1%})"


def _score(figure: Figure) -> str:
    return f"{figure.value:.2f} ({figure.low:.2f}..{figure.high:.2f})"


def _even(use: CodeUse) -> str:
    return f"{use.used / use.cardinality:.0%}; {use.even / use.cardinality:.0%} if all were as frequent"
