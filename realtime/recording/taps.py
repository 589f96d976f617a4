"""The places at which a recording looks into a call.

A call passes each of its cores, and each network that a core asks, through here while it is built:

    windows = taps.windows(MicrophoneWindows(taps.probability(vad), taps.floor(Floor(None, taps.scores(classifier)))))

`Taps` hands everything on as it is; `recorder.Recording` hands on a stand-in that writes down what the core is asked.
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
    """Looks at nothing."""

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
        """Of speech in a window."""
        return vad

    def scores(self, classifier: Callable[[bool], Scores]) -> Callable[[bool], Scores]:
        """Of sound over the assistant."""
        return classifier
