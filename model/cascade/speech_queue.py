"""Reply text to sound, clause by clause, on the voice's thread.

    say(text) ──► Clauses ──► one job per stretch of sound ──(voice's thread)──► deliver(Spoke) ... deliver(Silent)
                     └── openings of clauses, while there is nothing to be heard

Jobs of different conversations take turns by when they are needed, so nobody's first word waits for a stranger's third
sentence. Positions are counted from the beginning of the reply.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.cascade.threads import Threads
from vivavoce.model.cascade.tts import Speech, Voice
from vivavoce.model.cascade.tts.clauses import Clause, Clauses
from vivavoce.model.dialogue import ReplySpec, WordEnd
from vivavoce.model.errors import ModelError

RUNNING_OUT: Final = 0.2
"""Seconds of sound in hand below which the voice does not wait for the end of a clause."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spoke:
    """The next stretch of the reply's sound, with the word ends that fall into it."""

    samples: Samples
    words: tuple[WordEnd, ...]


@dataclass(frozen=True, slots=True)
class Silent:
    """Nothing more will be said; with `error` because the voice failed."""

    error: str = ""


Deliver = Callable[[Spoke | Silent], None]
"""Takes sound on the voice's thread; must be quick and thread-safe. `Silent` comes last, once, unless cancelled."""


class Utterance:
    """The voice's share of one reply. It has one job with the voice's thread at a time, of one stretch of sound; the
    next is due when what was made so far will have been heard."""

    def __init__(self, voice: Voice, threads: Threads, spec: ReplySpec, deliver: Deliver) -> None:
        self._voice = voice
        self._threads = threads
        self._spec = spec
        self._deliver = deliver
        self._clauses = Clauses()
        self._finished = False
        self._lock = threading.Lock()
        self._waiting: deque[Clause] = deque()
        self._complete = False  # no clause follows those that wait
        self._busy = False  # a job is with the voice's thread
        # The rest is touched by the voice's thread alone, or by whoever is about to give it a job.
        self._speech: Iterator[Speech] | None = None  # of the clause being said
        self._clause_at = (0, 0)  # characters and samples of the reply before it
        self._spoken = 0  # samples so far
        self._due = time.monotonic()
        self._cancelled = threading.Event()
        self.begun = False
        """A clause is being said, or has been."""

    def say(self, text: str) -> None:
        """Takes the next piece of the reply's text."""
        self._queue(self._clauses.push(text))
        if not self._busy and self._due - time.monotonic() < RUNNING_OUT and (opening := self._clauses.opening()):
            self._queue([opening])

    def finish(self) -> None:
        """The text is complete. (Once is enough; more does nothing.)"""
        if not self._finished:
            self._finished = True
            self._queue(self._clauses.flush(), complete=True)

    def cancel(self) -> None:
        """Stops at the next chunk; nothing is delivered any more."""
        self._cancelled.set()

    def _queue(self, clauses: list[Clause], complete: bool = False) -> None:
        if not clauses and not complete:
            return
        self.begun |= bool(clauses)
        with self._lock:
            self._waiting.extend(clauses)
            self._complete |= complete
            idle, self._busy = not self._busy, True
        if idle:
            self._due = max(self._due, time.monotonic())  # it waited for words, not for the voice
            self._threads.voice(self._step, self._due)

    def _step(self) -> None:
        if self._cancelled.is_set():
            return
        try:
            goes_on = self._speak() if self._speech is not None or self._take() else self._rest()
        except ModelError as error:
            self._fail(f"The voice failed: {error}")
            return
        except Exception:  # the border of the voice's thread: nobody else would see it, and wait for the sound
            log.exception("the voice failed")
            self._fail("The voice failed.")
            return
        if goes_on:
            self._threads.voice(self._step, self._due)

    def _fail(self, error: str) -> None:
        self.cancel()
        self._deliver(Silent(error))

    def _take(self) -> bool:
        """Begins the next clause, if one waits."""
        with self._lock:
            if not self._waiting:
                return False
            clause = self._waiting.popleft()
        self._clause_at = clause.start, self._spoken
        spec = self._spec
        self._speech = iter(self._voice.speak(clause.text, name=spec.voice, speed=spec.speed, part=clause.part))
        return True

    def _speak(self) -> bool:
        """Makes the next stretch of the clause."""
        assert self._speech is not None
        speech = next(self._speech, None)
        if speech is None:
            self._speech = None
        elif not self._cancelled.is_set():
            chars, start = self._clause_at
            words = tuple(WordEnd(chars + word.chars, start + word.sample) for word in speech.words)
            self._due = max(self._due, time.monotonic()) if not self._spoken else self._due
            self._spoken += len(speech.samples)
            self._due += len(speech.samples) / SAMPLE_RATE
            self._deliver(Spoke(speech.samples, words))
        return True

    def _rest(self) -> bool:
        """Nothing waits: the reply is over, or its next words are still to come."""
        with self._lock:
            if self._waiting:
                return True
            complete = self._complete
            self._busy = complete  # a reply that is over gets no more jobs
        if complete:
            self._deliver(Silent())
        return False


class SpeechQueue:
    """A voice and the thread it speaks on."""

    def __init__(self, voice: Voice, threads: Threads) -> None:
        self._voice = voice
        self._threads = threads

    def begin(self, spec: ReplySpec, deliver: Deliver) -> Utterance:
        """The voice's share of the reply `spec`."""
        return Utterance(self._voice, self._threads, spec, deliver)
