"""Draw plots as SVG text: distributions with every dot, waterfalls, lines with a threshold. Pure.

Colours come from the page's style sheet, so they follow light and dark mode, and dots have tooltips without a script.
matplotlib would offer neither, adds 79 MB to an installation that only makes calls, and writes SVG of 2.5 times the
size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

WIDTH: Final = 860
LEFT: Final = 250
RIGHT: Final = 40
_ROW = 44
_STRIP = 64
_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 250, 500, 1000, 2000, 5000)


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from 0 to `most` on pixels from `start` to `end`."""

    most: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of a value, clamped to the ends of the axis."""
        return self.start + (self.end - self.start) * min(max(value, 0.0), self.most) / self.most

    def ticks(self) -> list[float]:
        """About six round values."""
        step = next((s for s in _STEPS if self.most / s <= 7), 10 ** len(str(int(self.most))) / 5)
        return [n * step for n in range(int(self.most / step) + 1)]


def strips(rows: Sequence[tuple[str, Mapping[str, Any]]], goals: Mapping[str, float], name: str) -> str:
    """A row of dots for each distribution, with the 95 % interval of its median, and its percentiles. `goals`: lines
    through all rows, in ms."""
    if not rows:
        return ""
    most = max([row["most"] for _, row in rows] + list(goals.values())) * 1.05
    axis = Axis(most, LEFT, WIDTH - RIGHT)
    height = 40 + len(rows) * _STRIP
    return _svg(height, name, [*_grid(axis, height - 22, "ms"), *_goals(axis, goals, height), *_strips(rows, axis)])


def _strips(rows: Sequence[tuple[str, Mapping[str, Any]]], axis: Axis) -> Iterator[str]:
    for number, (label, row) in enumerate(rows):
        y = 34 + number * _STRIP
        yield _text(LEFT - 12, y + 4, label, "end")
        yield f'<line class="axis" x1="{axis.start}" x2="{axis.end}" y1="{y}" y2="{y}"/>'
        for n, value in enumerate(row["values"]):
            jitter = (n * 7 % 11 - 5) * 1.1  # spreads the dots; the same in every drawing
            yield (
                f'<circle class="dot" cx="{axis.at(value):.1f}" cy="{y + jitter:.1f}" r="3.5">'
                f"<title>{value:.0f} ms</title></circle>"
            )
        low, high = (axis.at(row["p50"][end]) for end in ("low", "high"))
        yield f'<rect class="interval" x="{low:.1f}" y="{y - 11}" width="{max(high - low, 1):.1f}" height="22"/>'
        for percentile, above in (("p50", -15), ("p95", 25)):  # one above, one below: they may be close together
            x = axis.at(row[percentile]["value"])
            yield f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 13}" y2="{y + 13}"/>'
            yield _text(x, y + above, f"{percentile} {row[percentile]['value']:.0f}", "middle", "small")


def waterfalls(rows: Sequence[tuple[str, Mapping[str, Any]]], name: str) -> str:
    """A stacked bar for each run: the server's stages, and the unexplained rest."""
    rows = [(label, row) for label, row in rows if row["n"]]
    if not rows:
        return ""
    totals = [row["stages"][-1]["until"] + max(0.0, row["unexplained"]["p50"]["value"]) for _, row in rows]
    axis = Axis(max(totals) * 1.05, LEFT, WIDTH - RIGHT)
    names = list(dict.fromkeys(stage["name"] for _, row in rows for stage in row["stages"]))
    height = 64 + len(rows) * _ROW
    return _svg(
        height, name, [*_grid(axis, height - 46, "ms"), *_bars(rows, axis, names), *_legend(names, height - 14)]
    )


def _bars(rows: Sequence[tuple[str, Mapping[str, Any]]], axis: Axis, names: Sequence[str]) -> Iterator[str]:
    for number, (label, row) in enumerate(rows):
        y = 16 + number * _ROW
        yield _text(LEFT - 12, y + 18, label, "end")
        before = 0.0
        for stage in row["stages"]:
            yield _bar(axis, before, stage["until"], y, f"s{names.index(stage['name']) % 8}", stage["name"])
            before = stage["until"]
        rest = row["unexplained"]["p50"]["value"]
        yield _bar(axis, before, before + rest, y, "rest", "unexplained")


