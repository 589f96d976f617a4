"""`conversation.item.retrieve`: the sound of both sides, as far as it was heard, within bounds."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from harness.session_line import MS, SessionLine, answered
from vivavoce.codecs import g711
from vivavoce.realtime.events import TurnStarted
from vivavoce.realtime.session.audio_buffer import MAX_KEPT
from vivavoce.realtime.session.conversation import MAX_SOUND


def retrieved(line: SessionLine, item_id: str) -> tuple[str | None, bytes]:
    """The transcript and the sound of an item."""
    (part,) = line.tell("conversation.item.retrieve", item_id=item_id)[0]["item"]["content"]
    return part.get("transcript"), base64.b64decode(part.get("audio", ""))


def answer(line: SessionLine) -> str:
    """The item of the newest answer."""
    item: dict[str, Any] = line.of("response.output_item.added")[-1]["item"]
    return str(item["id"])


def truncate(line: SessionLine, ms: int) -> None:
    line.tell("conversation.item.truncate", item_id=answer(line), content_index=0, audio_end_ms=ms)


@pytest.mark.parametrize("plays", [False, True])
def test_an_answer_has_its_words_and_its_sound(plays: bool) -> None:
    line = answered(plays)
    line.finish(1)
    line.play(1000)
    transcript, sound = retrieved(line, answer(line))
    assert transcript == "One two three"
    assert np.frombuffer(sound, "<i2").tolist() == [8192] * 1500 * MS  # 0.25 of full scale


def test_the_sound_has_the_format_of_the_answers() -> None:
    line = SessionLine()
    line.update(audio={"output": {"format": {"type": "audio/pcmu"}}})
    line.tell("response.create")
    line.words(1, "Hi.")
    line.voice(1, 200)
    line.finish(1)
    _, sound = retrieved(line, answer(line))
    assert len(sound) == 200 * 8
    assert np.allclose(g711.decode(sound, "mu")[400:-400], 0.25, atol=0.02)


@pytest.mark.parametrize("made", [False, True], ids=["while it is made", "when it is made"])
def test_a_truncated_answer_has_the_sound_that_was_heard(made: bool) -> None:
    line = answered(plays=False)
    if made:
        line.finish(1)
    truncate(line, 600)
    if not made:
        line.voice(1, 500)
        line.finish(1)
    transcript, sound = retrieved(line, answer(line))
    assert (transcript, len(sound)) == (None, 2 * 600 * MS)
    truncate(line, 0)
    assert retrieved(line, answer(line)) == (None, b"")


def test_an_answer_that_was_interrupted_has_the_sound_that_was_heard() -> None:
    line = answered(plays=True)
    line.fact(TurnStarted(3000 * MS))
    assert len(retrieved(line, answer(line))[1]) == 2 * 700 * MS


def test_an_answer_that_is_being_played_has_the_sound_so_far() -> None:
    line = answered(plays=True)
    line.finish(1)
    for ms in (700, 1200, 1500):
        assert len(retrieved(line, answer(line))[1]) == 2 * ms * MS
        line.play(500 if ms < 1200 else 300)


def test_what_the_assistant_said_is_not_taken_for_the_user_s_turn() -> None:
    line = SessionLine()
    item_id = line.turn(end_ms=300)[0]["item_id"]
    line.words(1, "Hi.")
    line.voice(1, 200)
    line.finish(1)
    assert line.session.last_sound == retrieved(line, item_id)[1]
    assert len(line.session.last_sound) == 2 * 300 * MS


def test_the_sound_of_both_sides_is_bounded_and_the_oldest_goes_first() -> None:
    line = SessionLine()
    minutes = MAX_SOUND // (2 * MAX_KEPT) + 1
    items = []
    for number in range(1, minutes + 2):
        line.tell("response.create")
        line.words(number, "Word.")
        for _ in range(7):
            line.voice(number, 10_000)
        line.finish(number)
        items.append(answer(line))
    sounds = [retrieved(line, item_id)[1] for item_id in items]
    assert len(sounds[-1]) == 2 * MAX_KEPT, "a minute of an answer of 70 s"
    assert [bool(sound) for sound in sounds] == [False, False] + [True] * (minutes - 1)
    assert sum(map(len, sounds)) <= MAX_SOUND


def test_answers_beside_the_conversation_keep_no_sound() -> None:
    line = SessionLine()
    line.tell("response.create", response={"conversation": "none", "input": []})
    line.words(1, "Hi.")
    line.voice(1, 200)
    line.finish(1)
    error = line.refused("conversation.item.retrieve", item_id=answer(line))
    assert error["code"] == "item_retrieve_invalid_item_id"
