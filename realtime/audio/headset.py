"""Detects that there is no echo: with a headset, or a browser that cancels it.

    10 ms of the loudspeaker, 10 ms of the microphone ──► was the microphone quiet while the assistant spoke?

AEC3 expects an echo until ten seconds of speech have shown that there is none. Meanwhile it attenuates speech over the
assistant, by 20 dB at first. Levels show it sooner: an echo cannot be quieter than silence. The module is a core."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples

FRAME: Final = SAMPLE_RATE // 100

SPEAKING: Final = 10 ** (-45 / 20)
"""RMS of the loudspeaker from which the assistant is speaking."""
QUIET: Final = 10 ** (-62 / 20)
"""RMS of the microphone below which there is no relevant echo. (The VAD still detects it: such sound stays cleaned.)"""
VOICE: Final = 10 ** (-44 / 20)
"""RMS of the microphone from which, with a headset, the user speaks ..."""
GOES_ON: Final = 20
"""... and for so many frames (0.2 s) after that."""

LONGEST: Final = 50
"""Frames (0.5 s) that an echo may be late."""
MOSTLY: Final = 30
"""Frames of them in which the assistant has to speak, so that its echo would be audible now."""
SURE: Final = 40
"""Quiet frames in a row (0.4 s) after which there is no echo. A faint one shows in every syllable."""
DOUBT: Final = 60
"""Loud frames in excess of quiet ones (0.6 s) after which there is an echo after all: longer than a user speaks over
the assistant before it stops."""


class Headset:
    """Counts quiet and loud frames of one microphone. `on`: nearly nothing of the loudspeaker reaches it."""

    def __init__(self) -> None:
        self.on = False
        self.user = False
        """The user speaks: the sound is not the assistant's echo."""
        self._spoken: deque[bool] = deque([False] * LONGEST, maxlen=LONGEST)
        self._quiet = 0  # frames in a row
        self._loud = 0  # frames in excess of quiet ones, since it is on
        self._silent = GOES_ON  # frames since the user spoke

    def receive(self, loudspeaker: Samples, microphone: Samples) -> None:
        """Takes the next whole frames of both, shape (n * FRAME,) each."""
        for played, heard in zip(_levels(loudspeaker), _levels(microphone), strict=True):
            self._spoken.append(played > SPEAKING)
            self._silent = 0 if heard > VOICE else self._silent + 1
            if sum(self._spoken) >= MOSTLY:
                self._weigh(heard < QUIET)
        self.user = self.on and self._silent < GOES_ON

    def _weigh(self, quiet: bool) -> None:
        self._quiet = self._quiet + 1 if quiet else 0
        self._loud = max(self._loud + (-1 if quiet else 1), 0)
        if self._quiet >= SURE:
            self.on, self._loud = True, 0
        elif self._loud > DOUBT:
            self.on = False


def _levels(samples: Samples) -> list[float]:
    frames = samples.reshape(-1, FRAME)
    levels: list[float] = np.sqrt(np.einsum("nt,nt->n", frames, frames) / FRAME).tolist()
    return levels
