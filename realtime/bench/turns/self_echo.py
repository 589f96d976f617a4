"""Measure self-echo: replies played into a room whose microphone picks them up, at virtual time.

    50 replies ──► loudspeaker ──► delay, room, noise ──► microphone ──► FrontEnd ──► MicrophoneWindows, Floor
                        └──────────────── reference ─────────────────────────┘            └──► turns that no user began

`self_interruptions` counts turns that no user began. `yields` is its counterpart: a user speaks over a reply, in the
same room, and has to get the floor. Texts, voice and seeds determine everything. The floor has no overlap classifier
here: the front end alone keeps user and echo apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.model.training.data.sounds import room, white
from vivavoce.realtime.audio.front_end import FrontEnd
from vivavoce.realtime.events import Overlapped, TurnDetection, TurnStarted
from vivavoce.realtime.turns.floor import FloorFact
from vivavoce.realtime.turns.windows import MicrophoneWindows

PER_CALL: Final = 5
"""Replies of one call. In each call the canceller begins without knowing the room."""

PAUSE: Final = SAMPLE_RATE
"""Samples of silence before the first reply, between replies and after the last."""

SPOKEN_AT: Final = 1.5
"""Seconds into a reply at which the user speaks over it."""

_OPENINGS: Final = (
    "Of course, I can help you with that.",
    "That is a good question.",
    "Let me think about it for a moment.",
    "Well, there are two ways to do this.",
    "Sure, here is what I know.",
)
_ANSWERS: Final = (
    "The museum opens at nine in the morning and closes at six in the evening, except on Mondays.",
    "Canberra is the capital of Australia, although many people think that it is Sydney.",
    "You need two eggs, a cup of flour, some butter and a little milk. Mix everything well.",
    "It will rain in the afternoon, so you had better take an umbrella with you.",
    "The train leaves from platform four at twenty past eight, and you have to change once.",
    "Light takes about eight minutes to come from the sun to the earth.",
    "First turn off the power. Then unscrew the cover and look for a small red switch.",
    "There are three pharmacies near you, and one of them is open all night.",
    "Your next appointment is on Thursday at half past two, with Doctor Miller.",
    "She wrote the book in nineteen fifty two, while she was living in Paris.",
)
REPLIES: Final = tuple(f"{opening} {answer}" for opening, answer in product(_OPENINGS, _ANSWERS))
"""50 different replies."""

INTERRUPTIONS: Final = (
    "Wait a moment, that is not what I meant.",
    "No, stop, I wanted to go to Hamburg instead.",
    "Hold on, can you say that again, please?",
    "Actually, never mind, tell me about the weather.",
    "Excuse me, how long does that take?",
)


@dataclass(frozen=True, slots=True)
class EchoPath:
    """From loudspeaker to microphone: `level_db` of the echo relative to playback, `delay` in seconds, `rt60` of the
    room in seconds (0: direct sound only), and the microphone's own noise at `noise_db` dBFS."""

    level_db: float
    delay: float = 0.08
    rt60: float = 0.0
    noise_db: float = -65.0

    def echo(self, played: Samples, seed: int) -> Samples:
        """The microphone's sound while `played` plays, of the same length."""
        sound = room(played, seed, self.rt60) if self.rt60 else played
        late = np.concatenate((np.zeros(round(self.delay * SAMPLE_RATE), np.float32), sound))[: len(played)]
        noise = white(len(played) / SAMPLE_RATE, seed)
        noise *= 10 ** (self.noise_db / 20) / np.sqrt(np.square(noise).mean())
        return np.asarray(late * 10 ** (self.level_db / 20) + noise, np.float32)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of `replies` replies, how many were cut by their own echo, and how many were ducked by it."""

    replies: int
    cut: int
    ducked: int


@dataclass(frozen=True, slots=True)
class Setup:
    """`windows` and `front_end` make those of a new call."""

    windows: Callable[[], MicrophoneWindows]
    front_end: Callable[[], FrontEnd]


def self_interruptions(replies: Sequence[Samples], path: EchoPath, setup: Setup) -> Outcome:
    """Plays `replies` in calls of `PER_CALL` with a silent user."""
    cut = ducked = 0
    for first in range(0, len(replies), PER_CALL):
        played, spans = _one_after_the_other(replies[first : first + PER_CALL])
        facts = list(_call(played, path.echo(played, first), spans, setup))
        for start, end in spans:
            in_reply = [fact for at, fact in facts if start <= at < end + PAUSE]
            cut += any(isinstance(fact, TurnStarted) for fact in in_reply)
            ducked += any(isinstance(fact, Overlapped) for fact in in_reply)
    return Outcome(len(replies), cut, ducked)


def yields(replies: Sequence[Samples], users: Sequence[Samples], path: EchoPath, setup: Setup) -> list[float | None]:
    """Lets a user speak over each reply, `users` in turn. Seconds from the user's first sample to the start of the
    turn, None where there is none."""
    waits: list[float | None] = []
    for number, reply in enumerate(replies):
        played, spans = _one_after_the_other([reply])
        begin = spans[0][0] + round(SPOKEN_AT * SAMPLE_RATE)
        picked_up = path.echo(played, number)
        user = users[number % len(users)][: len(played) - begin]
        picked_up[begin : begin + len(user)] += user
        taken = [at for at, fact in _call(played, picked_up, spans, setup) if isinstance(fact, TurnStarted)]
        waits.append(next(((at - begin) / SAMPLE_RATE for at in taken if begin <= at), None))
    return waits


def _one_after_the_other(replies: Sequence[Samples]) -> tuple[Samples, list[tuple[int, int]]]:
    """The replies with pauses, in whole frames, and where each begins and ends."""
    parts, spans, at = [np.zeros(PAUSE, np.float32)], [], PAUSE
    for reply in replies:
        spans.append((at, at + len(reply)))
        padded = np.pad(reply, (0, PAUSE + -len(reply) % FRAME))
        parts.append(padded)
        at += len(padded)
    return np.concatenate(parts), spans


def _call(
    played: Samples, picked_up: Samples, spans: Sequence[tuple[int, int]], setup: Setup
) -> Iterator[tuple[int, FloorFact]]:
    """One call, frame by frame: (sample, fact of the floor). Each turn is released as soon as it begins."""
    windows, front_end = setup.windows(), setup.front_end()
    windows.floor.retune(TurnDetection())
    for at in range(0, len(played), FRAME):
        front_end.play(played[at : at + FRAME])
        audible = any(start <= at < end for start, end in spans)
        cleaned = front_end.receive(picked_up[at : at + FRAME])
        for fact in windows.receive(cleaned, audible, busy=False):
            yield at + FRAME, fact
            if isinstance(fact, TurnStarted):
                windows.floor.release()