def _bar(axis: Axis, start: float, end: float, y: float, kind: str, name: str) -> str:
    x, width = axis.at(start), axis.at(end) - axis.at(start)
    ms = f"{end - start:.0f}"
    label = _text(x + width / 2, y + 18, ms, "middle", "on") if width > 9 * len(ms) else ""
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="{max(width, 0):.1f}" height="27">'
        f"<title>{escape(name)}: {ms} ms</title></rect>{label}"
    )


def _legend(names: Sequence[str], y: float) -> Iterator[str]:
    x = float(LEFT)
    for number, name in [*enumerate(names), (-1, "unexplained")]:
        kind = "rest" if number < 0 else f"s{number % 8}"
        yield f'<rect class="{kind}" x="{x}" y="{y - 10}" width="11" height="11"/>'
        yield _text(x + 16, y, name, "start", "small")
        x += 34 + 6.6 * len(name)


def lines(
    series: Mapping[str, Sequence[tuple[float, float]]], x_name: str, unit: str, goal: float | None, name: str
) -> str:
    """Lines with dots, over a numeric x axis with the measured values. `goal`: a horizontal line, in `unit`."""
    points = [point for line in series.values() for point in line]
    if not points:
        return ""
    height, bottom, top = 320, 270, 20
    x = Axis(max(p[0] for p in points) or 1.0, 70, WIDTH - 180)
    y = Axis(max([p[1] for p in points] + ([goal] if goal else [])) * 1.1 or 1.0, bottom, top)
    parts = [f'<line class="axis" x1="70" x2="{WIDTH - 180}" y1="{bottom}" y2="{bottom}"/>']
    for tick in y.ticks():
        parts.append(f'<line class="grid" x1="70" x2="{WIDTH - 180}" y1="{y.at(tick):.1f}" y2="{y.at(tick):.1f}"/>')
        parts.append(_text(62, y.at(tick) + 4, f"{tick:g}", "end", "small"))
    for value in sorted({p[0] for p in points}) if len(points) < 60 else x.ticks():
        parts.append(_text(x.at(value), bottom + 18, f"{value:g}", "middle", "small"))
    parts += [
        _text((70 + WIDTH - 180) / 2, bottom + 40, x_name, "middle", "small"),
        _text(62, 12, unit, "end", "small"),
    ]
    if goal:
        parts.append(f'<line class="goal" x1="70" x2="{WIDTH - 180}" y1="{y.at(goal):.1f}" y2="{y.at(goal):.1f}"/>')
    for number, (label, line) in enumerate(series.items()):
        parts += _polyline(line, x, y, number, label)
    return _svg(height, name, parts)


def _polyline(line: Sequence[tuple[float, float]], x: Axis, y: Axis, number: int, label: str) -> Iterator[str]:
    path = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in line)
    yield f'<polyline class="line l{number % 8}" points="{path}"/>'
    if len(line) < 60:
        for a, b in line:
            center = f'cx="{x.at(a):.1f}" cy="{y.at(b):.1f}"'
            yield f'<circle class="end l{number % 8}" {center} r="4"><title>{b:.0f}</title></circle>'
    if line:
        yield _text(x.at(line[-1][0]) + 10, y.at(line[-1][1]) + 4, label, "start", "small")


def _grid(axis: Axis, bottom: float, unit: str) -> Iterator[str]:
    for tick in axis.ticks():
        x = axis.at(tick)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="8" y2="{bottom}"/>'
        yield _text(x, bottom + 16, f"{tick:g}", "middle", "small")
    yield _text(axis.end + 8, bottom + 16, unit, "start", "small")


def _goals(axis: Axis, goals: Mapping[str, float], height: float) -> Iterator[str]:
    for name, value in goals.items():
        x = axis.at(value)
        ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="8" y2="{height - 22}"'
        yield f'<line class="goal" {ends}><title>{escape(name)}</title></line>'


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _svg(height: float, name: str, parts: Sequence[str]) -> str:
    about = f'role="img" aria-label="{escape(name, quote=True)}"'
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" {about}>{"".join(parts)}</svg>'
