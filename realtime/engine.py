"""The models of one process, loaded once and shared by its calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from vivavoce.codecs.audio import Samples
from vivavoce.model.abilities import Abilities
from vivavoce.model.cascade import Cascade
from vivavoce.model.dialogue import Dialogue
from vivavoce.model.settings import CascadeSettings
from vivavoce.model.turns.overlap_classifier import OverlapClassifier
from vivavoce.model.turns.silero_vad import SileroVad
from vivavoce.model.turns.smart_turn import SmartTurn
from vivavoce.realtime.recording.taps import Taps
from vivavoce.realtime.turns.floor import Floor
from vivavoce.realtime.turns.windows import MicrophoneWindows


class Models(Protocol):
    """What answers: one dialogue for each call."""

    @property
    def lateness(self) -> float:
        """Seconds by which a piece of work was late at worst in the last ten."""

    @property
    def abilities(self) -> Abilities:
        """What sessions may ask of it."""

    def open(self) -> Dialogue:
        """A new conversation, on the running event loop. Raises `DialogueError` when there is no room for one more."""

    def close(self) -> None:
        """Frees everything, after the last call."""


class Engine:
    """Weights and threads. Loading blocks for seconds: do it on a thread."""

    def __init__(
        self,
        settings: CascadeSettings,
        directory_of: Callable[[str], Path],
        models: Callable[[CascadeSettings, Callable[[str], Path]], Models] = Cascade,
    ) -> None:
        """`directory_of` gives the folder of a catalog artefact; it raises `ModelError` for one that is not there.
        `models`: loads what answers."""
        self._settings = settings
        self._vad = SileroVad(directory_of("silero-vad"))
        self._overlap = OverlapClassifier()
        (file,) = directory_of("smart-turn").glob("*.onnx")
        self._smart_turn = SmartTurn(file)
        self.cascade = models(settings, directory_of)

    @property
    def about(self) -> dict[str, str]:
        """Which models there are, by name; of one at an endpoint not the address."""
        model = self._settings
        language = model.endpoint_model if model.remote else model.language
        return {"ears": model.spoken, "language": language, "voice": model.voice}

    def windows(self, taps: Taps) -> MicrophoneWindows:
        """The microphone of a new call, with its floor."""
        vad, overlap = self._vad.init_state(), self._overlap.init_state()
        floor = taps.floor(Floor(None, taps.scores(overlap.scores), asr=True))
        probability = taps.probability(lambda window: self._vad.step(window, vad))
        return taps.windows(MicrophoneWindows(probability, floor, overlap.push))

    async def end_of_turn(self, sound: Samples) -> float:
        """The probability (0..1) that the turn is complete whose end `sound` is: the last 8 s at 16 kHz."""
        return await asyncio.to_thread(self._smart_turn.complete, sound)

    def close(self) -> None:
        self.cascade.close()
