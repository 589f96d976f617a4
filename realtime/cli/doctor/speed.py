"""Tests of speed: each stage on this machine against its budget.

Each figure is the median of several runs after a warm-up, with the threads that calls use. TTS makes the speech for
ASR."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.codecs.resample import Resampler
from vivavoce.model.cascade import INSTRUCTIONS, Cascade
from vivavoce.model.cascade.asr import Asr
from vivavoce.model.cascade.llm import Llm, LlmSlot, Piece, Prompt, Stopped
from vivavoce.model.cascade.tts import Tts
from vivavoce.model.dialogue import Message, TextToken
from vivavoce.model.errors import BrokenAsr, BrokenTts, DialogueError, ModelError, UnknownLanguage, UnknownVoice
from vivavoce.model.settings import CascadeSettings
from vivavoce.model.turns.silero_vad import WINDOW, SileroVad
from vivavoce.model.turns.smart_turn import SmartTurn
from vivavoce.realtime.cli.doctor import machine
from vivavoce.realtime.cli.doctor.findings import Finding, sentence

DirectoryOf = Callable[[str], Path]
Sound = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Budget:
    """The limit of a stage. `least`: the figure must be above `limit` instead of below."""

    stage: str
    limit: float
    unit: str
    advice: str
    least: bool = False

    def compare(self, figure: float) -> Finding:
        within = figure >= self.limit if self.least else figure <= self.limit
        budget = f"(budget: {'at least' if self.least else 'at most'} {self.limit:g} {self.unit})"
        value = f"{figure:7.2f} {self.unit:<9} {budget}"
        return Finding("ok", self.stage, value) if within else Finding("slow", self.stage, value, self.advice)


# From the end of speech to the first sound of the answer: 200 ms of silence + end of turn + ASR + first token + first
# clause + 150 ms of TTS + 100 ms of network are about 1.2 s, which still feels like a conversation. The rates keep the
# rest of the answer ahead of its playout.
VAD: Final = Budget(
    "voice activity, 32 ms of sound",
    2,
    "ms",
    "It runs on every call all the time: allow fewer calls ('server.max_sessions').",
)
END_OF_TURN: Final = Budget(
    "end of turn, one look", 100, "ms", "Close other programs, or use a faster machine: every pause waits for this."
)
ASR: Final = Budget(
    "speech recognition, 3 s of speech",
    300,
    "ms",
    "Close other programs, or use a faster machine; English is recognized fastest.",
)
TOKEN: Final = Budget(
    "language model, first word",
    300,
    "ms",
    "Use the small model (--language smollm2-135m), or one behind an endpoint with a GPU.",
)
TOKENS: Final = Budget(  # speech is about four tokens a second; the first clause has to be there before that counts
    "language model, rate",
    12,
    "tokens/s",
    "Use the small model (--language smollm2-135m), or an endpoint with a GPU.",
    least=True,
)
TTS: Final = Budget("voice, first sound", 150, "ms", "Use the quickest voice (--voice heart), or a faster machine.")
TTS_RATE: Final = Budget(  # two calls that speak at the same time, on the one thread of TTS
    "voice, work per second of sound", 0.5, "s", "Use the quickest voice (--voice heart), or a faster machine."
)

DEFAULT: Final = "qwen2.5-0.5b"
LARGER: Final = "qwen2.5-1.5b"
LARGER_ADVICE: Final = f"For better answers, a third of a second later: --language {LARGER} (1.1 GB more to fetch)."
LARGER_TAKES: Final = 2.0
"""How much longer its first word takes on two threads than that of `DEFAULT` on one (90 and 152 ms, model/LOG.md), with
a margin; so much lower is its rate taken for, too."""
LARGER_MEMORY: Final = 6_000_000_000
"""Bytes of a machine on which it leaves room for other programs: a server with it and one call takes 3.1 GB."""

SENTENCE: Final = "Could you please tell me the name of the largest city on the northern coast of Africa?"
ANSWER: Final = "The largest city there is Alexandria, and about five million people live in it."
PREFIX: Final = "Please tell me a few things about the"
QUESTIONS: Final = ("sea.", "moon.", "sun.")
RUNS: Final = 3
PATIENCE: Final = 60.0
"""Seconds for one piece of the language model's answer."""
BROKEN: Final = (BrokenAsr, BrokenTts, DialogueError, UnknownLanguage, UnknownVoice)
"""Failures of a stage; other errors say that its files are not there."""


def look(settings: CascadeSettings, directory_of: DirectoryOf) -> Iterator[Finding]:
    """One finding for each figure, or one for stages that cannot run."""
    yield from _guarded("voice activity", lambda: _vad(directory_of))
    yield from _guarded("end of turn", lambda: _end_of_turn(directory_of))
    yield from _guarded(
        "speech recognition, language model, voice", lambda: _cascade(Cascade(settings, directory_of), settings)
    )


