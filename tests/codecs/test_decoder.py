"""Codes to speech with the weights of the package: the law of streaming, slots, counts, and what is refused."""

import numpy as np
import pytest

from vivavoce.codecs.latents import LATENT_SIZE, LatentEncoder
from vivavoce.codecs.tokenizer import FRAME_SIZE, AudioTokenizer, Codes, Samples

COUNT = 12


@pytest.fixture(scope="module")
def tokenizer() -> AudioTokenizer:
    return AudioTokenizer(encodes=False)


@pytest.fixture(scope="module")
def codes() -> Codes:
    return np.random.default_rng(1).integers(0, AudioTokenizer.cardinality, (1, COUNT))


@pytest.fixture(scope="module")
def whole(tokenizer: AudioTokenizer, codes: Codes) -> Samples:
    return decoded(tokenizer, [codes])


def decoded(tokenizer: AudioTokenizer, parts: list[Codes], slots: int = 1, slot: int = 0) -> Samples:
    """What `parts` give in `slot`, while the other slots are given other codes."""
    state = tokenizer.init_decoding(slots)
    sounds = []
    for part in parts:
        others = np.full((1, 1), part.shape[1])
        sounds.append(tokenizer.decode([part if s == slot else others for s in range(slots)], state)[slot])
    return np.concatenate([*sounds, tokenizer.finish_decoding(state, slot)])


def test_every_code_gives_its_samples(whole: Samples) -> None:
    assert whole.shape == (COUNT * FRAME_SIZE,)
    assert 0.01 < np.abs(whole).max() <= 1.2


@pytest.mark.parametrize("size", [1, 2, 5])
def test_any_chunking_of_the_codes_gives_the_same_speech(
    tokenizer: AudioTokenizer, codes: Codes, whole: Samples, size: int
) -> None:
    parts = [codes[:, at : at + size] for at in range(0, COUNT, size)]

    np.testing.assert_allclose(decoded(tokenizer, parts), whole, atol=1e-5)


def test_sessions_in_one_batch_do_not_affect_each_other(
    tokenizer: AudioTokenizer, codes: Codes, whole: Samples
) -> None:
    parts = [codes[:, at : at + 4] for at in range(0, COUNT, 4)]

    np.testing.assert_allclose(decoded(tokenizer, parts, slots=3, slot=1), whole, atol=1e-5)


def test_later_codes_never_change_what_was_given(tokenizer: AudioTokenizer, codes: Codes, whole: Samples) -> None:
    other = codes.copy()
    other[:, 6:] = 7

    given = tokenizer.decode([other], tokenizer.init_decoding())[0]

    late = round(tokenizer.decode_delay * tokenizer.sample_rate)
    np.testing.assert_array_equal(given[: 6 * FRAME_SIZE - late], whole[: 6 * FRAME_SIZE - late])
    assert np.abs(given - whole[: len(given)]).max() > 0.01


def test_speech_lags_behind_its_codes_by_less_than_eighty_milliseconds(tokenizer: AudioTokenizer, codes: Codes) -> None:
    given = tokenizer.decode([codes], tokenizer.init_decoding())[0]

    assert COUNT * FRAME_SIZE - len(given) == round(tokenizer.decode_delay * tokenizer.sample_rate)
    assert tokenizer.decode_delay <= 0.08


def test_a_finished_slot_begins_anew(tokenizer: AudioTokenizer, codes: Codes, whole: Samples) -> None:
    state = tokenizer.init_decoding()
    tokenizer.decode([codes[:, ::-1]], state)
    tokenizer.finish_decoding(state, 0)

    again = tokenizer.decode([codes], state)[0]

    np.testing.assert_allclose(again, whole[: len(again)], atol=1e-5)


def test_a_slot_that_was_given_nothing_finishes_with_nothing(tokenizer: AudioTokenizer) -> None:
    assert len(tokenizer.finish_decoding(tokenizer.init_decoding(2), 1)) == 0


@pytest.mark.parametrize(
    ("codes", "complaint"),
    [
        (np.zeros(3, np.int64), r"shape \(1, T\), got \(3,\)"),
        (np.zeros((2, 3), np.int64), r"shape \(1, T\), got \(2, 3\)"),
        (np.array([[0, 4096]]), "from 0 to 4095, got 0 to 4096"),
        (np.array([[-1, 3]]), "from 0 to 4095, got -1 to 3"),
    ],
)
def test_what_are_no_codes_is_refused(tokenizer: AudioTokenizer, codes: Codes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        tokenizer.decode([codes], tokenizer.init_decoding())


def test_a_tokenizer_opened_for_one_direction_refuses_the_other(tokenizer: AudioTokenizer) -> None:
    with pytest.raises(ValueError, match="other direction"):
        tokenizer.init_encoding()


def test_latents_give_one_code_for_every_four_begun() -> None:
    encoder = LatentEncoder()
    latents = np.random.default_rng(3).normal(size=(192, 42)).astype(np.float32)

    codes = encoder.encode(latents)

    assert codes.shape == (1, 11)
    assert codes.min() >= 0
    assert codes.max() < AudioTokenizer.cardinality
    np.testing.assert_array_equal(codes[:, :7], encoder.encode(latents[:, :40])[:, :7])  # three frames ahead
    assert 4 * LATENT_SIZE == FRAME_SIZE


def test_latents_and_speech_share_one_code_book(tokenizer: AudioTokenizer) -> None:
    assert LatentEncoder().codebook == tokenizer.codebook


@pytest.mark.parametrize("shape", [(192,), (191, 8), (192, 0)])
def test_what_are_no_latents_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected latents of shape"):
        LatentEncoder().encode(np.zeros(shape, np.float32))
