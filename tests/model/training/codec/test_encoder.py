"""model/training/codec: the encoder streams as it computes whole clips; its pairs are aligned; its training resumes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vivavoce.codecs.resample import Resampler
from vivavoce.codecs.streaming import Network, run
from vivavoce.codecs.tokenizer import FRAME_SIZE
from vivavoce.model.cascade.tts.phonemes import Word
from vivavoce.model.training.codec import shards, voice_conversion

if TYPE_CHECKING:
    from vivavoce.model.training.codec.encoder import Encoder

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """Random weights."""
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

    from vivavoce.model.training.codec.encoder import DOWN, RESAMPLING_DELAY, UP, resampled

    sound = speech(0.4)
    resampler = Resampler(DOWN, UP)
    expected = np.concatenate((resampler.push(sound), resampler.flush()))
    given = resampled(torch.from_numpy(sound)[None])[0].numpy()
    np.testing.assert_allclose(given[RESAMPLING_DELAY:], expected[: len(given) - RESAMPLING_DELAY], atol=1e-6)


@pytest.mark.usefixtures("no_grad")
def test_steps_give_what_the_whole_gives(encoder: Encoder) -> None:
    import torch

    from vivavoce.model.training.codec.encoder import AHEAD, STEP, EncoderStep, state_shapes

    sounds = torch.from_numpy(np.stack([speech(2.4, 1), speech(2.4, 2)]))
    whole = encoder.streamed(sounds)
    step, steps = EncoderStep(encoder), []
    state = {name: torch.zeros(2, *shape) for name, shape in state_shapes().items()}
    for at in range(0, sounds.shape[1], STEP):
        hidden, state = step.hidden(sounds[:, at : at + STEP], state)
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
    before, after = (encoder.streamed(torch.from_numpy(x)[None])[0] for x in (sound, other))
    known = 12 * BLOCK - sum(AHEAD)
    torch.testing.assert_close(before[:known], after[:known], atol=1e-5, rtol=1e-5)
    assert (before[known:] - after[known:]).abs().max() > 1e-3


def test_loudness_is_that_of_the_speech_not_of_the_pauses() -> None:
    import torch

    from vivavoce.model.training.codec.encoder import PLAIN_MEAN, PRIOR_POWER, running_power

    speaking = torch.full((1, 30), PRIOR_POWER)
    then_silent = torch.cat((speaking, torch.full((1, 20), 1e-7)), 1)
    known = running_power(then_silent)[0]
    torch.testing.assert_close(known[-1], known[29], rtol=0.05, atol=0.0)
    louder = running_power(4 * then_silent)[0]
    torch.testing.assert_close(louder[5:], 4 * known[5:], rtol=0.05, atol=0.0)
    only_noise = running_power(torch.full((1, 40), 1e-5 * PRIOR_POWER))[0]
    assert (only_noise > 0.2 * PRIOR_POWER * PLAIN_MEAN).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")  # of the older exporter
@pytest.mark.usefixtures("no_grad")
def test_the_exported_file_says_what_the_network_says(encoder: Encoder, tmp_path: Path) -> None:
    import torch

    from vivavoce.model.training.codec.encoder import DELAY_FRAMES
    from vivavoce.model.training.codec.export_encoder import export

    export(encoder, tmp_path / "encoder.onnx", "a book")
    network = Network(tmp_path / "encoder.onnx")
    sound = speech(2.0)
    codes = np.concatenate(run(network, [sound], network.init_state(1))[0])[DELAY_FRAMES:]
    _, logits, _ = encoder.frames(encoder.streamed(torch.from_numpy(sound)[None]))
    expected = logits[0].argmax(1).numpy()
    assert (codes == expected[: len(codes)]).mean() > 0.6  # by chance 1 in 4096; the rest is rounding
    assert network.metadata["codebook"] == "a book"
    assert int(network.metadata["delay_frames"]) == DELAY_FRAMES


def test_two_alphabets_share_the_time_of_a_clip() -> None:
    from vivavoce.model.training.codec import aligned_voices

    units = [aligned_voices.Unit(1, ids) for ids in (2, 4, 0, 2, 1)]
    frames = np.array([4, 6, 2, 8, 2], np.int16)  # of 25 ms
    natural = np.array([1, 1, 3, 1, 3, 1, 2, 2, 1], np.float32)
    durations = aligned_voices.forced_durations(units, frames, natural)[0, 0]
    ends = np.cumsum(durations)
    per_frame = aligned_voices.KOKORO_FRAME / shards.LATENT
    spoken_ends = (np.cumsum(frames) - aligned_voices.EARLY) * per_frame
    np.testing.assert_allclose(ends[[1, 5, 7, 8]], spoken_ends[[0, 1, 3, 4]], atol=0.5)  # the third has no id
    assert durations[2] > durations[3]  # as long as joe would make them, in proportion
    with pytest.raises(ValueError, match="expected 4 symbols"):
        aligned_voices.forced_durations(units, frames[:4], natural)


def test_every_symbol_of_a_word_belongs_to_some_id() -> None:
    from vivavoce.model.training.codec import aligned_voices

    class Ids:
        def numbers(self, symbols: str) -> list[int]:
            return [1] * (2 * len(symbols.replace("ʧ", "tʃ")))

    units = aligned_voices.align_alphabets([Word("ʧAn,", 3), Word("go.", 6)], dict.fromkeys("ʧAngo,. ", 1), Ids())  # type: ignore[arg-type] # what is used of it
    assert [unit.ids for unit in units] == [2, 4, 2, 2, 2, 2, 2, 2, 2, 1]
    assert all(unit.symbols == 1 for unit in units)


def test_a_sound_is_shifted_to_its_latents() -> None:
    from vivavoce.model.training.codec import aligned_voices

    sound = np.arange(1, 11, dtype=np.float32)
    np.testing.assert_array_equal(aligned_voices.shifted(sound, 2, 6), [0, 0, 1, 2, 3, 4])
    np.testing.assert_array_equal(aligned_voices.shifted(sound, -3, 9), [4, 5, 6, 7, 8, 9, 10, 0, 0])


@pytest.mark.parametrize("line", ["telephone", "opus"])
def test_a_line_does_not_shift_what_it_carries(line: str) -> None:
    from vivavoce.model.training.codec import augmentation

    sound = speech(0.5)
    heard = augmentation.telephone(sound) if line == "telephone" else augmentation.opus(sound, 24_000)
    across = np.fft.irfft(np.fft.rfft(sound, 1 << 15) * np.conj(np.fft.rfft(heard, 1 << 15)))
    lag = int(across.argmax())
    assert len(heard) == len(sound)
    assert min(lag, (1 << 15) - lag) <= 48  # 2 ms


def test_an_augmentation_is_made_by_its_seed() -> None:
    from vivavoce.model.training.codec.augmentation import acoustics, augment

    sound = speech(0.4)
    surroundings = acoustics([speech(0.3, 7)], np.random.default_rng(0))
    for seed in range(6):
        made, again = (augment(sound, surroundings, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(made, again)
        assert made.shape == sound.shape
        assert np.abs(made).max() <= 1


@pytest.mark.filterwarnings("ignore:pkg_resources")  # of WORLD's package
def test_voice_conversion_keeps_the_timing() -> None:
    pytest.importorskip("pyworld")
    t = np.arange(36_000) / 24_000
    swell = np.clip(np.sin(2 * np.pi * 3 * t), 0, None)
    sound = (swell * sum(np.sin(2 * np.pi * 110 * k * t) / k for k in range(1, 30)) * 0.1).astype(np.float32)
    made = voice_conversion.convert(sound, np.random.default_rng(3))
    assert made.shape == sound.shape
    levels = [np.square(x).reshape(-1, 240).mean(1) for x in (sound, made)]
    assert np.corrcoef(*levels)[0, 1] > 0.9
    assert np.abs(made - sound).max() > 0.05


def test_a_shard_gives_back_its_pairs(tmp_path: Path) -> None:
    kept = [pair(12, 1), pair(4, 2)]
    shards.write(tmp_path / "a-0.npz", kept)
    read = shards.read(tmp_path / "a-0.npz")
    for one, other in zip(kept, read, strict=True):
        np.testing.assert_allclose(one.sound, other.sound, atol=1e-4)
        np.testing.assert_array_equal(one.latents, other.latents)


def pair(frames: int, seed: int) -> shards.Pair:
    rng = np.random.default_rng(seed)
    sound = (rng.standard_normal(frames * FRAME_SIZE) * 0.1).astype(np.float32)
    return shards.Pair(sound, rng.standard_normal((192, 4 * frames)).astype(np.float16))


def test_training_goes_on_where_it_was_stopped(encoder: Encoder, tmp_path: Path) -> None:
    import torch

    from vivavoce.model.training.codec import train_encoder
    from vivavoce.model.training.codec.asr_surrogate import AsrSurrogate
    from vivavoce.model.training.codec.autoencoder import Autoencoder

    for name in ("joe-0000", "others-000"):
        shards.write(tmp_path / f"{name}.npz", [pair(16, seed) for seed in range(3)])
    torch.manual_seed(0)
    codec, surrogate = Autoencoder().eval(), AsrSurrogate().eval()

    def train(steps: int) -> None:
        recipe = train_encoder.Recipe(steps=steps, batch=2, crop=16, evaluated_every=2)
        initial = train_encoder.initial_encoder(encoder, codec)
        objective = train_encoder.EncoderLoss(initial, codec, surrogate, recipe)
        train_encoder.main(tmp_path, encoder, objective, tmp_path / "run", recipe)

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
    from vivavoce.model.training.codec.dataset import Dataset

    with pytest.raises(ValueError, match="expected shards of pairs"):
        Dataset(tmp_path, encoder, Autoencoder(), crop=16, seed=0)
