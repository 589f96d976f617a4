"""The recordings of one server: off, or one folder for each call.

Calls.run ──begin──► Recording ──watch──► the call's own cores, written down      ──close──► folder complete
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.pipeline import Parts
from vivavoce.realtime.recording.event_recorder import EventRecorder
from vivavoce.realtime.recording.writer import MAX_BYTES, Writer
from vivavoce.realtime.session.session import Options, Session

log = logging.getLogger(__name__)

FORMAT: Final = 2
"""Of the folder. 2: tags without modules (serialization.py); the session core asks for the playout by actions. Format 1
is still read (format1.py)."""

DEADLINE: Final = 3.0
"""Seconds that the end of a call waits for the disk."""


class Recordings:
    """Begins the recording of each call, if `folder` is given ("" for none). `clock` names the folders; `about` goes
    into each recording: which models there were."""

    def __init__(
        self, folder: str, clock: Callable[[], datetime], about: Mapping[str, str], max_bytes: int = MAX_BYTES
    ) -> None:
        self._folder = Path(folder) if folder else None
        self._clock = clock
        self._about = dict(about)
        self._max_bytes = max_bytes

    def begin(self, call_id: str, session: Session, plays: bool) -> Recording | None:
        """The recording of a call that has not begun; None when they are off."""
        if self._folder is None:
            return None
        now = self._clock()
        writer = Writer(self._folder / f"{now:%Y%m%d-%H%M%S}-{call_id}", self._max_bytes)
        recording = Recording(call_id, writer)
        options, seed = session.origin
        recording.diary.head(
            format=FORMAT,
            vivavoce=version("vivavoce"),
            began=now.isoformat(timespec="seconds"),
            rate=SAMPLE_RATE,
            models=self._about,
            plays=plays,
            seed=seed,
            responses=options.responses.limit if options.responses else None,
            options={name: getattr(options, name) for name in given(options)},
        )
        return recording


def given(options: Options) -> list[str]:
    """The options of a session that are values; the others are made anew for a replay."""
    return [field.name for field in fields(options) if field.name not in ("decode", "responses")]


class Recording:
    """One call's. The cores are the call's own; who uses them goes by way of the diary."""

    def __init__(self, call_id: str, writer: Writer) -> None:
        self._call_id = call_id
        self._writer = writer
        self.diary = EventRecorder(self._line, writer.blob, writer.sound, self._fail, secrets.token_bytes(16))

    def cores(self, session: Session, playout: Playout) -> tuple[Session, Playout]:
        """For everybody who has to do with the call."""
        asked_often = ("heard", "pushed", "left", "chars_at", "finished")
        return (
            self.diary.watch("session", session, reads=("response_id", "item_id")),
            self.diary.watch("playout", playout, reads=asked_often, right=True),
        )

    def parts(self, parts: Parts) -> Parts:
        """The parts of a pipeline, made with these cores."""
        listener, watchdog, diary = parts.listener, parts.watchdog, self.diary
        barge_in = listener.floor.barge_in
        patience = {"patience": watchdog.patience, "tools": watchdog.tools}
        diary.head(watchdog=patience, overhears=barge_in.overlap_classifier is not None, ears=barge_in.asr)
        listener.probability = diary.chance("speech", listener.probability)
        if barge_in.overlap_classifier is not None:
            barge_in.overlap_classifier = diary.chance("overlap", barge_in.overlap_classifier)
        floor = diary.watch("floor", listener.floor)
        return replace(
            parts,
            listener=diary.watch("listener", listener, reads=("recent",), parts={"floor": floor}, left=True),
            latency=diary.watch("latency", parts.latency),
            watchdog=diary.watch("watchdog", watchdog),
        )

    async def close(self, reason: str) -> None:
        """Completes the files, on another thread. `reason` ends the log: one word."""
        await asyncio.to_thread(self.finish, reason)

    def finish(self, reason: str) -> None:
        """Completes the files."""
        self.diary.close(reason)
        self._writer.close(DEADLINE)
        if self._writer.failed:
            log.warning("recording ended early", extra={"call": self._call_id, "reason": self._writer.failed})

    def _line(self, text: bytes) -> None:
        self._writer.line(text)
        if self._writer.failed:
            self.diary.stop()

    def _fail(self, why: str) -> None:
        self._writer.line(b'{"end": "broken: a value that cannot be recorded"}\n')
        log.error("recording ended early", extra={"call": self._call_id, "reason": why})
