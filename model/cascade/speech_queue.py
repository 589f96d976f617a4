"""Speaks the text of replies, clause by clause, on the TTS's thread.

    say(text) ──► Clauses ──► one job per chunk of sound ──(TTS's thread)──► deliver(AudioToken) ... deliver(SpeechEnd)
                     └── openings of clauses, while the sound in hand runs out

Jobs of all conversations share the thread, earliest deadline first, so that the first word of one reply does not wait
for the third sentence of another. Positions are counted from the beginning of the reply.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.cascade.threads import Threads
from vivavoce.model.cascade.tts import WHOLE, Part, Speech, Style, Tts, requested, stand_in
from vivavoce.model.cascade.tts.clauses import Clause, Clauses
from vivavoce.model.dialogue import AudioToken, ReplySpec, WordEnd
from vivavoce.model.errors import ModelError

RUNNING_OUT: Final = 0.2
"""Seconds of sound in hand below which the TTS does not wait for the end of a clause."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SpeechEnd:
    """No more sound follows; with `error`, because the TTS failed."""

    error: str = ""


Deliver = Callable[[AudioToken | SpeechEnd], None]
"""Takes sound on the TTS's thread; must be quick and thread-safe. `SpeechEnd` comes last, once, unless cancelled."""


class Utterance:
    """The spoken part of one reply. It has one job on the TTS's thread at a time, for one chunk of sound; the next is
    due when the sound made so far will have been played."""

    def __init__(self, tts: Tts, threads: Threads, spec: ReplySpec, deliver: Deliver) -> None:
        self._tts = tts
        self._threads = threads
        self._spec = spec
        self._deliver = deliver
        self._clauses = Clauses()
        self._usual = requested(spec.instructions)
        self._style = self._usual  # of the text that comes
        self._finished = False
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Clause, Style]] = deque()
        self._complete = False  # no clause follows those that wait
        self._busy = False  # a job is on the TTS's thread
        # The rest belongs to the TTS's thread, or, while it has no job, to the caller that is about to submit one.
        self._speech: Iterator[Speech] | None = None  # of the clause being spoken
        self._clause: Clause | None = None
        self._clause_style = self._usual
        self._clause_at = (0, 0)  # characters and samples of the reply before it
        self._instead = ""  # what is spoken in place of the clause, which cannot be said
        self._excused = False  # the last words were such a stand-in
        self._spoken = 0  # samples so far
        self._due = time.monotonic()
        self._cancelled = threading.Event()
        self.begun = False
        """Whether a clause is being spoken, or has been."""

    def say(self, text: str) -> None:
        """Takes the next piece of the reply's text."""
        self._queue(self._clauses.push(text))
        if not self._busy and self._due - time.monotonic() < RUNNING_OUT and (opening := self._clauses.opening()):
            self._queue([opening])

    def change(self, style: Style | None) -> None:
        """What follows is spoken in `style` too; None: as the instructions ask."""
        self._queue(self._clauses.break_off())
        self._style = self._usual if style is None else self._usual.joined(style)

    def finish(self) -> None:
        """The text is complete. More than once does nothing."""
        if not self._finished:
            self._finished = True
            self._queue(self._clauses.flush(), complete=True)

    def cancel(self) -> None:
        """Stops at the next chunk; no sound is delivered any more."""
        self._cancelled.set()

    def _queue(self, clauses: list[Clause], complete: bool = False) -> None:
        if not clauses and not complete:
            return
        self.begun |= bool(clauses)
        with self._lock:
            self._waiting.extend((clause, self._style) for clause in clauses)
            self._complete |= complete
            idle, self._busy = not self._busy, True
        if idle:
            self._due = max(self._due, time.monotonic())  # it waited for text, not for the TTS
            self._threads.submit_tts(self._step, self._due)

    def _step(self) -> None:
        if self._cancelled.is_set():
            return
        try:
            goes_on = self._speak() if self._speech is not None or self._next_clause() else self._await_text()
        except ModelError as error:
            self._fail(f"The voice failed: {error}")
            return
        except Exception:  # the border of the TTS's thread: the reply would wait for sound forever
            log.exception("TTS failed")
            self._fail("The voice failed.")
            return
        if goes_on:
            self._threads.submit_tts(self._step, self._due)

    def _fail(self, error: str) -> None:
        self.cancel()
        self._deliver(SpeechEnd(error))

    def _next_clause(self) -> bool:
        """Begins the next clause; returns whether one waits."""
        with self._lock:
            if not self._waiting:
                return False
            clause, self._clause_style = self._waiting.popleft()
        self._clause, self._clause_at, self._instead = clause, (clause.start, self._spoken), ""
        self._speech = self._spoken_text(clause.text, clause.part)
        return True

    def _spoken_text(self, text: str, part: Part = WHOLE) -> Iterator[Speech]:
        spec, style = self._spec, self._clause_style
        return iter(self._tts.speak(text, name=spec.voice, speed=spec.speed, part=part, style=style))

    def _speak(self) -> bool:
        """Makes the next chunk of the clause."""
        assert self._speech is not None
        speech = next(self._speech, None)
        if speech is None:
            self._speech = self._stand_in()
        elif not self._cancelled.is_set():
            chars, start = self._clause_at
            words = tuple(
                WordEnd(chars + end, start + word.sample) for word in speech.words if (end := self._end(word))
            )
            self._due = max(self._due, time.monotonic()) if not self._spoken else self._due
            self._spoken += len(speech.samples)
            self._due += len(speech.samples) / SAMPLE_RATE
            self._excused = bool(self._instead)
            self._deliver(AudioToken(speech.samples, words))
        return True

    def _stand_in(self) -> Iterator[Speech] | None:
        """What is spoken in place of a clause of which no word could be said: silence would be taken for a dead line.
        Once for several in a row."""
        assert self._clause is not None
        silent = self._clause_at[1] == self._spoken and not self._clause.part.said
        if self._instead or self._excused or not silent:
            return None
        self._instead = stand_in(self._clause.text)
        return self._spoken_text(self._instead) if self._instead else None

    def _end(self, word: WordEnd) -> int:
        """The characters of the clause that are said with `word`; a stand-in says them with its last word."""
        if not self._instead:
            return word.chars
        assert self._clause is not None
        return len(self._clause.text) if word.chars == len(self._instead) else 0

    def _await_text(self) -> bool:
        """No clause waited: the reply is over, or its next text is to come. Returns whether a clause has come since."""
        with self._lock:
            if self._waiting:
                return True
            complete = self._complete
            self._busy = complete  # an utterance that is over gets no more jobs
        if complete:
            self._deliver(SpeechEnd())
        return False


class SpeechQueue:
    """The TTS and the thread it runs on, shared by all conversations."""

    def __init__(self, tts: Tts, threads: Threads) -> None:
        self._tts = tts
        self._threads = threads

    def begin(self, spec: ReplySpec, deliver: Deliver) -> Utterance:
        """The spoken part of the reply `spec`."""
        return Utterance(self._tts, self._threads, spec, deliver)
