"""Replays a recording: makes the recorded calls on fresh cores, and compares the results.

    RecordingReader ──entry──► the same method of the same core ──► result ══ the recorded one?  ──no──► Difference

Results that another core takes as arguments come from this run, so a changed floor shows its effect on the session. The
replay has no models: the recording holds the reply's tokens, and the outputs of VAD and classifiers. `against` runs
real models beside them and keeps their outputs, without passing them to the cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from vivavoce.codecs.audio import Samples
from vivavoce.model.turns.overlap_classifier import Scores
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.monitor.latency import TurnLatency
from vivavoce.realtime.monitor.watchdog import Watchdog
from vivavoce.realtime.recording.event_recorder import CHANCE_DIGITS, HIDDEN, REMEMBERED
from vivavoce.realtime.recording.format1 import OldSession, OldWatchdog
from vivavoce.realtime.recording.reader import Accepted, BadRecording, RecordingReader
from vivavoce.realtime.recording.serialization import Unrecordable, digest, plain, restored, to_bytes
from vivavoce.realtime.session.ids import Ids
from vivavoce.realtime.session.images import decode_image
from vivavoce.realtime.session.opening import seeded_ids
from vivavoce.realtime.session.rate_limit import Bucket
from vivavoce.realtime.session.session import Options, Session
from vivavoce.realtime.turns.endpointing import AskEndpoint
from vivavoce.realtime.turns.floor import Floor
from vivavoce.realtime.turns.windows import MicrophoneWindows

SHOWN: Final = 5
"""Calls before a difference that are shown with it."""

KEPT: Final = 100
"""Differences that are kept; all are counted."""


@dataclass(frozen=True, slots=True)
class Models:
    """Real networks: speech in a window of 512 samples at 16 kHz, completeness of a turn of up to 8 s."""

    speech: Callable[[Samples], float]
    complete: Callable[[Samples], float]


@dataclass(frozen=True, slots=True)
class Difference:
    """Entry `n` has another result than recorded, first at `path`. `before`: the calls just before it."""

    n: int
    call: str
    path: str
    recorded: Any
    now: Any
    before: tuple[str, ...]


@dataclass(slots=True)
class Outcome:
    """The outcome of a replay. `chances` and `verdicts`: (recorded, now), of the models that ran beside it."""

    calls: int = 0
    count: int = 0
    differences: list[Difference] = field(default_factory=list)
    chances: list[tuple[float, float]] = field(default_factory=list)
    verdicts: list[tuple[float, float]] = field(default_factory=list)


Follow = Callable[[dict[str, Any], list[Any], object], None]
"""Takes each entry, with the arguments and the result of this run."""


class Replay:
    """One replay of one recording."""

    def __init__(self, recording: RecordingReader, against: Models | None = None, follow: Follow | None = None) -> None:
        """Raises `BadRecording` for a header that cannot be read."""
        self.outcome = Outcome()
        self.accepted = Accepted()
        self._recording = recording
        self._against = against
        self._follow = follow
        self._calls: dict[int, dict[str, object]] = {}  # entry -> "with", "gave" of this run
        self._recent: deque[str] = deque(maxlen=SHOWN)
        self._chances: dict[str, deque[Any]] = {}
        self._pause: tuple[int, float] | None = None  # that is classified, and the output of the real classifier
        self.session, playout, watchdog = _cores(recording)
        overhear = self._scores if recording.header["overhears"] else None
        self._windows = MicrophoneWindows(self._probability, Floor(None, overhear, recording.header.get("ears", False)))
        self._cores: dict[str, object] = {
            "session": self.session if recording.format > 1 else OldSession(self.session, playout),
            "playout": playout,
            "listener": self._windows,
            "floor": self._windows.floor,
            "latency": TurnLatency(),
            "watchdog": watchdog if recording.format > 1 else OldWatchdog(watchdog),
        }

    def run(self) -> Outcome:
        """Raises `BadRecording` for an entry that this version does not have."""
        for entry in self._recording.entries:
            self._step(entry)
        return self.outcome

    def _step(self, entry: dict[str, Any]) -> None:
        n, call = entry["n"], entry["call"]
        self.outcome.calls += 1
        try:
            given = [self._argument(one) for one in entry.get("with", ())]
            named = {key: self._argument(one) for key, one in entry.get("by", {}).items()}
        except _Gone as gone:
            self._differ(entry, "with", "a result of an earlier call", str(gone))
            return
        except (Unrecordable, TypeError, KeyError) as error:
            raise BadRecording(f"entry {n} ({call}) cannot be read: {error}") from error
        self._chances = {name: deque(chances) for name, chances in entry.get("chances", {}).items()}
        self._classify_again(call, given)
        method = self._method(call, n)
        try:
            result: object = method(*given, **named)
        except Exception as error:  # the border of a core: a recorded call may have ended in its bug
            self._answered(entry, "raised", f"{type(error).__name__}: {error}")
            return
        self._calls[n] = {"with": given, "gave": result}
        self._calls.pop(n - REMEMBERED, None)
        self._answered(entry, "gave", plain(result, digest, _hide))
        if "right" in entry and (samples := getattr(result, "samples", None)) is not None:
            self._said(entry, to_bytes(samples))
        self._look(result)
        if self._follow is not None:
            self._follow(entry, given, result)
        self._recent.append(brief(entry))

    def _method(self, call: str, n: int) -> Callable[..., object]:
        core, _, name = call.partition(".")
        if core not in self._cores or name.startswith("_") or not hasattr(self._cores[core], name):
            raise BadRecording(f"entry {n} asks for {call}, which this version does not have.")
        method: Callable[..., object] = getattr(self._cores[core], name)
        return method

    def _argument(self, value: Any) -> Any:
        """An argument; one that refers to an earlier call is taken from this run."""
        if not (isinstance(value, dict) and value.get("is") == "ref"):
            return restored(value, self._recording.fetch)
        n, where, *index = value["to"]
        found: Any = self._calls.get(n, {}).get(where)
        if not index:
            return found
        if not isinstance(found, list | tuple) or index[0] >= len(found):
            raise _Gone(f"call {n} has no such result")
        return found[index[0]]

    def _said(self, entry: dict[str, Any], pcm: bytes) -> None:
        start = entry["right"]
        recorded = self._recording.side(1, start, len(pcm) // 2)  # shorter at the end of one that was cut
        if recorded != pcm[: len(recorded)]:
            self.accepted.right.append((start, pcm))
            self._differ(entry, "sound", f"the right side from sample {start}", "other samples")

    def _answered(self, entry: dict[str, Any], what: str, now: Any) -> None:
        call = {key: value for key, value in entry.items() if key not in ("gave", "raised")}
        self.accepted.entries.append({**call, what: now})
        if entry.get(what) != now or ("raised" in entry) != (what == "raised"):
            recorded = entry.get("gave", entry.get("raised"))
            self._differ(entry, *(first_difference(recorded, now, what) or (what, recorded, now)))

    def _differ(self, entry: dict[str, Any], path: str, recorded: Any, now: Any) -> None:
        self.outcome.count += 1
        if len(self.outcome.differences) < KEPT:
            found = Difference(entry["n"], brief(entry), path, recorded, now, tuple(self._recent))
            self.outcome.differences.append(found)

    # --- models beside the recording ---

    def _probability(self, window: Samples) -> float:
        chances = self._chances.get("speech")
        chance = chances.popleft() if chances else 0.0
        if self._against is not None:
            self.outcome.chances.append((chance, round(self._against.speech(window), CHANCE_DIGITS)))
        return chance

    def _scores(self, fresh: bool) -> Scores:
        chances = self._chances.get("overlap")
        return Scores(*chances.popleft()) if chances else Scores(0.0, 0.0, 0.0, 0.0)

    def _look(self, result: object) -> None:
        if self._against is not None and isinstance(result, list):
            for one in result:
                if isinstance(one, AskEndpoint) and self._pause is None:  # else the classifier was busy
                    self._pause = one.at, self._against.complete(self._windows.recent())

    def _classify_again(self, call: str, given: list[Any]) -> None:
        if call == "floor.end_of_turn" and self._pause is not None and self._pause[0] == given[0]:
            self.outcome.verdicts.append((given[1], self._pause[1]))
            self._pause = None


class _Gone(Exception):
    """An earlier call has fewer results than recorded."""


def first_difference(recorded: Any, now: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """Where two JSON values first differ, and how; None when they do not."""
    if isinstance(recorded, dict) and isinstance(now, dict) and recorded.get("is") == now.get("is"):
        for key in [*recorded, *(key for key in now if key not in recorded)]:
            if found := first_difference(recorded.get(key), now.get(key), f"{path}.{key}"):
                return found
        return None
    if isinstance(recorded, list) and isinstance(now, list):
        for i, (one, other) in enumerate(zip(recorded, now, strict=False)):
            if found := first_difference(one, other, f"{path}[{i}]"):
                return found
        if len(recorded) != len(now):
            n = min(len(recorded), len(now))
            return f"{path}[{n}]", recorded[n : n + 1], now[n : n + 1]
        return None
    return None if recorded == now else (path, recorded, now)


def brief(entry: dict[str, Any]) -> str:
    """An entry as a line: the call and its result."""
    given = ", ".join(_brief(one) for one in entry.get("with", ()))
    result = entry.get("gave", entry.get("raised"))
    results = " ".join(_brief(one) for one in result) if isinstance(result, list) else _brief(result)
    return f"{entry['n']}: {entry['call']}({given}) → {results or 'nothing'}"


def _brief(value: Any) -> str:
    match value:
        case {"is": "ref", "to": [n, where, *_]}:
            return f"#{n}" if where == "gave" else f"#{n}'s"
        case {"is": "Send", "event": {"is": name}}:
            return str(name)
        case {"is": name}:
            return str(name)
        case float():
            return f"{value:.3f}"
        case list():
            return f"[{len(value)}]"
    return str(value)[:40]


def _cores(recording: RecordingReader) -> tuple[Session, Playout, Watchdog]:
    """The cores that depend on the call, as they began in this one. Raises `BadRecording`."""
    header = recording.header
    try:
        limit = header["responses"]
        responses = None if limit is None else Bucket(limit)
        given = restored(header["options"], recording.fetch)
        options = Options(decode=decode_image, responses=responses, **given)
        ids: Ids = seeded_ids(header["seed"])
        playout = Playout()
        session = Session(options, playout, header["plays"], ids)
        return session, playout, Watchdog(playout, **header["watchdog"])
    except (KeyError, TypeError, Unrecordable) as error:
        raise BadRecording(f"the header of {recording.folder} cannot be read: {error}") from error


def _hide(secret: str) -> str:
    """All secrets of a recording are hidden already."""
    return secret if secret.startswith(HIDDEN) else f"{HIDDEN}?"
