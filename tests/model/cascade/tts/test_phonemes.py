"""model/cascade/tts/phonemes.py, with the real lexicon."""

from __future__ import annotations

import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vivavoce.model.cascade.tts.phonemes import Phonemes, Word
from vivavoce.model.cascade.tts.piper import Ids

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def phonemes() -> Phonemes:
    return Phonemes()


def _said(phonemes: Phonemes, text: str) -> str:
    return " ".join(word.symbols for word in phonemes.pronounce(text))


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("Hello there, how are you?", "həlˈO ðˈɛɹ, hˌW ɑɹ ju?"),
        ("the apple and the pear", "ði ˈæpᵊl ænd ðə pˈɛɹ"),
        ("A cat is a cat", "ɐ kˈæt ɪz ɐ kˈæt"),
        ("plan A works", "plˈæn ˈA wˈɜɹks"),
        ("I am here", "ˌI ɐm hˈɪɹ"),
        ("the F B I, okay", "ði ˌɛf bˌi ˈI, ˌOkˈA"),
        ("two C P U's. A dog", "tˈu sˌi pˌi jˈuz. ɐ dˈɔɡ"),
        ("A I helps", "ˌA ˈI hˈɛlps"),
        ("Vivavoce speaks", "vˌivəvˈOʧA spˈiks"),
        ("naïve café", "nɑˈiv kæfˈA"),
        ("the bgqx tool", "ðə bˈiʤˈikjˈuˈɛks tˈul"),
        ("你好", ""),
        ("mix 你好 it", "mˈɪks ɪt"),
        ("", ""),
        (", !", ""),
    ],
)
def test_words_are_pronounced(phonemes: Phonemes, text: str, symbols: str) -> None:
    assert _said(phonemes, text) == symbols


def test_a_word_knows_where_it_ends(phonemes: Phonemes) -> None:
    text = "Well, twenty-one é dogs."
    assert [text[: word.end].split()[-1] for word in phonemes.pronounce(text)] == ["Well,", "twenty-one", "é", "dogs."]


def test_words_outside_the_lexicon_still_have_phonemes(phonemes: Phonemes) -> None:
    for word in ("blorptastic", "Xyzzyqua", "Zhuravlyov"):
        (said,) = phonemes.pronounce(word)
        assert sum(symbol in "AIOWYaiuæɑɔəɛɜɪʊʌ" for symbol in said.symbols) >= 2, word


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(["the", "A", "I", "B", "C's", "cat", "o'clock", "re-do", "é", "你", "x.", "no,", "uh"]),
        max_size=8,
    )
)
def test_any_words_end_in_order(phonemes: Phonemes, words: list[str]) -> None:
    text = " ".join(words)
    ends = [word.end for word in phonemes.pronounce(text)]
    assert ends == sorted(set(ends))
    assert all(end == len(text) or text[end] == " " for end in ends)


def test_pipers_ids_are_espeaks_symbols_with_pads_between() -> None:
    table = {symbol: [number] for number, symbol in enumerate("_^$ həlˈoʊˌɪtɾɚuːaʊ.")}
    ids, ends = Ids(table).sequence([Word("həlˈO", 5), Word("tˈu.", 8), Word("X", 9)])
    names = {numbers[0]: symbol for symbol, numbers in table.items()}
    assert "".join(names[number] for number in ids) == "^_h_ə_l_ˈ_o_ʊ_ _t_ˈ_u_ː_._ _$"
    assert ["".join(names[number] for number in ids[:end])[-4:] for end in ends] == ["o_ʊ_", "u_ː_", "._ _"]


def test_no_gpl_code_comes_into_the_process(phonemes: Phonemes) -> None:
    phonemes.pronounce("blorptastic")
    assert not {"phonemizer", "espeakng_loader", "piper"} & sys.modules.keys()
