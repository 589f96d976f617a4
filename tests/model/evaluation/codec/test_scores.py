"""model/evaluation/codec/scores.py and table.py: figures from rows. Made-up rows, known answers."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from vivavoce.model.evaluation.codec.scores import Recognition, Row, bootstrap, by_speaker, code_use, summarise
from vivavoce.model.evaluation.codec.table import grouped, report, table, used


def row(
    clip: str, system: str = "codec", wrong: int = 0, changed: int = 0, speaker: str = "ann", **more: object
) -> Row:
    recognized = {"moonshine": Recognition("words", wrong, 10, changed, 8)}
    return Row("voices", clip, speaker, system, "", 2.0, 500, recognized, **more)  # type: ignore[arg-type]  # a test's own


def test_error_rates_are_of_all_words_together() -> None:
    found = summarise([row("a", wrong=1, changed=2), row("b", wrong=4), row("c")], [])
    words = found.words["moonshine"]
    assert words.wer.value == pytest.approx(5 / 30)
    assert words.changed.value == pytest.approx(2 / 24)
    assert (words.ratio, words.words) == (None, 30)
    assert (found.n, found.seconds, found.bitrate) == (3, 6.0, 250.0)


def test_an_interval_holds_the_rate_and_is_the_same_each_time() -> None:
    rows = [row(str(number), wrong=number % 4) for number in range(40)]
    first, second = (summarise(rows, []).words["moonshine"].wer for _ in range(2))
    assert first == second
    assert first.low < first.value < first.high
    assert first.high - first.low < 0.1


def test_the_ratio_compares_the_same_clips_only() -> None:
    originals = [row("a", "original", wrong=2), row("b", "original", wrong=2), row("elsewhere", "original", wrong=9)]
    ratio = summarise([row("a", wrong=3), row("b", wrong=3)], originals).words["moonshine"].ratio
    assert ratio is not None
    assert (ratio.value, ratio.low, ratio.high) == (1.5, 1.5, 1.5)


def test_an_original_without_errors_has_no_ratio() -> None:
    found = summarise([row("a", wrong=3)], [row("a", "original")])
    assert found.words["moonshine"].ratio is None


def test_quality_is_a_mean_with_an_interval() -> None:
    found = summarise([row("a", quality=(3.0, 4.0, 3.2)), row("b", quality=(3.4, 4.0, 3.4))], [])
    assert [figure.value for figure in found.quality] == pytest.approx([3.2, 4.0, 3.3])
    assert (found.quality[2].low, found.quality[2].high) == pytest.approx((3.2, 3.4))
    assert summarise([row("a")], []).quality == ()


def test_speakers_keep_their_rows() -> None:
    found = by_speaker([row("a"), row("b", speaker="bob"), row("c")])
    assert {speaker: [one.clip for one in rows] for speaker, rows in found.items()} == {"ann": ["a", "c"], "bob": ["b"]}


def test_even_use_of_codes_is_told_from_uneven_use() -> None:
    rng = np.random.default_rng(1)
    even = code_use(rng.integers(64, size=2000).tolist(), 64)
    assert (even.n, even.used) == (2000, 64)
    assert even.bits == pytest.approx(6, abs=0.05)
    assert even.even == pytest.approx(64, abs=0.1)
    uneven = code_use([5] * 99 + [6], 64)
    assert (uneven.used, round(uneven.bits, 3)) == (2, round(-(0.99 * math.log2(0.99) + 0.01 * math.log2(0.01)), 3))


def test_few_codes_cannot_show_the_whole_book() -> None:
    assert code_use([1, 2, 3, 4], 4096).even == pytest.approx(4, abs=0.01)


def test_a_figure_that_is_never_defined_has_no_interval() -> None:
    found = bootstrap(np.zeros((3, 1)), lambda tables: np.full(len(tables), np.nan))
    assert math.isnan(found.value)
    assert math.isnan(found.low)


ROWS = [
    row("a", "original", quality=(3.4, 4.0, 3.2)),
    row("a", wrong=2, quality=(3.3, 4.0, 3.1), codes=(1, 2, 3)),
    row("b", "original", wrong=1, speaker="bob", quality=(3.4, 4.0, 3.2)),
    row("b", wrong=3, speaker="bob", quality=(3.3, 4.0, 3.1), codes=(3, 4)),
]


def test_the_table_names_sets_systems_and_speakers() -> None:
    lines = list(table(ROWS))
    text = "\n".join(lines)
    assert lines[0] == "voices: 2 clips, 4 s"
    assert "WER  25.0%" in text
    assert "x 5.00" in text
    assert "DNSMOS 3.10" in text
    assert [line.split()[0] for line in lines if line.startswith("    ") and "bit/s" in line] == ["ann", "bob"]
    assert lines[-1].startswith("codes: 4 of 4096 in use")


def test_the_report_is_json_and_holds_every_speaker() -> None:
    found = json.loads(json.dumps(report(ROWS, {"machine": {"cpu": "x"}})))
    codec = found["sets"]["voices"]["codec"]
    assert codec["words"]["moonshine"]["wer"]["value"] == pytest.approx(0.25)
    assert set(codec["speakers"]) == {"ann", "bob"}
    assert (found["version"], found["machine"]["cpu"], found["codes"]["n"]) == (1, "x", 5)


def test_without_the_codec_there_is_no_code_use() -> None:
    assert used(ROWS[:1]) is None
    assert report(ROWS[:1], {})["codes"] is None
    assert list(grouped(ROWS)["voices"]) == ["original", "codec"]
