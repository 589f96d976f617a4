"""model/cascade/tts on the real voices: words are understood and end where they should, chunks equal the whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest
import soxr

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.cascade.tts import PLAIN, WHOLE, Clause, Clauses, Part, Speech, Style, Tts, open_tts
from vivavoce.model.cascade.tts.english.spoken import speakable
from vivavoce.model.cascade.tts.hibari import Hibari
from vivavoce.model.cascade.tts.kokoro import Kokoro
from vivavoce.model.cascade.tts.phonemes import Phonemes
from vivavoce.model.cascade.tts.piper import HOP, PIPER_RATE, Piper
from vivavoce.model.cascade.tts.shaping import AUDIBLE
from vivavoce.model.dialogue import WordEnd
from vivavoce.model.errors import UnknownVoice
from vivavoce.model.store import Store

pytestmark = [pytest.mark.models, pytest.mark.slow]

SENTENCES = """
Hello there, how can I help you today?
Your meeting is on March 3, 2024 at half past nine.
That will cost $3.50, which is 20% less than before.
The temperature in Paris is 21°C with light rain in the afternoon.
Two plus three is five, and 12 × 4 = 48.
Dr. Smith lives on Main St. and drives at 50 km/h.
The film was made in 1984 and won 3 awards in the 1990s.
I think we should take the early train because the later one is often delayed.
World War II ended in 1945.
She bought 2 1/2 cups of flour and 250 g of sugar.
The USA and the UK signed the agreement on 2021-06-15.
My computer has 16 GB of memory and a fast CPU.
The library opens at 9:30 am and closes at 6 pm.
He finished 2nd in the race, only 0.5 seconds behind the leader.
Would you like me to read the next message to you?
Photosynthesis turns sunlight into chemical energy inside the leaves of plants.
The population grew from 1,200 to 3,400,000 in a century.
**Sorry**, I did not understand that; could you please say it again?
Remember to lock the door, switch off the lights, and water the flowers.
My favorite mountain is far away, but the butter and the water there are wonderful.
""".strip().splitlines()

Recognize = Callable[[Samples], list[tuple[str, float]]]


@pytest.fixture(scope="module")
def phonemes() -> Phonemes:
    return Phonemes()


@pytest.fixture(scope="module")
def heart(models: Store, phonemes: Phonemes) -> Hibari:
    return Hibari(models.path("hibari"), 1, phonemes=phonemes)


@pytest.fixture(scope="module")
def joe(models: Store, phonemes: Phonemes) -> Piper:
    return Piper(models.path("piper-joe"), 1, phonemes=phonemes, noise=False)


@pytest.fixture(scope="module")
def kokoro(models: Store, phonemes: Phonemes) -> Kokoro:
    return Kokoro(models.path("kokoro"), 2, phonemes=phonemes)


@pytest.fixture(scope="module")
def recognize(models: Store) -> Recognize:
    """Words as Whisper recognizes them, with the second at which each ends."""
    from faster_whisper import WhisperModel

    model = WhisperModel(str(models.path("whisper-base")), device="cpu", compute_type="int8", cpu_threads=2)

    def words_of(samples: Samples) -> list[tuple[str, float]]:
        sound = soxr.resample(samples, SAMPLE_RATE, 16_000)
        segments, _ = model.transcribe(sound, language="en", beam_size=1, word_timestamps=True)
        return [(word.word.strip(), word.end) for segment in segments for word in segment.words]

    return words_of


def _all(speeches: Iterator[Speech]) -> tuple[Samples, list[WordEnd]]:
    got = list(speeches)
    return np.concatenate([speech.samples for speech in got]), [word for speech in got for word in speech.words]


def _plain(text: str) -> list[str]:
    return re.sub(r"[-.,;:!?]", " ", speakable(text).text.lower()).replace("'", "").split()


def _errors(expected: list[str], recognized: list[str]) -> int:
    """Words to insert, delete or replace (Levenshtein)."""
    row = list(range(len(recognized) + 1))
    for count, word in enumerate(expected, 1):
        diagonal, row[0] = row[0], count
        for column, got in enumerate(recognized, 1):
            diagonal, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, diagonal + (word != got))
    return row[-1]


def _error_rate(tts: Tts, name: str, sentences: list[str], recognize: Recognize) -> float:
    """Share of words that Whisper gets wrong; some sentences at a time, since it takes 30 s at once anyway."""
    errors = words = 0
    for start in range(0, len(sentences), 5):
        read = sentences[start : start + 5]
        samples = np.concatenate([_all(tts.speak(sentence, name=name))[0] for sentence in read])
        expected = [word for sentence in read for word in _plain(sentence)]
        errors += _errors(expected, _plain(" ".join(word for word, _ in recognize(samples))))
        words += len(expected)
    return errors / words


@pytest.mark.parametrize("voice", ["heart", "joe"])
def test_the_voice_is_understood(voice: str, recognize: Recognize, request: pytest.FixtureRequest) -> None:
    assert _error_rate(request.getfixturevalue(voice), voice, SENTENCES, recognize) <= 0.08


class OpeningTts:
    """A voice, with openings: each sentence begins before its end is known."""

    def __init__(self, tts: Tts) -> None:
        self._tts = tts
        self.names = tts.names
        self.openings = 0

    def speak(
        self, text: str, *, name: str = "", speed: float = 1.0, part: Part = WHOLE, style: Style = PLAIN
    ) -> Iterator[Speech]:
        clauses, todo = Clauses(), list[Clause]()
        for word in re.findall(r"\s*\S+", text):
            todo += clauses.push(word)
            if (opening := clauses.opening()) is not None:
                todo.append(opening)
                self.openings += 1
        for clause in [*todo, *clauses.flush()]:
            yield from self._tts.speak(clause.text, part=clause.part)


@pytest.mark.parametrize("voice", ["heart", "joe"])
def test_the_voice_is_understood_with_openings(
    voice: str, recognize: Recognize, request: pytest.FixtureRequest
) -> None:
    tts = OpeningTts(request.getfixturevalue(voice))
    assert _error_rate(tts, voice, SENTENCES[::2], recognize) <= 0.12
    assert tts.openings >= len(SENTENCES) / 2


@pytest.mark.parametrize("voice", ["heart", "joe", "kokoro"])
def test_the_rest_of_a_text_is_what_the_whole_would_have_been_from_there(
    voice: str, request: pytest.FixtureRequest
) -> None:
    text, said = "Cats are the most intelligent animals.", len("Cats are the")
    speaker: Tts = request.getfixturevalue(voice)
    whole, words = _all(speaker.speak(text))
    rest, ends = _all(speaker.speak(text, part=Part(said)))
    at = next(word.sample for word in words if word.chars == said)
    assert [word.chars for word in ends] == [word.chars for word in words if word.chars > said]
    assert abs(len(rest) - (len(whole) - at)) < SAMPLE_RATE // 50
    np.testing.assert_allclose(
        [word.sample for word in ends], [word.sample - at for word in words if word.chars > said], atol=480
    )


@pytest.mark.parametrize("name", ["af_heart", "bm_george"])
def test_kokoros_voices_are_understood(kokoro: Kokoro, name: str, recognize: Recognize) -> None:
    assert _error_rate(kokoro, name, SENTENCES[::7], recognize) <= 0.12


def test_joes_decoder_is_the_same_in_chunks_as_at_once(joe: Piper, phonemes: Phonemes) -> None:
    latents, _ = joe.encode(phonemes.pronounce("The law of streaming holds for this decoder, chunk by chunk."), 1.0)
    chunks = list(joe.decode(latents))
    assert [len(chunk) // HOP for chunk in chunks[:3]] == [17, 35, 69]
    (whole,) = joe._back.run(None, {"/Mul_7_output_0": latents})
    np.testing.assert_allclose(np.concatenate(chunks), whole.reshape(-1), atol=1e-4)


def test_no_sample_is_lost_or_added_on_the_way_to_24_khz(joe: Piper, phonemes: Phonemes) -> None:
    words = phonemes.pronounce("Count every sample, please.")
    latents, _ = joe.encode(words, 1.0)
    chunks = list(joe._render(words, 0, len(words), speed=1.0).chunks)
    assert sum(map(len, chunks)) == round(latents.shape[2] * HOP * SAMPLE_RATE / PIPER_RATE)


@pytest.mark.parametrize("voice", ["heart", "joe", "kokoro"])
def test_words_end_in_order_within_the_sound_and_where_whisper_says(
    voice: str, recognize: Recognize, request: pytest.FixtureRequest
) -> None:
    text = "The old station clock stopped at noon, and nobody has repaired it since then."
    samples, words = _all(request.getfixturevalue(voice).speak(text))
    assert [text[: word.chars].split()[-1] for word in words] == text.split()
    assert all(before.sample <= after.sample for before, after in pairwise(words))
    sound_ends = int(np.flatnonzero(np.abs(samples) > AUDIBLE)[-1])
    assert words[-1].chars == len(text)
    assert abs(words[-1].sample - sound_ends) < SAMPLE_RATE // 20
    recognized = recognize(samples)
    assert [word.strip(".,").lower() for word, _ in recognized] == [word.strip(".,").lower() for word in text.split()]
    apart = np.array([end - word.sample / SAMPLE_RATE for (_, end), word in zip(recognized, words, strict=True)])
    assert abs(float(np.median(apart))) < 0.12, "Whisper leaves out the fading of a word"
    assert float(np.abs(apart).max()) < 0.45


@pytest.mark.parametrize("voice", ["heart", "joe"])
def test_a_comma_makes_a_gap_right_after_its_word(voice: str, request: pytest.FixtureRequest) -> None:
    samples, words = _all(request.getfixturevalue(voice).speak("We waited for an hour, nobody came."))
    end = next(word.sample for word in words if word.chars == len("We waited for an hour,"))
    loudness = np.sqrt(np.convolve(samples**2, np.ones(480) / 480, "same"))
    assert float(loudness[end - 4800 : end + 4800].min()) < 0.01
    assert float(loudness[end + 1200 : end + 12_000].max()) > 0.05


@pytest.mark.parametrize("voice", ["heart", "joe", "kokoro"])
def test_the_first_sound_comes_early_and_no_join_clicks(voice: str, request: pytest.FixtureRequest) -> None:
    speeches = list(request.getfixturevalue(voice).speak("Sure, let me look that up for you."))
    assert int(np.flatnonzero(np.abs(speeches[0].samples) > AUDIBLE)[0]) <= 0.04 * SAMPLE_RATE
    assert all(speech.samples.dtype == np.float32 and len(speech.samples) for speech in speeches)
    samples = np.concatenate([speech.samples for speech in speeches])
    assert abs(samples[0]) < 1e-3
    assert abs(samples[-1]) < 1e-3
    joins = np.cumsum([len(speech.samples) for speech in speeches])[:-1]
    steps = np.abs(np.diff(samples))
    assert max(steps[join - 1] for join in joins) <= steps.max() / 2 + 0.02


@pytest.mark.parametrize("voice", ["heart", "joe"])
def test_speed_changes_the_length(voice: str, request: pytest.FixtureRequest) -> None:
    text, tts = "This sentence can be said quickly or slowly.", request.getfixturevalue(voice)
    slow, normal, fast = (len(_all(tts.speak(text, speed=speed))[0]) for speed in (0.5, 1.0, 1.5))
    assert slow > 1.6 * normal
    assert fast < 0.8 * normal


@pytest.mark.parametrize("voice", ["heart", "joe"])
def test_the_same_text_sounds_the_same_without_noise(voice: str, request: pytest.FixtureRequest) -> None:
    first, second = (_all(request.getfixturevalue(voice).speak("Again and again."))[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("voice", ["heart", "joe"])
def test_a_reading_can_be_stopped_at_any_chunk(voice: str, request: pytest.FixtureRequest) -> None:
    tts = request.getfixturevalue(voice)
    reading = tts.speak("This is a rather long sentence which nobody will hear to its end, because they cut in.")
    assert isinstance(reading, Iterator)
    next(reading)
    reading.close()  # type: ignore[attr-defined]  # the contract says it is a generator
    assert next(reading, None) is None


@pytest.mark.parametrize("voice", ["heart", "joe"])
def test_texts_beyond_one_pass_are_said_whole(voice: str, request: pytest.FixtureRequest) -> None:
    text = "9" * 100 + " is a long number."
    samples, words = _all(request.getfixturevalue(voice).speak(text))
    assert len(samples) > 20 * SAMPLE_RATE
    assert words[0].chars == 100
    assert words[-1].chars == len(text)


@pytest.mark.parametrize("voice", ["heart", "joe"])
@pytest.mark.parametrize("text", ["", "  \n", "😀", "***", "你好"])
def test_text_without_words_gives_no_sound(voice: str, text: str, request: pytest.FixtureRequest) -> None:
    assert list(request.getfixturevalue(voice).speak(text)) == []


def test_voices_have_their_names(heart: Hibari, joe: Piper, kokoro: Kokoro) -> None:
    assert heart.names == ("heart",)
    assert list(heart.speak("Hi.", name="cedar"))
    assert joe.names == ("joe",)
    assert list(joe.speak("Hi.", name="alloy"))
    assert kokoro.names[0] == "af_heart"
    assert len(kokoro.names) == 28
    with pytest.raises(UnknownVoice, match="no voice 'hal'"):
        next(kokoro.speak("Hi.", name="hal"))


def test_opening_by_name_picks_the_synthesizer(models: Store) -> None:
    assert isinstance(open_tts("", models.path, 1), Hibari)
    assert isinstance(open_tts("cedar", models.path, 1), Hibari)
    assert isinstance(open_tts("joe", models.path, 1), Piper)
    kokoro = open_tts("am_fenrir", models.path, 1)
    assert isinstance(kokoro, Kokoro)
    with pytest.raises(UnknownVoice, match="no voice 'af_nobody'"):
        open_tts("af_nobody", models.path, 1)
