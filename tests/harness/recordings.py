"""Calls that are recorded, and recordings that are held against today's code.

A user's bug becomes a test like this: `vivavoce replay FOLDER --pack tests/data/recordings/NAME`, and
`test_recorded_calls.py` replays it from then on. What the code should have done instead is asserted there, on
the `Replay` that `replayed` returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from harness import virtual_time
from harness.fakes import LinePeer, ScriptedDialogue, complete, energy
from harness.tools import runner
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.monitor.latency import TurnLatency
from vivavoce.realtime.monitor.watchdog import Watchdog
from vivavoce.realtime.peers.sideband import Peers
from vivavoce.realtime.pipeline import Parts, Pipeline
from vivavoce.realtime.recording.reader import RecordingReader
from vivavoce.realtime.recording.recorder import Recordings
from vivavoce.realtime.recording.replay import Models, Replay
from vivavoce.realtime.recording.summary import Line, Summary
from vivavoce.realtime.recording.writer import MAX_BYTES
from vivavoce.realtime.session.opening import SessionDefaults, SessionRequest, new_session, random_ids
from vivavoce.realtime.transports import PeerGone
from vivavoce.realtime.turns.barge_in import ClassifyOverlap
from vivavoce.realtime.turns.classifiers import Classifiers
from vivavoce.realtime.turns.floor import Floor
from vivavoce.realtime.turns.windows import MicrophoneWindows

Test = Callable[[LinePeer], Awaitable[None]]

NOON = datetime(2026, 11, 22, 12, 5, tzinfo=UTC)


def record(
    test: Test,
    dialogue: ScriptedDialogue,
    folder: Path,
    plays: bool = True,
    notice: str | None = None,
    wanted: SessionRequest | None = None,
    max_bytes: int = MAX_BYTES,
    overhear: ClassifyOverlap | None = None,
) -> LinePeer:
    """Runs `test` as the peer of a call on the virtual clock, recorded into the only folder in `folder`."""
    recordings = Recordings(str(folder), lambda: NOON, {}, max_bytes)

    async def main() -> LinePeer:
        peer, playout = LinePeer(plays), Playout()
        wanted_now = wanted or SessionRequest(extras=True)
        new = new_session(plays, wanted_now, random_ids(), 1_000, defaults=SessionDefaults(notice=notice))
        recording = recordings.begin("rtc_test", new)
        assert recording is not None
        playout = recording.playout(playout)
        session = recording.session(new.begin(playout))
        floor = recording.floor(Floor(None, overhear and recording.scores(overhear)))
        windows = recording.windows(MicrophoneWindows(recording.probability(energy), floor))
        classifiers = Classifiers(complete, windows)
        latency, watchdog = recording.latency(TurnLatency()), recording.watchdog(Watchdog(playout))
        parts = Parts(Peers(peer), dialogue, session, playout, windows, classifiers, latency, runner(), watchdog)

        async def scenario() -> None:
            await peer.until("session.created")
            await test(peer)
            peer.leave()

        try:
            async with asyncio.TaskGroup() as tasks:
                peer.pipeline = Pipeline(parts)
                tasks.create_task(peer.pipeline.run())
                tasks.create_task(scenario())
        except* PeerGone:
            pass
        recording.finish("over")  # on this thread: the virtual clock does not wait for others
        return peer

    return virtual_time.run(main())


def only(folder: Path) -> Path:
    """The one recording in a folder."""
    (recording,) = folder.iterdir()
    return recording


def replayed(folder: Path, against: Models | None = None) -> tuple[Replay, list[Line]]:
    """A replay of the recording in `folder`, and what was said in it. Raises `BadTape`."""
    summary = Summary()
    replay = Replay(RecordingReader(folder), against, summary.receive)
    replay.run()
    return replay, list(summary.lines())
