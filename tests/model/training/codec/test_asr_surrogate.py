"""model/training/codec/asr_surrogate.py: it learns the ASR features of latents, and a codebook learns from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from vivavoce.model.training.codec.asr_surrogate import AsrSurrogate, Variant

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

FRAMES = 600
STEPS = 60


def features(latents: np.ndarray) -> np.ndarray:
    """Stands for the ASR encoder: only the first eight channels count. (T, 768) -> (T, 576)."""
    weights = np.random.default_rng(5).normal(size=(8, 576)) / np.sqrt(8)
    return np.asarray(np.tanh(latents.reshape(-1, 4, 192)[:, :, :8].mean(1) @ weights))


def extract(latents: np.ndarray) -> np.ndarray:
    """(192, 4T) -> (T, 576)."""
    return features(np.ascontiguousarray(latents.T, np.float32).reshape(-1, 768)).astype(np.float16)


def worse(clean: np.ndarray, _: np.ndarray) -> np.ndarray:
    """A bad copy."""
    return (clean + np.random.default_rng(6).normal(size=clean.shape)).astype(np.float16)


VARIANTS: dict[str, Variant] = {"clean": lambda clean, _: clean, "coded": worse}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of "vowels": each a pattern in the channels that count, and noise in the others."""
    folder = tmp_path_factory.mktemp("shards")
    vowels = np.random.default_rng(3).normal(size=(12, 8))
    for number in range(2):
        rng = np.random.default_rng(number)
        clean = rng.normal(size=(192, FRAMES // 2)).repeat(8, 1).astype(np.float16)
        clean[:8] = vowels[rng.integers(0, 12, FRAMES // 2)].T.repeat(8, 1)
        np.savez(folder / f"latents-{number:04d}.npz", clean=clean, noisy=clean, lengths=[4 * FRAMES])
    return folder


@pytest.fixture(scope="module")
def trained(shards: Path, one_thread: None) -> AsrSurrogate:
    """Stopped after 20 steps, and resumed."""
    import torch

    from vivavoce.model.training.codec import asr_surrogate

    torch.manual_seed(0)
    asr_surrogate.main(shards, VARIANTS, extract, shards / "surrogate", steps=20)
    return asr_surrogate.main(shards, VARIANTS, _never, shards / "surrogate", steps=STEPS)  # features are cached


def test_the_surrogate_learns_what_matters_and_resumes(shards: Path, trained: AsrSurrogate) -> None:
    import torch

    from vivavoce.model.training.codec import asr_surrogate

    torch.manual_seed(0)
    latents = torch.from_numpy(np.load(shards / "latents-0000.npz")["clean"].astype(np.float32).T)[None]
    matters, does_not = latents.clone(), latents.clone()
    matters[:, :, :8] += torch.randn(1, 4 * FRAMES, 8)
    does_not[:, :, 8:16] += torch.randn(1, 4 * FRAMES, 8)
    assert trained.distance(latents, matters) > 3 * trained.distance(latents, does_not)
    loaded = asr_surrogate.load_surrogate(shards / "surrogate" / "state.pt")
    assert torch.equal(loaded.last.weight, trained.last.weight)


def test_a_codebook_with_a_surrogate_spends_its_bits_on_what_is_recognized(
    shards: Path, trained: AsrSurrogate, tmp_path: Path
) -> None:
    import torch

    from vivavoce.model.training.codec import train_codebook, vocoder

    torch.manual_seed(0)
    voice = vocoder.Vocoder().eval()
    recipe = train_codebook.Recipe(steps=30, batch=4, crop=24, warm_up=5, importance_frames=24, perceptual=5.0)

    distance = {}
    for name, loss in (("without", None), ("with", trained)):
        codebook = train_codebook.main(shards, voice, tmp_path / name, recipe, loss)
        latents = torch.from_numpy(np.load(shards / "latents-0000.npz")["clean"].astype(np.float32).T)[None]
        with torch.no_grad():
            distance[name] = float(trained.distance(latents, codebook.latents(codebook.codes(latents))))

    assert distance["with"] < 0.9 * distance["without"]


def test_one_shard_is_not_enough(tmp_path: Path) -> None:
    from vivavoce.model.training.codec import asr_surrogate

    with pytest.raises(ValueError, match="more than 1 shards"):
        asr_surrogate.main(tmp_path, VARIANTS, _never, tmp_path / "surrogate")


def _never(latents: np.ndarray) -> np.ndarray:
    raise AssertionError(f"asked for {latents.shape}")