def _guarded(stage: str, measure: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from measure()
    except (*BROKEN, RuntimeError, ValueError) as error:  # the last two: onnxruntime's
        yield Finding("broken", stage, "does not work", sentence(error))
    except ModelError as error:
        yield Finding("missing", stage, "untested", sentence(error))


def _median(work: Callable[[], object], runs: int) -> float:
    """Seconds."""
    work()
    return statistics.median(_timed(work) for _ in range(runs))


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _vad(directory_of: DirectoryOf) -> Iterator[Finding]:
    net = SileroVad(directory_of("silero-vad"))
    state, window = net.init_state(), np.zeros(WINDOW, np.float32)
    yield VAD.compare(1000 * _median(lambda: net.step(window, state), 50))


def _end_of_turn(directory_of: DirectoryOf) -> Iterator[Finding]:
    (file,) = directory_of("smart-turn").glob("*.onnx")
    smart_turn, noise = SmartTurn(file), np.random.default_rng(1).normal(0, 0.1, 8 * 16_000).astype(np.float32)
    yield END_OF_TURN.compare(1000 * _median(lambda: smart_turn.complete(noise), 2 * RUNS))


def _cascade(cascade: Cascade, settings: CascadeSettings) -> Iterator[Finding]:
    try:
        sentence = np.concatenate([chunk.samples for chunk in cascade.tts.speak(SENTENCE)])
        speech = Resampler(SAMPLE_RATE, 16_000).push(sentence[: 3 * SAMPLE_RATE])
        yield from _guarded("speech recognition", lambda: _asr(cascade.asr, speech))
        yield from _guarded("language model", lambda: _llm(cascade.llm, settings.language))
        yield from _guarded("voice", lambda: _tts(cascade.tts))
    finally:
        cascade.close()


def _tts(tts: Tts) -> Iterator[Finding]:
    yield TTS.compare(1000 * _median(lambda: next(tts.speak(ANSWER)), RUNS))
    length = sum(len(chunk.samples) for chunk in tts.speak(ANSWER)) / SAMPLE_RATE
    yield TTS_RATE.compare(_median(lambda: list(tts.speak(ANSWER)), RUNS) / length)


def _asr(asr: Asr, speech: Sound) -> Iterator[Finding]:
    def finish() -> float:
        """As in a call: an update every quarter of a second, and the final one, whose seconds are returned."""
        stream = asr.open()
        step = len(speech) // 12
        for start in range(0, len(speech) - step, step):
            stream.push(speech[start : start + step])
            stream.update()
        stream.push(speech[start + step :])
        return _timed(lambda: stream.finish(len(speech)))

    finish()
    yield ASR.compare(1000 * statistics.median(finish() for _ in range(RUNS)))


def _llm(llm: Llm, name: str) -> Iterator[Finding]:
    slot = llm.open()
    try:
        runs = [_answer(slot, question) for question in QUESTIONS]
    finally:
        slot.close()
    first, rate = (statistics.median(figures) for figures in zip(*runs, strict=True))
    yield TOKEN.compare(1000 * first)
    yield TOKENS.compare(rate)
    if name == DEFAULT and carries_larger(1000 * first, rate, machine.memory(), os.cpu_count() or 1):
        yield Finding("note", "a larger language model", "this machine carries it", LARGER_ADVICE)


def carries_larger(first: float, rate: float, memory: int, cores: int) -> bool:
    """Whether `LARGER` would be within its budgets, where `DEFAULT` writes its first word after `first` ms and `rate`
    tokens a second."""
    quick = first * LARGER_TAKES <= TOKEN.limit and rate / LARGER_TAKES >= TOKENS.limit
    return quick and memory >= LARGER_MEMORY and cores > 1


def _answer(slot: LlmSlot, question: str) -> tuple[float, float]:
    """Seconds to the first word, and tokens per second after it. Raises `DialogueError`."""
    pieces = SimpleQueue[tuple[float, Piece]]()
    slot.generate(Prompt(INSTRUCTIONS, (Message("", "user", PREFIX),)), 1, lambda piece: pieces.put((0, piece)))
    while not isinstance(_next(pieces)[1], Stopped):
        pass  # now the beginning of the prompt is cached, as in a call at the end of the question
    prompt = Prompt(INSTRUCTIONS, (Message("", "user", f"{PREFIX} {question}"),))
    began = time.perf_counter()
    slot.generate(prompt, 32, lambda piece: pieces.put((time.perf_counter(), piece)))
    moments: list[float] = []
    while not isinstance((event := _next(pieces))[1], Stopped):
        moments += [event[0]] if isinstance(event[1], TextToken) else []
    if event[1].error or len(moments) < 2:
        raise DialogueError(event[1].error or "The language model does not answer.")
    return moments[0] - began, (len(moments) - 1) / (moments[-1] - moments[0])


def _next(pieces: SimpleQueue[tuple[float, Piece]]) -> tuple[float, Piece]:
    try:
        return pieces.get(timeout=PATIENCE)
    except Empty:
        raise DialogueError("The language model does not answer.") from None
