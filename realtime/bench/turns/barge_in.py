"""Measure barge-in on labelled overlaps: does the assistant stop when it should, and only then?

    python -m vivavoce.realtime.bench.turns.barge_in [--rule asr|classifier|pattern]

    phrases × evaluation voices ─┐                         ┌─► Case: microphone sound, label, where the sound begins
    coughs, barks, doors, keys ──┼─► level ─► condition ───┤
    nothing but self-echo ───────┘                         └─► seed

    Case ─► microphone, 20 ms at a time, with the echo of playback ─► MicrophoneWindows, Floor ─► facts ─► Playout
                                                                                   played frames ─► Outcome ─► report

Conditions: clean, a fan or a crowd 20 and 10 dB below the voice, a telephone line, self-echo at -35 dB, 5 % packet loss
in bursts. The voices take no part in training, nor do most of the phrases; the noises come from the same generators
with other seeds.

The VAD, overlap classifier, ASR, floor and playout are the real ones, at virtual time and in the order of a live call:
a frame of 20 ms is processed when it is complete, within `PROCESSING`, and what follows is audible from the next frame
that leaves. The ASR takes `ASR_FRAMES` for an answer. Network and devices are not included. `--rule classifier` leaves
out the ASR; `--rule pattern` also leaves out the overlap classifier and ducking: a quarter of a second of voice stops
the assistant.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.cascade.asr import Asr, open_asr
from vivavoce.model.cascade.dialogue import classified_overlap
from vivavoce.model.dialogue import AudioToken
from vivavoce.model.store import Store, catalog, default_home
from vivavoce.model.training.data import sounds
from vivavoce.model.training.data.speech import EVALUATION, Synthesizer
from vivavoce.model.training.turns.phrases import EVALUATION_BACKCHANNELS, EVALUATION_INTERRUPTIONS, EVALUATION_TURNED
from vivavoce.model.turns.overlap_classifier import OverlapClassifier
from vivavoce.model.turns.silero_vad import SileroVad
from vivavoce.realtime.audio.fader import DUCKED
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.events import Overlapped, TurnDetection, TurnStarted
from vivavoce.realtime.turns.floor import AskOverlap, Floor, FloorFact
from vivavoce.realtime.turns.windows import MicrophoneWindows

SEED: Final = 11
ECHO_DELAY: Final = 4  # frames: 80 ms
PROCESSING: Final = 0.005
"""Seconds that resampling, both networks and the floor may take for a frame; they take about 1 ms on an idle core."""
ASR_FRAMES: Final = 2
"""Frames (40 ms) that the ASR takes for an answer; measured: 26 to 30 ms on an idle core."""
Rule = Literal["asr", "classifier", "pattern"]
STORY: Final = (
    "The next train to the coast leaves at a quarter past nine, and the one after that about an hour later. "
    "From there it is a short walk along the river, and you will see the old lighthouse on the left.",
)

Kind = Literal["interruption", "turned", "backchannel", "noise", "echo"]
STOPS: Final = ("interruption", "turned")
"""Kinds that should stop the assistant. "turned" begins as a backchannel: "yeah, but ..."."""

CONDITIONS: Final = (
    "clean",
    "fan 20 dB",
    "fan 10 dB",
    "crowd 20 dB",
    "crowd 10 dB",
    "telephone",
    "echo -35 dB",
    "loss 5 %",
)
LEAD: Final = 3 * SAMPLE_RATE // 4
TAIL: Final = SAMPLE_RATE
FRAME: Final = SAMPLE_RATE // 50
"""Samples of a packet."""
LEVELS_DB: Final = (-34.0, -18.0)
NOISES: Final = 80
ECHOES_DB: Final = (-25.0, -30.0, -35.0, -40.0)


@dataclass(frozen=True, slots=True)
class Case:
    """`microphone`: sound of the user's side, 24 kHz, without echo; the labelled sound begins at `onset`. Playback
    comes back `echo_db` below its level (None: not at all)."""

    kind: Kind
    text: str
    voice: str
    condition: str
    microphone: Samples
    onset: int
    echo_db: float | None


def cases(studio: Synthesizer, seed: int, each: tuple[int, int, int] = (12, 2, 8), takes: int = 2) -> Iterator[Case]:
    """For every voice `each` interruptions, turned ones and backchannels, each in `takes` conditions; then noises, and
    self-echo alone."""
    draw = random.Random(seed)
    for voice in EVALUATION:
        for kind, texts, count in (
            ("interruption", EVALUATION_INTERRUPTIONS, each[0]),
            ("turned", EVALUATION_TURNED, each[1]),
            ("backchannel", EVALUATION_BACKCHANNELS, each[2]),
        ):
            for text in draw.sample(texts, count):
                said = studio.say(text, voice)
                for condition in draw.sample(CONDITIONS, takes):
                    sound = said.samples[said.speech_start : said.speech_end]
                    yield _case(kind, text, voice, condition, sound, studio, draw)  # type: ignore[arg-type] # the three above
    for n in range(NOISES):
        name, sound = _noise(n, seed * 1000 + n)
        yield _case("noise", name, "", draw.choice(CONDITIONS), sound, studio, draw)
    for n in range(4 * len(ECHOES_DB)):
        quiet = sounds.silence(5.0)
        yield Case("echo", "", "", "echo", quiet, LEAD, ECHOES_DB[n % len(ECHOES_DB)])


def _case(
    kind: Kind, text: str, voice: str, condition: str, sound: Samples, studio: Synthesizer, draw: random.Random
) -> Case:
    sound = sounds.at_level(sound, draw.uniform(*LEVELS_DB))
    seed = draw.randrange(1 << 30)
    loud = sounds.loudness(sound)
    microphone = sounds.overlay(sounds.white(3.6, seed) * 1e-3, sound, LEAD)
    microphone = np.pad(microphone, (0, max(0, LEAD + len(sound) + TAIL - len(microphone))))
    name, _, decibels = condition.partition(" ")
    if name in ("fan", "crowd"):
        bed = sounds.pink(4.0, seed) if name == "fan" else studio.babble(4.0, seed)
        bed = np.resize(bed, len(microphone)) * 10 ** ((loud - float(decibels.split()[0]) - sounds.loudness(bed)) / 20)
        microphone = np.clip(microphone + bed, -1, 1).astype(np.float32)
    elif name == "telephone":
        microphone = sounds.telephone(microphone)
    elif name == "loss":
        microphone = _lossy(microphone, seed)
    return Case(kind, text, voice, condition, microphone, LEAD, -35.0 if name == "echo" else None)


def _noise(n: int, seed: int) -> tuple[str, Samples]:
    match n % 8:
        case 0 | 1 | 2:
            return "cough", sounds.cough(seed)
        case 3 | 4 | 5:
            return "bark", sounds.bark(seed)
        case 6:
            return "door", sounds.door(seed)
        case _:
            return "keyboard", sounds.keyboard(1.5, seed)


def _lossy(samples: Samples, seed: int) -> Samples:
    """5 % packet loss at 20 ms, in bursts of two on average; each lost packet is concealed by the one before,
    fading."""
    rng = np.random.default_rng(seed)
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).copy()
    lost = False
    for n in range(1, len(frames)):
        lost = bool(rng.random() < (0.5 if lost else 0.026))
        if lost:
            frames[n] = frames[n - 1] * 0.6
    return frames.reshape(-1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one case. Seconds from the beginning of the sound: `ducked` until playback was softer by 18 dB (or
    gone), `silent` until none of it left any more, `cut` until the user's turn began; None: never. `gap`: silence
    added to playback that then resumed."""

    case: Case
    ducked: float | None
    silent: float | None
    cut: float | None
    gap: float

    @property
    def stopped(self) -> bool:
        return self.cut is not None


