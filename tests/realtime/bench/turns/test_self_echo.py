"""realtime/bench/turns/self_echo.py, and with it the front end on real speech."""

from statistics import median

import numpy as np
import pytest

from harness.speech import Listener as Asr
from harness.speech import agrees
from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.store import Store
from vivavoce.model.training.data.speech import Synthesizer
from vivavoce.model.turns.silero_vad import SileroVad
from vivavoce.realtime.audio.front_end import FrontEnd
from vivavoce.realtime.bench.turns.self_echo import (
    INTERRUPTIONS,
    REPLIES,
    EchoPath,
    Outcome,
    Setup,
    self_interruptions,
    yields,
)
from vivavoce.realtime.events import Noise
from vivavoce.realtime.turns.floor import Floor
from vivavoce.realtime.turns.windows import MicrophoneWindows

pytestmark = [pytest.mark.slow, pytest.mark.models]


@pytest.fixture(scope="module")
def studio(models: Store, tmp_path_factory: pytest.TempPathFactory) -> Synthesizer:
    return Synthesizer(models, tmp_path_factory.mktemp("studio"))


def setup(models: Store, cancel: bool) -> Setup:
    net = SileroVad(models.path("silero-vad"))

    def windows() -> MicrophoneWindows:
        state = net.init_state()
        return MicrophoneWindows(lambda window: net.step(window, state), Floor(None))

    return Setup(windows, lambda: FrontEnd(cancel))


def test_there_are_fifty_different_replies() -> None:
    assert len(set(REPLIES)) == 50


def test_the_assistant_does_not_interrupt_itself(studio: Synthesizer, models: Store) -> None:
    replies = [studio.say(text).samples for text in REPLIES[::12]]
    path = EchoPath(-20, delay=0.08, rt60=0.4)
    assert self_interruptions(replies, path, setup(models, cancel=False)).cut == 5
    assert self_interruptions(replies, path, setup(models, cancel=True)) == Outcome(5, cut=0, ducked=0)


@pytest.mark.parametrize("path", [EchoPath(-20, rt60=0.4), EchoPath(-120)], ids=["loudspeaker", "headset"])
def test_a_user_who_speaks_over_the_assistant_gets_the_floor(
    studio: Synthesizer, models: Store, path: EchoPath
) -> None:
    replies = [studio.say(text).samples for text in REPLIES[5:9]]
    users = [studio.say(text).samples for text in INTERRUPTIONS]
    waits = yields(replies, users, path, setup(models, cancel=True))
    assert None not in waits
    assert median(wait for wait in waits if wait is not None) < 0.6


def test_speech_over_the_assistant_is_recognized(studio: Synthesizer, models: Store) -> None:
    """The canceller has had one reply to learn the room; the user speaks as loud as the loudspeaker's echo."""
    played = np.concatenate([studio.say(text).samples for text in REPLIES[:2]])
    picked_up = EchoPath(-20, rt60=0.3).echo(played, 1)
    user = studio.say("No, stop, I wanted to go to Hamburg instead.").samples
    at = len(studio.say(REPLIES[0]).samples) + SAMPLE_RATE
    picked_up[at : at + len(user)] += user
    front_end, cleaned = FrontEnd(cancel=True), []
    for first in range(0, len(played), 480):
        front_end.play(played[first : first + 480])
        cleaned.append(front_end.receive(picked_up[first : first + 480]))
    said = np.concatenate(cleaned)[at - SAMPLE_RATE // 10 : at + len(user) + SAMPLE_RATE // 10]
    assert agrees(Asr(models).understand(said), "No, stop, I wanted to go to Hamburg instead.")


@pytest.mark.parametrize("noise", [None, Noise("near_field"), Noise("far_field")])
def test_clean_speech_is_recognized_as_before(studio: Synthesizer, models: Store, noise: Noise | None) -> None:
    said = studio.say("She thinks that it will rain in the afternoon.").samples
    front_end = FrontEnd(cancel=True)
    front_end.retune(noise)
    cleaned = np.concatenate([front_end.receive(np.pad(said, (24_000, 24_000))), front_end.flush()])
    assert agrees(Asr(models).understand(cleaned), "She thinks that it will rain in the afternoon.")
