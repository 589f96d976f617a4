"""Cleans the microphone between transport and turn-taking: removes the echo, suppresses noise, amplifies quiet speech.

    loudspeaker ──play────► Reference ───────────────┐ (the played sound, paired with the microphone by count)
    microphone ──receive──► HighPass ──► canceller ──┴──► suppressor ──► Gain ──► the same sound, cleaned
                                             └── echo: its share of the power

The filters are WebRTC's (AEC3 and its noise suppressor), which take frames and have no clock. Samples are counted
exactly: as many come out as went in, `delay` samples later, but for less than a frame that waits; `flush` returns it.
With nothing selected sound passes through the high-pass alone. The module is a core. It decides nothing about turns.

`Reference` pairs the sound of the loudspeaker with that of the microphone:

    play ──push──► [ up to half a second ] ──take(n), with n samples of the microphone──► canceller

Both sides count samples of the same nominal rate, so pairing is by count, and the network's jitter does not move it:
while microphone packets are late the queue grows, and it shrinks again when they come. The canceller finds the echo's
delay by itself, as long as the reference comes before the echo and does not move. So the queue moves only when it has
to: it grows when it runs dry, and shrinks when it has been too long for a second (clocks drift).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from pywebrtc_audio import AudioProcessor, NoiseSuppressor

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.realtime.audio.gain import Gain
from vivavoce.realtime.audio.headset import Headset
from vivavoce.realtime.audio.high_pass import HighPass
from vivavoce.realtime.audio.self_echo import SelfEcho
from vivavoce.realtime.events import Noise

CANCELLER_DELAY: Final = 223
"""Samples (9.3 ms) by which the canceller delays the sound: its filters at 32 kHz, where it works."""

SUPPRESSOR_DELAY: Final = 96
"""Samples (4 ms) by which the suppressor delays it: its windows overlap by so much."""

_NONE: Final = np.zeros(0, np.float32)


class FrontEnd:
    """One call's microphone path."""

    def __init__(self, cancel: bool = False) -> None:
        """`cancel`: the echo of the sound given to `play` is removed."""
        self._high_pass = HighPass()
        self._canceller = _Canceller() if cancel else None
        self._cleaner: _Cleaner | None = None
        self._noise: Noise | None = None
        self._rest = _NONE  # sound that a former cleaner had not returned

    @property
    def echo(self) -> float:
        """The share (0..1) of the microphone's power in the last 30 ms that was removed as echo; 0 when nothing was
        played for half a second."""
        return self._canceller.echo if self._canceller else 0.0

    @property
    def delay(self) -> int:
        """Samples by which the sound is delayed, apart from those that wait for a full frame."""
        return (CANCELLER_DELAY if self._canceller else 0) + (SUPPRESSOR_DELAY if self._cleaner else 0)

    def retune(self, noise: Noise | None) -> None:
        """Takes the session's noise reduction, at any time; the canceller keeps what it has learned."""
        if noise == self._noise:
            return
        if self._cleaner:
            self._rest = self._cleaner.frames.rest
        self._cleaner = _Cleaner(noise) if noise else None
        self._noise = noise

    def play(self, samples: Samples) -> None:
        """Takes the sound that just left for the loudspeaker: mono, `SAMPLE_RATE`, shape (n,), silence included."""
        if self._canceller:
            self._canceller.play(samples)

    def receive(self, samples: Samples) -> Samples:
        """Takes the microphone's next sound, shape (n,); returns the part that is ready, cleaned: maybe none."""
        samples = self._high_pass.receive(samples)
        if self._canceller:
            samples = self._canceller.receive(samples)
        return self._clean(samples)

    def flush(self) -> Samples:
        """Returns the sound that waited for a full frame, before the client closes a turn."""
        rest = self._clean(self._canceller.flush()) if self._canceller else self._clean(_NONE)
        return np.concatenate((rest, self._cleaner.flush(self.echo))) if self._cleaner else rest

    def _clean(self, samples: Samples) -> Samples:
        if len(self._rest):
            samples, self._rest = np.concatenate((self._rest, samples)), _NONE
        return self._cleaner.receive(samples, self.echo) if self._cleaner else samples


