"""Speech over the assistant in whole calls: real networks and ASR, a scripted model, and the virtual clock."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from harness import virtual_time
from harness.fakes import QUIET, Line, LinePeer, ScriptedDialogue, complete
from harness.tools import runner
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.model.cascade.asr import Asr, open_asr
from vivavoce.model.cascade.dialogue import classified_overlap
from vivavoce.model.dialogue import OverlapOpinion
from vivavoce.model.store import Store
from vivavoce.model.training.data.speech import Synthesizer
from vivavoce.model.turns.overlap_classifier import OverlapClassifier
from vivavoce.model.turns.silero_vad import SileroVad
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.monitor.latency import TurnLatency
from vivavoce.realtime.monitor.watchdog import Watchdog
from vivavoce.realtime.peers.sideband import Peers
from vivavoce.realtime.pipeline import Parts, Pipeline
from vivavoce.realtime.session.ids import Ids
from vivavoce.realtime.session.opening import SessionRequest, new_session
from vivavoce.realtime.transports import PeerGone, Sound
from vivavoce.realtime.turns.classifiers import Classifiers
from vivavoce.realtime.turns.floor import Floor
from vivavoce.realtime.turns.windows import MicrophoneWindows

pytestmark = [pytest.mark.models, pytest.mark.slow]

SECONDS = 5.0
STORY = "The next train to the coast leaves at nine and there is another one an hour later from the other side."
OFFER = "There is a train at nine. Shall I book it? It takes two hours, and it goes along the river all the way."


class RealAsr(ScriptedDialogue):
    """Says scripted lines; a real ASR recognizes the speech over them."""

    def __init__(self, asr: Asr, words: str) -> None:
        super().__init__(lines=[Line(words, SECONDS), Line("Fine.", 0.5)])
        self._asr = asr

    async def classify_overlap(self, samples: Samples) -> OverlapOpinion:
        await asyncio.sleep(0.05)
        return classified_overlap(self._asr, samples)


@pytest.fixture(scope="module")
def asr(models: Store) -> Asr:
    return open_asr("en", models.path, threads=1)


def call(models: Store, dialogue: ScriptedDialogue, over: Samples, after: float) -> LinePeer:
    """The assistant speaks; `over` is said over it, from `after` seconds after its first word on."""
    net, overlap = SileroVad(models.path("silero-vad")), OverlapClassifier().init_state()
    state = net.init_state()

    async def scenario(peer: LinePeer) -> None:
        await peer.until("session.created")
        await peer.tell(type="response.create")
        await peer.until("output_audio_buffer.started")
        await peer.pause(after)
        intake = await peer._line()
        for start in range(0, len(over) - FRAME, FRAME):
            await intake.deliver(Sound(over[start : start + FRAME]))
            await asyncio.sleep(0.02)
        while not (peer.of("output_audio_buffer.stopped") or peer.of("output_audio_buffer.cleared")):
            await intake.deliver(Sound(QUIET))
            await asyncio.sleep(0.02)
        await peer.pause(1.5)
        peer.leave()

    async def main() -> LinePeer:
        peer, playout, numbers = LinePeer(plays=True), Playout(), count(1)
        session = new_session(
            True, SessionRequest(extras=True), Ids(lambda: str(next(numbers))), expires_at=1_000
        ).begin(playout)
        listener = MicrophoneWindows(
            lambda window: net.step(window, state), Floor(None, overlap.scores, asr=True), overlap.push
        )
        judging, watchdog = Classifiers(complete, listener, dialogue.classify_overlap), Watchdog(playout)
        parts = Parts(Peers(peer), dialogue, session, playout, listener, judging, TurnLatency(), runner(), watchdog)
        try:
            async with asyncio.TaskGroup() as tasks:
                peer.pipeline = Pipeline(parts)
                tasks.create_task(peer.pipeline.run())
                tasks.create_task(scenario(peer))
        except* PeerGone:
            pass
        return peer

    return virtual_time.run(main())


@pytest.mark.parametrize("word", ["Mm-hmm.", "Right.", "Okay."])
def test_a_backchannel_leaves_the_reply_whole_to_the_sample_and_nothing_in_the_conversation(
    models: Store, asr: Asr, word: str
) -> None:
    dialogue = RealAsr(asr, STORY)
    peer = call(models, dialogue, Synthesizer(models).say(word).samples, after=1.5)
    assert sum(int(frame.astype(bool).sum()) for frame in peer.played) == int(SECONDS * SAMPLE_RATE) // 21 * 21
    assert min(float(frame.max()) for frame in peer.played[90:120]) < 0.05  # ducked meanwhile
    assert not dialogue.turns
    assert not dialogue.cuts
    assert not peer.of("input_audio_buffer.speech_started")


def test_an_objection_cuts_the_reply_and_is_given_from_its_first_word(models: Store, asr: Asr) -> None:
    dialogue, over = RealAsr(asr, STORY), Synthesizer(models).say("No, wait, what about Sunday?").samples
    peer = call(models, dialogue, over, after=1.5)
    (cut,) = dialogue.cuts
    assert 1.5 < cut.samples / SAMPLE_RATE < 2.5
    assert STORY.startswith(STORY[: cut.chars])
    assert dialogue.heard_samples > len(over)  # and the padding before it
    assert len(dialogue.turns) == 1
    assert peer.of("output_audio_buffer.cleared")


def test_yes_over_the_sentence_after_a_question_is_an_answer(models: Store, asr: Asr) -> None:
    yes = Synthesizer(models).say("Yes.").samples
    answered = RealAsr(asr, OFFER)
    call(models, answered, yes, after=2.3)
    assert len(answered.cuts) == len(answered.turns) == 1
