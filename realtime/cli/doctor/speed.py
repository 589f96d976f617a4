"""The doctor's stopwatch: how fast each stage is on this machine, against its budget.

Each figure is a median of several runs after one that warms up, with the threads that calls use. The speech for the
ears comes from the voice."""

from __future__ import annotations

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
from vivavoce.realtime.cli.doctor.findings import Finding, sentence

DirectoryOf = Callable[[str], Path]
Sound = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a stage may take. `least`: the figure must be above `limit` instead of below."""

    stage: str
    limit: float
    unit: str
    advice: str
    least: bool = False

    def judge(self, figure: float) -> Finding:
        within = figure >= self.limit if self.least else figure <= self.limit
        budget = f"(budget: {'at least' if self.least else 'at most'} {self.limit:g} {self.unit})"
        value = f"{figure:7.2f} {self.unit:<9} {budget}"
        return Finding("ok", self.stage, value) if within else Finding("slow", self.stage, value, self.advice)


# From the end of speech to the answer in the ear: 200 ms of silence + judge + ears + first token + first clause + 150
# ms of voice + 100 ms of network come to about 1.2 s, which people still take for a conversation. The rates keep the
# rest of the answer ahead of its playing.
VAD: Final = Budget(
    "voice activity, 32 ms of sound",
    2,
    "ms",
    "It runs on every call all the time: allow fewer calls ('server.max_sessions').",
)
JUDGE: Final = Budget(
    "end of turn, one look", 100, "ms", "Close other programs, or use a faster machine: every pause waits for this."
)
EARS: Final = Budget(
    "ears, after 3 s of speech",
    300,
    "ms",
    "Close other programs, or use a faster machine; English has the fastest ears.",
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
CHUNK: Final = Budget("voice, first sound", 150, "ms", "Use the fast voice (--voice joe), or a faster machine.")
VOICE: Final = Budget(  # two calls that speak at the same time, on one voice thread
    "voice, work per second of sound", 0.5, "s", "Use the fast voice (--voice joe), or a faster machine."
)

SENTENCE: Final = "Could you please tell me the name of the largest city on the northern coast of Africa?"
ANSWER: Final = "The largest city there is Alexandria, and about five million people live in it."
SAID_EARLY: Final = "Please tell me a few things about the"
QUESTIONS: Final = ("sea.", "moon.", "sun.")
RUNS: Final = 3
PATIENCE: Final = 60.0
"""Seconds for one piece of the language model's answer."""
BROKEN: Final = (BrokenAsr, BrokenTts, DialogueError, UnknownLanguage, UnknownVoice)
"""Failures of a stage; other errors say that its files are not there."""


def look(settings: CascadeSettings, directory_of: DirectoryOf) -> Iterator[Finding]:
    """One finding for each figure, or one for stages that cannot run."""
    yield from _guarded("voice activity", lambda: _vad(directory_of))
    yield from _guarded("end of turn", lambda: _judge(directory_of))
    yield from _guarded("ears, language model, voice", lambda: _cascade(Cascade(settings, directory_of)))


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
    yield VAD.judge(1000 * _median(lambda: net.step(window, state), 50))


def _judge(directory_of: DirectoryOf) -> Iterator[Finding]:
    (file,) = directory_of("smart-turn").glob("*.onnx")
    judge, noise = SmartTurn(file), np.random.default_rng(1).normal(0, 0.1, 8 * 16_000).astype(np.float32)
    yield JUDGE.judge(1000 * _median(lambda: judge.complete(noise), 2 * RUNS))


def _cascade(cascade: Cascade) -> Iterator[Finding]:
    try:
        said = np.concatenate([piece.samples for piece in cascade.tts.speak(SENTENCE)])
        speech = Resampler(SAMPLE_RATE, 16_000).push(said[: 3 * SAMPLE_RATE])
        yield from _guarded("ears", lambda: _ears(cascade.asr, speech))
        yield from _guarded("language model", lambda: _language(cascade.llm))
        yield from _guarded("voice", lambda: _voice(cascade.tts))
    finally:
        cascade.close()


def _voice(voice: Tts) -> Iterator[Finding]:
    yield CHUNK.judge(1000 * _median(lambda: next(voice.speak(ANSWER)), RUNS))
    length = sum(len(piece.samples) for piece in voice.speak(ANSWER)) / SAMPLE_RATE
    yield VOICE.judge(_median(lambda: list(voice.speak(ANSWER)), RUNS) / length)


def _ears(ears: Asr, speech: Sound) -> Iterator[Finding]:
    def hear() -> float:
        """As in a call: they look again every quarter of a second, and once more at the end."""
        listening = ears.open()
        step = len(speech) // 12
        for start in range(0, len(speech) - step, step):
            listening.push(speech[start : start + step])
            listening.update()
        listening.push(speech[start + step :])
        return _timed(lambda: listening.finish(len(speech)))

    hear()
    yield EARS.judge(1000 * statistics.median(hear() for _ in range(RUNS)))


def _language(language: Llm) -> Iterator[Finding]:
    thread = language.open()
    try:
        runs = [_answer(thread, question) for question in QUESTIONS]
    finally:
        thread.close()
    yield TOKEN.judge(1000 * statistics.median(first for first, _ in runs))
    yield TOKENS.judge(statistics.median(rate for _, rate in runs))


def _answer(thread: LlmSlot, question: str) -> tuple[float, float]:
    """Seconds to the first word, and tokens per second after it. Raises `DialogueError`."""
    pieces = SimpleQueue[tuple[float, Piece]]()
    thread.generate(Prompt(INSTRUCTIONS, (Message("", "user", SAID_EARLY),)), 1, lambda piece: pieces.put((0, piece)))
    while not isinstance(_next(pieces)[1], Stopped):
        pass  # now the beginning of the prompt is cached, as it is in a call by the time the question ends
    prompt = Prompt(INSTRUCTIONS, (Message("", "user", f"{SAID_EARLY} {question}"),))
    began = time.perf_counter()
    thread.generate(prompt, 32, lambda piece: pieces.put((time.perf_counter(), piece)))
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
