"""The codec's encoder: a stream gives what the whole clip gives, and what it learns from is in step.

torch takes seconds to import: the tests that need it import it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vivavoce.codecs.resample import Resampler
from vivavoce.codecs.streaming import Network, run
from vivavoce.codecs.tokenizer import FRAME_SIZE, WEIGHTS, AudioTokenizer
from vivavoce.model.cascade.tts.phonemes import Word
from vivavoce.model.training.codec import shards as pairs
from vivavoce.model.training.codec import voice_conversion as disguise

if TYPE_CHECKING:
    from vivavoce.model.training.codec.encoder import Encoder

pytestmark = pytest.mark.slow  # torch alone takes longer to import than a quick test may


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """More threads than free cores wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_grad() -> Iterator[None]:
    import torch

    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """Weights by chance."""
    import torch

    from vivavoce.model.training.codec.encoder import Encoder

    torch.manual_seed(1)
    made = Encoder().eval()
    made.inverse_frequency.copy_(10_000 ** (-torch.arange(16) / 16))
    return made


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise that swells and dies away, as syllables do."""
    from vivavoce.model.training.codec.encoder import STEP

    rng = np.random.default_rng(seed)
    samples = int(seconds * 24_000) // STEP * STEP
    swell = np.abs(np.sin(np.arange(samples) / 24_000 * 12)) ** 2
    return np.asarray(rng.standard_normal(samples) * swell * 0.1, np.float32)


def test_the_graph_resamples_as_the_resampler_does() -> None:
    import torch

    from vivavoce.model.training.codec import encoder as hearing
    from vivavoce.model.training.codec.encoder import DOWN, LATE, UP

    sound = speech(0.4)
    resampler = Resampler(DOWN, UP)
    expected = np.concatenate((resampler.push(sound), resampler.flush()))
    given = hearing.resampled(torch.from_numpy(sound)[None])[0].numpy()
    np.testing.assert_allclose(given[LATE:], expected[: len(given) - LATE], atol=1e-6)


@pytest.mark.usefixtures("no_grad")
def test_steps_give_what_the_whole_gives(encoder: Encoder) -> None:
    import torch

    from vivavoce.model.training.codec.encoder import AHEAD, STEP
    from vivavoce.model.training.codec.encoder_step import Stepper, state_shapes

    sounds = torch.from_numpy(np.stack([speech(2.4, 1), speech(2.4, 2)]))
    whole = encoder.whole(sounds)
    stepper, steps = Stepper(encoder), []
    state = {name: torch.zeros(2, *shape) for name, shape in state_shapes().items()}
    for at in range(0, sounds.shape[1], STEP):
        hidden, state = stepper.hidden(sounds[:, at : at + STEP], state)
        steps.append(hidden)
    late = sum(AHEAD)
    given = torch.cat(steps, 1)[:, late:]
    torch.testing.assert_close(given, whole[:, : given.shape[1]], atol=2e-5, rtol=1e-4)


@pytest.mark.usefixtures("no_grad")
def test_a_frame_knows_nothing_beyond_its_delay(encoder: Encoder) -> None:
    import torch

    from vivavoce.model.training.codec.encoder import AHEAD, BLOCK, STEP

    sound = speech(1.8)
    other = sound.copy()
    changed = 12 * STEP
    other[changed:] = speech(1.8, 9)[changed:]
    before, after = (encoder.whole(torch.from_numpy(x)[None])[0] for x in (sound, other))
    known = 12 * BLOCK - sum(AHEAD)
    torch.testing.assert_close(before[:known], after[:known], atol=1e-5, rtol=1e-5)
    assert (before[known:] - after[known:]).abs().max() > 1e-3


def test_loudness_is_that_of_the_speech_not_of_the_pauses() -> None:
    import torch

    from vivavoce.model.training.codec import encoder as hearing

    speaking = torch.full((1, 30), hearing.USUAL)
    then_silent = torch.cat((speaking, torch.full((1, 20), 1e-7)), 1)
    known = hearing.running(then_silent)[0]
    torch.testing.assert_close(known[-1], known[29], rtol=0.05, atol=0.0)
    louder = hearing.running(4 * then_silent)[0]
    torch.testing.assert_close(louder[5:], 4 * known[5:], rtol=0.05, atol=0.0)
    only_noise = hearing.running(torch.full((1, 40), 1e-5 * hearing.USUAL))[0]
    assert (only_noise > 0.2 * hearing.USUAL * hearing.SHARE).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")  # of the older exporter
@pytest.mark.usefixtures("no_grad")
def test_the_exported_file_says_what_the_network_says(encoder: Encoder, tmp_path: Path) -> None:
    import torch

    from vivavoce.model.training.codec import export_encoder as hearing_export
    from vivavoce.model.training.codec.encoder import DELAY_FRAMES

    hearing_export.export(encoder, tmp_path / "encoder.onnx", "a book")
    network = Network(tmp_path / "encoder.onnx")
    sound = speech(2.0)
    codes = np.concatenate(run(network, [sound], network.init_state(1))[0])[DELAY_FRAMES:]
    _, logits, _ = encoder.frames(encoder.whole(torch.from_numpy(sound)[None]))
    expected = logits[0].argmax(1).numpy()
    assert (codes == expected[: len(codes)]).mean() > 0.6  # by chance 1 in 4096; the rest is rounding
    assert network.metadata["codebook"] == "a book"
    assert int(network.metadata["delay_frames"]) == DELAY_FRAMES


TRAINED = pytest.mark.skipif(not (WEIGHTS / "encoder.onnx").exists(), reason="no trained encoder in the package")


@TRAINED
def test_any_chunking_and_any_company_give_the_same_codes() -> None:
    tokenizer = AudioTokenizer(decodes=False)
    sounds = [speech(1.2, 3), speech(2.0, 4), speech(0.7, 5)]
    state = tokenizer.init_encoding()
    alone = []
    for sound in sounds:
        first = tokenizer.encode([sound], state)[0]
        alone.append(np.concatenate((first, tokenizer.finish_encoding(state, 0)), 1))
    together = tokenizer.init_encoding(3)
    parts: list[list[np.ndarray]] = [[], [], []]
    for at in range(0, 48_000, 1700):
        chunks = [sound[at : at + 1700] for sound in sounds]
        for slot, codes in enumerate(tokenizer.encode(chunks, together)):
            parts[slot].append(codes)
    for slot, sound in enumerate(sounds):
        given = np.concatenate((*parts[slot], tokenizer.finish_encoding(together, slot)), 1)
        assert given.shape == (1, -(-len(sound) // FRAME_SIZE))
        np.testing.assert_array_equal(given, alone[slot])


@TRAINED
def test_the_encoder_keeps_its_promises() -> None:
    tokenizer = AudioTokenizer(decodes=False)
    assert tokenizer.encode_delay <= 0.320
    assert (WEIGHTS / "encoder.onnx").stat().st_size < 15_000_000


def test_two_alphabets_share_the_time_of_a_clip() -> None:
    from vivavoce.model.training.codec import aligned_voices as parallel

    together = [parallel.Unit(1, 2), parallel.Unit(1, 4), parallel.Unit(1, 0), parallel.Unit(1, 2), parallel.Unit(1, 1)]
    frames = np.array([4, 6, 2, 8, 2], np.int16)  # of 25 ms
    natural = np.array([1, 1, 3, 1, 3, 1, 2, 2, 1], np.float32)
    durations = parallel.forced(together, frames, natural)[0, 0]
    ends = np.cumsum(durations)
    per_frame = parallel.KOKORO_FRAME / pairs.LATENT
    spoken_ends = (np.cumsum(frames) - parallel.EARLY) * per_frame
    np.testing.assert_allclose(ends[[1, 5, 7, 8]], spoken_ends[[0, 1, 3, 4]], atol=0.5)  # the third has no id
    assert durations[2] > durations[3]  # as long as joe would make them, in proportion
    with pytest.raises(ValueError, match="expected 4 symbols"):
        parallel.forced(together, frames[:4], natural)


def test_every_symbol_of_a_word_belongs_to_some_id() -> None:
    from vivavoce.model.training.codec import aligned_voices as parallel

    class Ids:
        def numbers(self, symbols: str) -> list[int]:
            return [1] * (2 * len(symbols.replace("ʧ", "tʃ")))

    units = parallel.units([Word("ʧAn,", 3), Word("go.", 6)], dict.fromkeys("ʧAngo,. ", 1), Ids())  # type: ignore[arg-type] # what is used of it
    assert [unit.ids for unit in units] == [2, 4, 2, 2, 2, 2, 2, 2, 2, 1]
    assert all(unit.symbols == 1 for unit in units)


def test_a_sound_is_shifted_to_its_latents() -> None:
    from vivavoce.model.training.codec import aligned_voices as parallel

    sound = np.arange(1, 11, dtype=np.float32)
    np.testing.assert_array_equal(parallel.shifted(sound, 2, 6), [0, 0, 1, 2, 3, 4])
    np.testing.assert_array_equal(parallel.shifted(sound, -3, 9), [4, 5, 6, 7, 8, 9, 10, 0, 0])


@pytest.mark.parametrize("line", ["telephone", "opus"])
def test_a_line_does_not_shift_what_it_carries(line: str) -> None:
    from vivavoce.model.training.codec import augmentation as scenes

    sound = speech(0.5)
    heard = scenes.telephone(sound) if line == "telephone" else scenes.opus(sound, 24_000)
    across = np.fft.irfft(np.fft.rfft(sound, 1 << 15) * np.conj(np.fft.rfft(heard, 1 << 15)))
    lag = int(across.argmax())
    assert len(heard) == len(sound)
    assert min(lag, (1 << 15) - lag) <= 48  # 2 ms


def test_a_scene_is_made_by_its_seed() -> None:
    from vivavoce.model.training.codec import augmentation as scenes

    sound = speech(0.4)
    around = scenes.Surroundings.make([speech(0.3, 7)], np.random.default_rng(0))
    for seed in range(6):
        made, again = (scenes.scene(sound, around, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(made, again)
        assert made.shape == sound.shape
        assert np.abs(made).max() <= 1


@pytest.mark.filterwarnings("ignore:pkg_resources")  # of WORLD's package
def test_a_disguise_keeps_the_timing() -> None:
    pytest.importorskip("pyworld")
    t = np.arange(36_000) / 24_000
    swell = np.clip(np.sin(2 * np.pi * 3 * t), 0, None)
    sound = (swell * sum(np.sin(2 * np.pi * 110 * k * t) / k for k in range(1, 30)) * 0.1).astype(np.float32)
    made = disguise.disguised(sound, np.random.default_rng(3))
    assert made.shape == sound.shape
    levels = [np.square(x).reshape(-1, 240).mean(1) for x in (sound, made)]
    assert np.corrcoef(*levels)[0, 1] > 0.9
    assert np.abs(made - sound).max() > 0.05


def test_a_shard_gives_back_its_pairs(tmp_path: Path) -> None:
    kept = [pair(12, 1), pair(4, 2)]
    pairs.write(tmp_path / "a-0.npz", kept)
    read = pairs.read(tmp_path / "a-0.npz")
    for one, other in zip(kept, read, strict=True):
        np.testing.assert_allclose(one.sound, other.sound, atol=1e-4)
        np.testing.assert_array_equal(one.latents, other.latents)


def pair(frames: int, seed: int) -> pairs.Pair:
    rng = np.random.default_rng(seed)
    sound = (rng.standard_normal(frames * FRAME_SIZE) * 0.1).astype(np.float32)
    return pairs.Pair(sound, rng.standard_normal((192, 4 * frames)).astype(np.float16))


def test_training_goes_on_where_it_was_stopped(encoder: Encoder, tmp_path: Path) -> None:
    import torch

    from vivavoce.model.training.codec import train_encoder as hearing_train
    from vivavoce.model.training.codec.asr_surrogate import Listener
    from vivavoce.model.training.codec.autoencoder import Autoencoder

    for name in ("joe-0000", "others-000"):
        pairs.write(tmp_path / f"{name}.npz", [pair(16, seed) for seed in range(3)])
    torch.manual_seed(0)
    codec, listener = Autoencoder().eval(), Listener().eval()

    def train(steps: int) -> None:
        recipe = hearing_train.Recipe(steps=steps, batch=2, crop=16, checked_every=2)
        learner = hearing_train.Learner(hearing_train.begin(encoder, codec), codec, listener, recipe)
        hearing_train.main(tmp_path, encoder, learner, tmp_path / "run", recipe)

    train(2)
    kept = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert kept["step"] == 2
    assert len((tmp_path / "run" / "curve.tsv").read_text().splitlines()) == 2
    train(4)
    kept = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert kept["step"] == 4
    assert [row[0] for row in kept["curve"]] == [2, 4]
    assert all(np.isfinite(row).all() for row in kept["curve"])


def test_a_missing_shard_is_said(encoder: Encoder, tmp_path: Path) -> None:
    from vivavoce.model.training.codec.autoencoder import Autoencoder
    from vivavoce.model.training.codec.dataset import Lessons

    with pytest.raises(ValueError, match="expected shards of pairs"):
        Lessons(tmp_path, encoder, Autoencoder(), crop=16, seed=0)
