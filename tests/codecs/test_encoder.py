"""Speech to codes with the weights of the package: the law of streaming, slots, and the promised delay."""

import numpy as np
import pytest

from vivavoce.codecs.tokenizer import FRAME_SIZE, WEIGHTS, AudioTokenizer


def speech(seconds: float, seed: int) -> np.ndarray:
    """Noise that swells and dies away, as syllables do."""
    rng = np.random.default_rng(seed)
    samples = int(seconds * 24_000)
    swell = np.abs(np.sin(np.arange(samples) / 24_000 * 12)) ** 2
    return np.asarray(rng.standard_normal(samples) * swell * 0.1, np.float32)


TRAINED = pytest.mark.skipif(not (WEIGHTS / "encoder.onnx").exists(), reason="no trained encoder in the package")


@pytest.mark.slow
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
