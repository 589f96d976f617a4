"""The stand-in for vocoder and ears: it learns what latents sound like, and a code book learns from it.

torch takes seconds to import: the tests that need it import it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from vivavoce.model.training.codec.asr_surrogate import Speak

pytestmark = pytest.mark.slow  # torch alone takes longer to import than a quick test may

FRAMES = 600


def ears(latents: np.ndarray) -> np.ndarray:
    """A recogniser, as it were: deaf to all channels but the first eight. (T, 768) -> (T, 576)."""
    weights = np.random.default_rng(5).normal(size=(8, 576)) / np.sqrt(8)
    return np.asarray(np.tanh(latents.reshape(-1, 4, 192)[:, :, :8].mean(1) @ weights))


def hear(latents: np.ndarray) -> np.ndarray:
    """What the ears hear of (192, 4T)."""
    return ears(np.ascontiguousarray(latents.T, np.float32).reshape(-1, 768)).astype(np.float16)


def worse(clean: np.ndarray, _: np.ndarray) -> np.ndarray:
    """A bad copy."""
    return (clean + np.random.default_rng(6).normal(size=clean.shape)).astype(np.float16)


KINDS: dict[str, Speak] = {"clean": lambda clean, _: clean, "coded": worse}


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Two shards of vowels, as it were: each a pattern in the channels that are heard, and any in the others."""
    vowels = np.random.default_rng(3).normal(size=(12, 8))
    for number in range(2):
        rng = np.random.default_rng(number)
        clean = rng.normal(size=(192, FRAMES // 2)).repeat(8, 1).astype(np.float16)
        clean[:8] = vowels[rng.integers(0, 12, FRAMES // 2)].T.repeat(8, 1)
        np.savez(tmp_path / f"latents-{number:04d}.npz", clean=clean, noisy=clean, lengths=[4 * FRAMES])
    return tmp_path


def test_a_listener_hears_what_matters_and_goes_on_where_it_stopped(shards: Path, tmp_path: Path) -> None:
    import torch

    from vivavoce.model.training.codec import asr_surrogate as listener

    out = tmp_path / "ears"
    torch.manual_seed(0)
    listener.main(shards, KINDS, hear, out, steps=20)
    heard = listener.main(shards, KINDS, _never, out, steps=120)  # what was heard is kept: nobody is asked again

    latents = torch.from_numpy(np.load(shards / "latents-0000.npz")["clean"].astype(np.float32).T)[None]
    matters, does_not = latents.clone(), latents.clone()
    matters[:, :, :8] += torch.randn(1, 4 * FRAMES, 8)
    does_not[:, :, 8:16] += torch.randn(1, 4 * FRAMES, 8)
    assert heard.apart(latents, matters) > 3 * heard.apart(latents, does_not)
    assert torch.equal(listener.read(out / "state.pt").last.weight, heard.last.weight)


def test_a_code_book_with_a_listener_spends_its_bits_on_what_is_heard(shards: Path, tmp_path: Path) -> None:
    import torch

    from vivavoce.model.training.codec import asr_surrogate as listener
    from vivavoce.model.training.codec import train_codebook as codebook_train
    from vivavoce.model.training.codec import vocoder

    torch.manual_seed(0)
    heard = listener.main(shards, KINDS, hear, tmp_path / "ears", steps=120)
    voice = vocoder.Vocoder().eval()
    recipe = codebook_train.Recipe(steps=60, batch=4, crop=24, warm_up=5, looked_at=24, listened=5.0)

    apart = {}
    for name, ear in (("deaf", None), ("listening", heard)):
        trained = codebook_train.main(shards, voice, tmp_path / name, recipe, ear)
        latents = torch.from_numpy(np.load(shards / "latents-0000.npz")["clean"].astype(np.float32).T)[None]
        with torch.no_grad():
            apart[name] = float(heard.apart(latents, trained.latents(trained.codes(latents))))

    assert apart["listening"] < 0.9 * apart["deaf"]


def test_one_shard_is_not_enough(tmp_path: Path) -> None:
    from vivavoce.model.training.codec import asr_surrogate as listener

    with pytest.raises(ValueError, match="more than 1 shards"):
        listener.main(tmp_path, KINDS, _never, tmp_path / "ears")


def _never(latents: np.ndarray) -> np.ndarray:
    raise AssertionError(f"asked for {latents.shape}")