class Rig:
    """The models that all cases share."""

    def __init__(self, studio: Synthesizer, rule: Rule, vad: SileroVad, asr: Asr) -> None:
        self._vad = vad
        self._classifier = OverlapClassifier() if rule != "pattern" else None
        self._asr = asr if rule == "asr" else None
        self._story = np.concatenate([studio.say(text).samples for text in STORY])

    def run(self, case: Case) -> Outcome:
        """One case from the first packet to the last."""
        vad = self._vad.init_state()
        overlap = self._classifier.init_state() if self._classifier else None
        floor = Floor(TurnDetection(), overlap.scores if overlap else None, asr=self._asr is not None)
        windows = MicrophoneWindows(
            lambda window: self._vad.step(window, vad), floor, overlap.push if overlap else None
        )
        speech, gain = _playing(self._story), _playing(np.ones_like(self._story))
        played: list[Samples] = [np.zeros(FRAME, np.float32)] * (ECHO_DELAY + 1)
        gains: list[Samples] = []
        cut: int | None = None
        asked: deque[tuple[int, AskOverlap]] = deque()  # with the sample at which the answer comes
        for start in range(0, len(case.microphone) - FRAME + 1, FRAME):
            frame = case.microphone[start : start + FRAME]
            if case.echo_db is not None:
                frame = frame + played[-1 - ECHO_DELAY] * np.float32(10 ** (case.echo_db / 20))
            facts = self._answered(floor, asked, start)
            facts += windows.receive(frame, speech.interruptible, busy=False)
            for fact in facts:
                if isinstance(fact, TurnStarted):
                    speech.cut(1)
                    gain.cut(1)
                    cut = start + FRAME if cut is None else cut
                elif isinstance(fact, Overlapped) and self._classifier:
                    speech.turn(fact.loudness)
                    gain.turn(fact.loudness)
                elif isinstance(fact, AskOverlap) and not asked:
                    asked.append((start + ASR_FRAMES * FRAME, fact))
            played.append(speech.take(FRAME).samples)
            gains.append(gain.take(FRAME).samples)
        return _outcome(case, np.concatenate(gains), cut)

    def _answered(self, floor: Floor, asked: deque[tuple[int, AskOverlap]], now: int) -> list[FloorFact]:
        """The floor's facts about the answer of the ASR that is due now."""
        if self._asr is None or not asked or asked[0][0] > now:
            return []
        _, ask = asked.popleft()
        opinion = classified_overlap(self._asr, ask.samples)
        return floor.overlap_recognized(ask.at, ask.age, opinion.text, opinion.interruption, asked=False)


