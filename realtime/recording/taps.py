"""The taps of a recording in a call.

A call passes each of its cores, and each network that a core calls, through here while it is built:

    windows = taps.windows(MicrophoneWindows(taps.probability(vad), taps.floor(Floor(None, taps.scores(classifier)))))

`Taps` returns everything as it is; `recorder.Recording` returns a wrapper that records the calls.
"""

from __future__ import annotations

from collections.abc import Callable

from vivavoce.codecs.audio import Samples
from vivavoce.model.turns.overlap_classifier import Scores
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.monitor.latency import TurnLatency
from vivavoce.realtime.monitor.watchdog import Watchdog
from vivavoce.realtime.session.session import Session
from vivavoce.realtime.turns.floor import Floor
from vivavoce.realtime.turns.windows import MicrophoneWindows


class Taps:
    """Records nothing."""

    def session(self, session: Session) -> Session:
        return session

    def playout(self, playout: Playout) -> Playout:
        return playout

    def floor(self, floor: Floor) -> Floor:
        return floor

    def windows(self, windows: MicrophoneWindows) -> MicrophoneWindows:
        return windows

    def latency(self, latency: TurnLatency) -> TurnLatency:
        return latency

    def watchdog(self, watchdog: Watchdog) -> Watchdog:
        return watchdog

    def probability(self, vad: Callable[[Samples], float]) -> Callable[[Samples], float]:
        """The probability of speech in a window."""
        return vad

    def scores(self, classifier: Callable[[bool], Scores]) -> Callable[[bool], Scores]:
        """The scores of sound over the assistant."""
        return classifier
