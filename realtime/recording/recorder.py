"""The recordings of one server: off, or one folder for each call.

Calls.run ──begin──► Recording ──watch──► the call's cores, recorded      ──close──► folder complete
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.turns.overlap_classifier import Scores
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.monitor.latency import TurnLatency
from vivavoce.realtime.monitor.watchdog import Watchdog
from vivavoce.realtime.recording.event_recorder import EventRecorder
from vivavoce.realtime.recording.taps import Taps
from vivavoce.realtime.recording.writer import MAX_BYTES, Writer
from vivavoce.realtime.session.opening import NewSession
from vivavoce.realtime.session.session import Options, Session
from vivavoce.realtime.turns.floor import Floor
from vivavoce.realtime.turns.windows import MicrophoneWindows

log = logging.getLogger(__name__)

FORMAT: Final = 2
"""Of the folder. 2: tags without modules (serialization.py); the session core changes the playout by actions. Format 1
is still read (format1.py)."""

DEADLINE: Final = 3.0
"""Seconds that the end of a call waits for the disk."""


class Recordings:
    """Begins the recording of each call, if `folder` is given ("" for none). `clock` names the folders; `about`, the
    models, goes into each recording."""

    def __init__(
        self, folder: str, clock: Callable[[], datetime], about: Mapping[str, str], max_bytes: int = MAX_BYTES
    ) -> None:
        self._folder = Path(folder) if folder else None
        self._clock = clock
        self._about = dict(about)
        self._max_bytes = max_bytes

    def begin(self, call_id: str, new: NewSession) -> Recording | None:
        """The recording of a call that has not begun; None when they are off."""
        if self._folder is None:
            return None
        now = self._clock()
        writer = Writer(self._folder / f"{now:%Y%m%d-%H%M%S}-{call_id}", self._max_bytes)
        recording = Recording(writer)
        options = new.options
        recording.events.head(
            format=FORMAT,
            vivavoce=version("vivavoce"),
            began=now.isoformat(timespec="seconds"),
            rate=SAMPLE_RATE,
            models=self._about,
            plays=new.plays,
            seed=new.ids.seed,
            responses=options.responses.limit if options.responses else None,
            options={name: getattr(options, name) for name in given(options)},
        )
        return recording


def given(options: Options) -> list[str]:
    """The options of a session that are values; a replay makes the others anew."""
    made = ("decode", "decode_sound", "responses", "abilities")
    return [field.name for field in fields(options) if field.name not in made]


class Recording(Taps):
    """The taps of one call, which record the calls of its cores."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.events = EventRecorder(self._line, writer.blob, writer.sound, self._fail, secrets.token_bytes(16))

    def session(self, session: Session) -> Session:
        return self.events.watch("session", session, reads=("response_id", "item_id", "check"))

    def playout(self, playout: Playout) -> Playout:
        reads = ("heard", "pushed", "left", "chars_at", "finished")
        return self.events.watch("playout", playout, reads=reads, right=True)

    def floor(self, floor: Floor) -> Floor:
        barge_in = floor.barge_in
        self.events.head(overhears=barge_in.overlap_classifier is not None, ears=barge_in.asr)
        return self.events.watch("floor", floor)

    def windows(self, windows: MicrophoneWindows) -> MicrophoneWindows:
        return self.events.watch("listener", windows, reads=("recent",), left=True)

    def latency(self, latency: TurnLatency) -> TurnLatency:
        return self.events.watch("latency", latency)

    def watchdog(self, watchdog: Watchdog) -> Watchdog:
        self.events.head(watchdog={"patience": watchdog.patience, "tools": watchdog.tools})
        return self.events.watch("watchdog", watchdog)

    def probability(self, vad: Callable[[Samples], float]) -> Callable[[Samples], float]:
        return self.events.chance("speech", vad)

    def scores(self, classifier: Callable[[bool], Scores]) -> Callable[[bool], Scores]:
        return self.events.chance("overlap", classifier)

    async def close(self, reason: str) -> None:
        """Completes the files, on another thread. `reason`, one word, is in the last line."""
        await asyncio.to_thread(self.finish, reason)

    def finish(self, reason: str) -> None:
        """Completes the files."""
        self.events.close(reason)
        self._writer.close(DEADLINE)
        if self._writer.failed:
            log.warning("recording ended early", extra={"reason": self._writer.failed})

    def _line(self, text: bytes) -> None:
        self._writer.line(text)
        if self._writer.failed:
            self.events.stop()

    def _fail(self, why: str) -> None:
        self._writer.line(b'{"end": "broken: a value that cannot be recorded"}\n')
        log.error("recording ended early", extra={"reason": why})
