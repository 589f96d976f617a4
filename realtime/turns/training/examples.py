"""Overlaps to what the network sees of them: features from three windows before the first voiced one on.

    Overheard ─► Silero, window by window ─► first voiced window ─► features of LEAD + WINDOWS windows, label

Sounds at which the speech net stays silent are left out: nobody asks about them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.realtime.turns.backchannel import FRAME, HOP, LEAD, STEP, WINDOW, Features
from vivavoce.realtime.turns.speech import SpeechNet, silero_path
from vivavoce.realtime.turns.training.mixing import LENGTH, Overheard, Recordings, Surroundings, overhear

WINDOWS: Final = 40
"""From the first voiced one on: 1.28 s."""
FRAMES: Final = (LEAD + 1 + WINDOWS) * STEP
"""Feature frames of an example, those of one window before included."""
VOICED: Final = 0.5
EARLIEST: Final = 2 * WINDOW
"""Samples by which the speech net may be ahead of the marked beginning."""


def make(folder: Path, count: int, seed: int, development: bool) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """`count` examples: features, shape (count, FRAMES, 40), and classes, shape (count,)."""
    recordings, rng = Recordings.read(folder, development), np.random.default_rng(seed)
    around = Surroundings.make(recordings, rng)
    net, features = SpeechNet(silero_path()), Features()
    made: list[NDArray[np.float16]] = []
    kinds: list[int] = []
    while len(made) < count:
        overheard = overhear(recordings, around, rng)
        first = first_voiced(overheard, net)
        if first is None:
            continue
        start = (first - LEAD - 1) * WINDOW
        end = (first + WINDOWS) * WINDOW
        sound = np.pad(overheard.sound, (FRAME - HOP, max(0, end - LENGTH)))[start : end + FRAME - HOP]
        made.append(features(sound).astype(np.float16))
        kinds.append(overheard.kind)
    return np.stack(made), np.array(kinds)


def first_voiced(overheard: Overheard, net: SpeechNet) -> int | None:
    """The window at which an overlap begins; None when the speech net does not notice it."""
    state = net.init_state()
    for window in range(LENGTH // WINDOW):
        voiced = net.step(overheard.sound[window * WINDOW : (window + 1) * WINDOW], state) >= VOICED
        if voiced and window > LEAD and (window + 1) * WINDOW > overheard.onset - EARLIEST:
            return window
    return None