class _Canceller:
    """WebRTC's AEC3. `echo` as in `FrontEnd`."""

    def __init__(self) -> None:
        self._processor = AudioProcessor(SAMPLE_RATE, echo_cancellation=True)
        self._reference = Reference()
        self._headset = Headset()
        self._self_echo = SelfEcho()
        self._untouched = 0.0  # how much of what comes out is as it came in
        self._frames = _Frames(SAMPLE_RATE // 100)
        self._before = np.zeros(CANCELLER_DELAY, np.float32)  # what went in and has not come out
        self._picked_up = self._left = 0.0  # mean power before and after
        self._quiet = _ECHO_LASTS  # samples since the loudspeaker's last sound
        self._unused = 0  # samples of the reference since its last sound

    @property
    def echo(self) -> float:
        if self._quiet >= _ECHO_LASTS or not self._picked_up:
            return 0.0
        return min(max(1 - self._left / self._picked_up, 0.0), 1.0)

    def play(self, samples: Samples) -> None:
        self._quiet = 0 if samples.any() else self._quiet + len(samples)
        self._reference.push(samples)

    def receive(self, samples: Samples) -> Samples:
        return self._process(self._frames.fill(samples))

    def flush(self) -> Samples:
        frame, n = self._frames.flush()
        return self._process(frame)[:n]

    def _process(self, samples: Samples) -> Samples:
        if not len(samples):
            return samples
        played = self._reference.take(len(samples))
        sound = np.concatenate((self._before, samples))
        before, self._before = sound[: len(samples)], sound[len(samples) :]
        self._headset.receive(played, samples)
        chosen = self._self_echo.silence(played, samples, self._cancelled(played, samples, before))
        share = min(len(samples) / _MEMORY, 1.0)
        self._picked_up += share * (_power(before) - self._picked_up)
        self._left += share * (_power(chosen) - self._left)
        limited: Samples = np.clip(chosen, -1, 1)
        return limited

    def _cancelled(self, played: Samples, samples: Samples, before: Samples) -> Samples:
        """The cleaned sound; while the user speaks into a headset, or nothing was played for long, the sound as it
        came, with the same delay: `before`."""
        wakes = self._unused >= _RESTS
        self._unused = 0 if played.any() else self._unused + len(played)
        if self._unused >= _RESTS:  # the filter keeps what it has learned of the room
            self._untouched = 1.0
            return before
        cleaned: Samples = self._processor.process(samples, played)
        # The first frame after a rest: the processor's windows still hold sound of long ago.
        was, self._untouched = self._untouched, float(wakes or self._headset.user)
        if was == self._untouched:
            return before if was else cleaned
        ramp = np.linspace(was, self._untouched, len(cleaned), dtype=np.float32)
        return cleaned + ramp * (before - cleaned)


class _Cleaner:
    """Noise suppression and gain.

    The suppressor takes 24 kHz as if they were 16: it works on windows and bands, not in Hertz. So it covers the whole
    band without a change of rate, at a quarter of the cost and with half the delay, and speech in pink noise has a
    decibel or two less damage than at its own rates."""

    def __init__(self, noise: Noise) -> None:
        level, most = _FIELDS[noise.kind]
        self._suppressor = NoiseSuppressor(16_000, level=round(min(max(level * noise.strength, 0), _STRONGEST)))
        self._gain = Gain(most)
        self.frames = _Frames(160)

    def receive(self, samples: Samples, echo: float) -> Samples:
        return self._process(self.frames.fill(samples), echo)

    def flush(self, echo: float) -> Samples:
        frame, n = self.frames.flush()
        return self._process(frame, echo)[:n]

    def _process(self, samples: Samples, echo: float) -> Samples:
        if not len(samples):
            return samples
        cleaned: Samples = np.clip(self._suppressor.process(samples), -1, 1)
        speech = self._suppressor.speech_probability if echo < _MOSTLY_ECHO else 0.0
        return self._gain.receive(cleaned, speech)


class _Frames:
    """Cuts sound of any length into whole frames. `rest`: waits for more."""

    def __init__(self, frame: int) -> None:
        self._frame = frame
        self.rest = _NONE

    def fill(self, samples: Samples) -> Samples:
        """Takes sound; returns all whole frames, in one piece."""
        sound = np.concatenate((self.rest, samples)) if len(self.rest) else samples
        whole = len(sound) // self._frame * self._frame
        self.rest = sound[whole:]
        return sound[:whole]

    def flush(self) -> tuple[Samples, int]:
        """The rest, padded with silence to a frame, and its number of samples without that."""
        rest, self.rest = self.rest, _NONE
        return np.concatenate((rest, np.zeros(-len(rest) % self._frame, np.float32))), len(rest)


def _power(samples: Samples) -> float:
    return float(np.dot(samples, samples)) / len(samples)


_FIELDS: Final = {"near_field": (1, 20.0), "far_field": (2, 30.0)}
"""The suppressor's level (0: 6 dB, 1: 12 dB, 2: 18 dB, 3: 21 dB) and the most gain, in dB."""

_STRONGEST = 3
_MOSTLY_ECHO = 0.5  # from here the speech is rather the assistant's, and says nothing about the user's level
_ECHO_LASTS = SAMPLE_RATE // 2  # samples of reverberation
_RESTS = SAMPLE_RATE * 3 // 2  # samples of the longest echo, and of the canceller's windows
_MEMORY = SAMPLE_RATE * 3 // 100  # samples that `echo` looks back


HEADROOM: Final = SAMPLE_RATE // 50
"""Samples (20 ms) that wait after the queue ran dry, so that it does not run dry again at once. Less than the delay of
any echo: sound crosses two jitter buffers and a room."""

SLACK: Final = SAMPLE_RATE * 3 // 50
"""Samples (60 ms) that may always wait: each move costs the canceller a moment."""

FAR: Final = SAMPLE_RATE // 4
"""Samples (250 ms) of constant waiting that are cut even while sound plays; fewer are cut in a pause."""

BOUND: Final = SAMPLE_RATE // 2
"""Samples (500 ms) kept while no microphone sound comes."""

WATCHED: Final = SAMPLE_RATE
"""Samples (1 s) over which the queue's shortest length is measured."""


class Reference:
    """The queue of one call. `waiting` counts its samples."""

    def __init__(self) -> None:
        self._queue: Samples = np.zeros(0, np.float32)
        self._shortest = BOUND
        self._watched = 0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def push(self, samples: Samples) -> None:
        """Takes the sound that just left for the loudspeaker, silence included, shape (n,)."""
        self._queue = np.concatenate((self._queue, samples))[-BOUND:]

    def take(self, n: int) -> Samples:
        """The sound that belongs to the next `n` samples of the microphone, shape (n,)."""
        if len(self._queue) < n:  # late, or the microphone's clock is faster, or a whole recording came at once
            self._queue = np.concatenate((self._queue, np.zeros(n - len(self._queue) + HEADROOM, np.float32)))
        taken, self._queue = self._queue[:n], self._queue[n:]
        self._shortest = min(self._shortest, len(self._queue))
        self._watched += n
        if self._watched >= WATCHED:
            self._shorten(self._shortest)
            self._shortest, self._watched = BOUND, 0
        return taken

    def _shorten(self, spare: int) -> None:
        surplus = spare - HEADROOM
        if spare > SLACK and (spare > FAR or not self._queue[:surplus].any()):
            self._queue = self._queue[surplus:]