def _playing(sound: Samples) -> Playout:
    playout = Playout()
    playout.push(1, AudioToken(sound))
    return playout


def _outcome(case: Case, gain: Samples, cut: int | None) -> Outcome:
    """`gain` of playback, sample by sample from one frame after the first packet on."""
    delay = FRAME + round(PROCESSING * SAMPLE_RATE) - case.onset
    after = np.flatnonzero(gain[case.onset :] <= DUCKED * 1.01)
    ends = int(np.flatnonzero(gain)[-1]) + 1
    zeros = int((gain[:ends] == 0).sum())
    return Outcome(
        case,
        (case.onset + int(after[0]) + delay) / SAMPLE_RATE if len(after) else None,
        (ends + delay) / SAMPLE_RATE if cut is not None else None,
        (cut - FRAME + delay) / SAMPLE_RATE if cut is not None else None,
        zeros / SAMPLE_RATE if cut is None else 0.0,
    )


def report(outcomes: Sequence[Outcome]) -> str:
    """Rates and times with their intervals, and the wrong decisions."""
    stops = [o for o in outcomes if o.case.kind in STOPS]
    others = [o for o in outcomes if o.case.kind not in STOPS]
    lines = [_rate("interruptions that stop it", [o.stopped for o in stops])]
    lines += [_rate(f"    {kind}", [o.stopped for o in stops if o.case.kind == kind]) for kind in STOPS]
    lines.append(_rate("others that do not (selectivity)", [not o.stopped for o in others]))
    for kind in ("backchannel", "noise", "echo"):
        lines.append(_rate(f"    {kind}", [not o.stopped for o in others if o.case.kind == kind]))
    lines.append(_times("to duck (-18 dB), interruptions", [o.ducked for o in stops]))
    lines.append(_times("to silence, held or cut", [o.silent for o in stops]))
    lines.append(_times("to the cut", [o.cut for o in stops]))
    lines.append(_times("resume gap of false interruptions", [o.gap for o in others if not o.stopped and o.gap > 0]))
    held = sum(o.gap > 0 for o in others if not o.stopped)
    lines.append(f"held and resumed: {held} of {sum(not o.stopped for o in others)}")
    wrong = Counter(
        (o.case.kind, o.case.text, o.case.condition) for o in outcomes if o.stopped != (o.case.kind in STOPS)
    )
    lines += [f"  wrong: {' | '.join(what)}" for what in sorted(wrong)]
    return "\n".join(lines)


def _rate(name: str, hits: Sequence[bool]) -> str:
    if not hits:
        return f"{name}: none"
    low, high = _interval(np.array(hits, float), np.mean)
    return f"{name}: {100 * np.mean(hits):.1f} % [{100 * low:.1f}, {100 * high:.1f}]  n={len(hits)}"


def _times(name: str, seconds: Iterable[float | None]) -> str:
    found = 1000 * np.array([value for value in seconds if value is not None])
    if not len(found):
        return f"{name}: none"
    low, high = _interval(found, np.median)
    p50, p95 = np.percentile(found, [50, 95])
    return f"{name}: p50 {p50:.0f} ms [{low:.0f}, {high:.0f}]  p95 {p95:.0f} ms  n={len(found)}"


def _interval(values: np.ndarray, of: object) -> tuple[float, float]:
    """95 %, by bootstrap over the cases."""
    assert callable(of)
    rng = np.random.default_rng(SEED)
    drawn = [float(of(rng.choice(values, len(values)))) for _ in range(1000)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m vivavoce.realtime.bench.turns.barge_in")
    parser.add_argument("--rule", choices=get_args(Rule), default="asr")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(argv)
    store = Store(default_home(os.environ, sys.platform), catalog.load())
    studio = Synthesizer(store)
    rig = Rig(studio, options.rule, SileroVad(store.path("silero-vad")), open_asr("en", store.path, 1))
    print(report([rig.run(case) for case in cases(studio, options.seed)]))


if __name__ == "__main__":
    main(sys.argv[1:])
