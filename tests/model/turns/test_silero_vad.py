"""model/turns/silero_vad.py, with the weights of the model catalog."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import onnx
import pytest
import soxr
from numpy.typing import NDArray

from harness.speech import Speaker
from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.cascade.asr import Samples
from vivavoce.model.store import Store
from vivavoce.model.turns.silero_vad import FILE, WINDOW, SileroState, SileroVad

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def net(models: Store) -> SileroVad:
    return SileroVad(models.path("silero-vad"))


@pytest.fixture(scope="module")
def hiss() -> NDArray[np.float32]:
    return 0.1 * np.random.default_rng(5).standard_normal((60, WINDOW)).astype(np.float32)


def probabilities(net: SileroVad, windows: NDArray[np.float32], state: SileroState | None = None) -> list[float]:
    state = state or net.init_state()
    return [net.step(window, state) for window in windows]


def test_silence_and_hiss_are_no_speech(net: SileroVad, hiss: NDArray[np.float32]) -> None:
    assert max(probabilities(net, np.zeros_like(hiss))) < 0.2
    assert max(probabilities(net, hiss)[5:]) < 0.3


def test_calls_that_share_the_weights_do_not_disturb_each_other(net: SileroVad, hiss: NDArray[np.float32]) -> None:
    one, other = net.init_state(), net.init_state()
    mixed = [(net.step(a, one), net.step(b, other)) for a, b in zip(hiss[:30], hiss[30:], strict=True)]
    assert [a for a, _ in mixed] == probabilities(net, hiss[:30])
    assert [b for _, b in mixed] == probabilities(net, hiss[30:])


def test_a_reset_state_is_as_good_as_new(net: SileroVad, hiss: NDArray[np.float32]) -> None:
    state = net.init_state()
    first = probabilities(net, hiss, state)
    state.reset()
    assert probabilities(net, hiss, state) == first


def test_the_network_remembers_the_windows_before(net: SileroVad, hiss: NDArray[np.float32]) -> None:
    assert probabilities(net, hiss)[-1] != probabilities(net, hiss[-1:])[0]


@pytest.mark.parametrize("length", [0, WINDOW - 1, WINDOW + 1, 768])
def test_a_window_of_another_length_is_refused(net: SileroVad, length: int) -> None:
    with pytest.raises(ValueError, match="512 samples"):
        net.step(np.zeros(length, np.float32), net.init_state())


def test_a_step_is_cheap_since_the_graph_is_small_and_has_no_branches(models: Store) -> None:
    file = models.path("silero-vad") / FILE
    assert file.stat().st_size < 2 * 2**20
    assert {"If", "Loop", "Scan"}.isdisjoint(node.op_type for node in onnx.load(str(file)).graph.node)


@pytest.mark.slow
def test_the_weights_are_loaded_without_importing_torch(models: Store) -> None:
    load = "from vivavoce.model.turns.silero_vad import SileroVad"
    code = (
        f"import sys; from pathlib import Path; {load}; SileroVad(Path(sys.argv[1])); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(models.path("silero-vad"))], check=True, timeout=60)


@pytest.fixture(scope="module")
def say(speaker: Speaker) -> Callable[[str], Samples]:
    return lambda text: np.asarray(soxr.resample(speaker.say(text), SAMPLE_RATE, 16_000), np.float32)


@pytest.mark.slow
def test_speech_is_separated_from_the_silence_around_it(net: SileroVad, say: Callable[[str], Samples]) -> None:
    speech = say("The weather in the mountains was cold, but the sky was clear.")
    sound = np.concatenate((np.zeros(31 * WINDOW, np.float32), speech, np.zeros(16_000, np.float32)))
    found = np.array(probabilities(net, sound[: len(sound) // WINDOW * WINDOW].reshape(-1, WINDOW)))
    end = 31 + len(speech) // WINDOW
    assert found[:31].max() < 0.2
    assert (found[31:end] > 0.5).mean() > 0.75
    assert found[-15:].max() < 0.2
