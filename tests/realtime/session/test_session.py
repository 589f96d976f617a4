"""The orderings of a session's events, as clients check them."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import numpy as np

from harness.session_line import MS, SessionLine, kinds, sound
from vivavoce.model.dialogue import (
    Message,
    Transcript,
    Usage,
)
from vivavoce.realtime.events import (
    Anticipate,
    CloseTurn,
    DropTurn,
    Read,
    Retune,
    Send,
    StartReply,
    TurnDetection,
    TurnEnded,
    TurnIdle,
    TurnStarted,
)
from vivavoce.realtime.wire.server_events import Closing, DtmfReceived
from vivavoce.realtime.wire.session_config import TranscriptionSession

OPENING = ["response.output_item.added", "conversation.item.added", "response.content_part.added"]
CLOSING = ["response.content_part.done", "response.output_item.done", "conversation.item.done"]
VOICE_CLOSING = ["response.output_audio.done", "response.output_audio_transcript.done", *CLOSING]
COMMITTED = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]


def message(text: str, role: str = "user", **item: Any) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **item}


def manual(plays: bool = False) -> SessionLine:
    line = SessionLine(plays)
    line.update(audio={"input": {"turn_detection": None}})
    return line


def test_a_session_begins_with_all_that_is_in_force() -> None:
    line = SessionLine()
    assert kinds(line.told) == ["session.created"]
    session = line.told[0]["session"]
    assert session == {
        "type": "realtime",
        "object": "realtime.session",
        "id": session["id"],
        "expires_at": 1_900_000_000,
        "model": "viva",
        "output_modalities": ["audio"],
        "instructions": "Be kind.",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                    "idle_timeout_ms": None,
                    "create_response": True,
                    "interrupt_response": True,
                },
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "joe", "speed": 1.0},
        },
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "truncation": "auto",
        "tracing": None,
        "prompt": None,
        "include": None,
    }
    assert line.done == [Retune(TurnDetection())]


def test_a_spoken_turn_is_committed_and_answered() -> None:
    line = SessionLine()
    told = line.turn(100, 600)
    assert kinds(told) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        *COMMITTED,
        "response.created",
    ]
    started, stopped, committed, added, done, _ = told
    assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (100, 600)
    item_id = started["item_id"]
    assert {stopped["item_id"], committed["item_id"], added["item"]["id"], done["item"]["id"]} == {item_id}
    assert committed["previous_item_id"] is added["previous_item_id"] is done["previous_item_id"] is None
    assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    expected, close, start = line.done[1:]
    assert isinstance(expected, Anticipate)
    assert len(line.heard) == 1
    assert close == CloseTurn(item_id, by_client=False)
    assert isinstance(start, StartReply)
    assert (start.number, start.spec.instructions, start.spec.voice, start.spec.audio) == (1, "Be kind.", "joe", True)
    assert replace(expected.spec, id=start.spec.id) == start.spec, "so the model may begin before it is asked"


def test_the_ladder_of_a_spoken_answer_on_a_websocket() -> None:
    line = SessionLine()
    line.turn()
    told = line.words(1, "Hello ")
    assert kinds(told) == [*OPENING, "response.output_audio_transcript.delta"]
    assert told[0]["item"]["status"] == "in_progress"
    assert told[1]["previous_item_id"] == line.of("input_audio_buffer.committed")[0]["item_id"]
    assert told[2]["part"] == {"type": "audio", "transcript": ""}
    assert kinds(line.words(1, "there.")) == ["response.output_audio_transcript.delta"]
    pieces = line.voice(1, 320)
    assert [len(base64.b64decode(e["delta"])) // 48 for e in pieces] == [250]
    assert kinds(line.voice(1, 10)) == []
    usage = Usage(input_text=5, input_audio=7, cached=3, output_text=4, output_audio=8)
    closing = line.finish(1, usage=usage)
    assert kinds(closing) == ["response.output_audio.delta", *VOICE_CLOSING, "response.done"]
    assert len(base64.b64decode(closing[0]["delta"])) // 48 == 80
    assert closing[2]["transcript"] == closing[3]["part"]["transcript"] == "Hello there."
    item = closing[4]["item"]
    assert item["status"] == "completed"
    assert item["content"] == [{"type": "output_audio", "transcript": "Hello there."}]
    response = closing[-1]["response"]
    assert (response["status"], response["status_details"], response["output"]) == ("completed", None, [item])
    assert response["usage"]["total_tokens"] == 24
    assert response["usage"]["input_token_details"]["cached_tokens"] == 3


def test_where_the_server_plays_sound_is_no_message_but_its_beginning_and_end_are() -> None:
    line = SessionLine(plays=True)
    line.turn()
    line.words(1, "Hi.")
    assert kinds(line.voice(1, 200)) == []
    assert kinds(line.play(100)) == ["output_audio_buffer.started"]
    assert kinds(line.finish(1)) == [*VOICE_CLOSING, "response.done"]
    assert kinds(line.play(200)) == ["output_audio_buffer.stopped"]
    assert line.of("output_audio_buffer.stopped")[0]["response_id"] == line.of("response.created")[0]["response"]["id"]
    assert line.session.response_id(1) is None


def test_a_manual_turn_waits_for_commit_and_for_response_create() -> None:
    line = manual()
    assert line.done[-1] == Retune(None)
    assert line.tell("input_audio_buffer.append", audio=base64.b64encode(bytes(9600)).decode()) == []
    assert [len(samples) for samples in line.appended] == [200 * MS]
    assert line.keep(line.appended[0], voiced=False)
    told = line.tell("input_audio_buffer.commit")
    assert kinds(told) == COMMITTED
    assert line.done[-1] == CloseTurn(told[0]["item_id"], by_client=True)
    assert kinds(line.tell("response.create")) == ["response.created"]


def test_sound_of_a_telephone_counts_at_once_and_to_the_last_sample() -> None:
    line = SessionLine()
    line.update(audio={"input": {"turn_detection": None, "format": {"type": "audio/pcmu"}}})
    line.tell("input_audio_buffer.append", audio=base64.b64encode(bytes(800)).decode())
    for samples in line.appended:
        line.keep(samples, voiced=False)
    told = line.tell("input_audio_buffer.commit")
    assert kinds(told) == COMMITTED
    assert sum(map(len, line.heard)) == 100 * MS
    item = line.tell("conversation.item.retrieve", item_id=told[0]["item_id"])[0]["item"]
    assert len(base64.b64decode(item["content"][0]["audio"])) == 800


def test_a_client_may_commit_a_turn_before_its_end_is_found() -> None:
    line = SessionLine()
    line.fact(TurnStarted(0))
    line.keep(sound(400))
    told = line.tell("input_audio_buffer.commit")
    assert kinds(told) == COMMITTED
    assert told[0]["item_id"] == line.of("input_audio_buffer.speech_started")[0]["item_id"]
    assert not line.keep(sound(20))
    assert line.fact(TurnEnded(500 * MS)) == []
    assert len(line.heard) == 1


def test_clear_drops_an_open_turn() -> None:
    line = SessionLine()
    line.fact(TurnStarted(0))
    assert kinds(line.tell("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    assert line.done[-1] == DropTurn()
    assert line.fact(TurnEnded(500)) == []


def test_sound_without_a_turn_is_not_heard() -> None:
    line = SessionLine()
    assert not line.keep(sound(20))
    assert not line.heard


def test_with_manual_turns_the_floor_opens_none() -> None:
    line = manual()
    assert line.fact(TurnStarted(0)) == []


def test_a_turn_that_is_open_is_not_opened_again() -> None:
    line = SessionLine()
    line.fact(TurnStarted(0))
    assert line.fact(TurnStarted(10)) == []


def test_manual_sound_does_not_leak_into_a_turn_of_the_floor() -> None:
    line = manual()
    line.keep(sound(200))
    line.update(audio={"input": {"turn_detection": {"type": "server_vad"}}})
    assert line.did(DropTurn)
    line.fact(TurnStarted(0))
    assert "buffer only has 0.00ms" in line.refused("input_audio_buffer.commit")["message"]


PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (2).to_bytes(4) + (3).to_bytes(4) + b"\x08\x02\0\0\0"


def picture(content: bytes = PNG, kind: str = "png") -> dict[str, Any]:
    uri = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return {"type": "input_image", "image_url": uri, "detail": "low"}


def test_a_picture_is_echoed_and_seen() -> None:
    line = SessionLine()
    line.now = 7.0
    part = picture()
    parts = [part, {"type": "input_text", "text": "What is it?"}]
    told = line.tell("conversation.item.create", item={"type": "message", "role": "user", "content": parts})
    assert told[0]["item"]["content"] == parts
    seen = line.did(Read)[0].item
    assert (seen.text, len(seen.pictures), seen.pictures[0].at) == ("What is it?", 1, 7.0)


def test_transcripts_are_told_only_when_asked_for_and_always_kept() -> None:
    line = SessionLine()
    item_id = line.turn()[0]["item_id"]
    assert line.fact(Transcript(item_id, "What", "time?", final=True)) == []
    item = line.tell("conversation.item.retrieve", item_id=item_id)[0]["item"]
    assert item["content"][0]["transcript"] == "What time?"
    line.update(audio={"input": {"transcription": {"model": "whisper-1", "language": None}}})
    assert line.told[-1]["session"]["audio"]["input"]["transcription"] == {"model": "whisper-1"}
    item_id = line.turn(1000, 1500)[0]["item_id"]
    told = line.fact(Transcript(item_id, "Now.", "", final=True))
    assert kinds(told) == [
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
    ]
    assert told[0]["delta"] == told[1]["transcript"] == "Now."
    assert told[1]["usage"] == {"type": "duration", "seconds": 0.5}
    assert line.fact(Transcript(item_id, "Again", "", final=True)) == []
    assert line.fact(Transcript("gone", "Again", "", final=True)) == []


def test_a_turn_without_words_has_an_empty_transcript() -> None:
    line = SessionLine()
    line.update(audio={"input": {"transcription": {}}})
    item_id = line.turn()[0]["item_id"]
    told = line.fact(Transcript(item_id, "", "", final=True))
    assert kinds(told) == ["conversation.item.input_audio_transcription.completed"]
    assert told[0]["transcript"] == ""


def test_partial_transcripts_are_our_own_event() -> None:
    line = SessionLine()
    item_id = line.fact(TurnStarted(0))[0]["item_id"]
    told = line.fact(Transcript("", "Hello", "wor", final=False))
    assert (told[0]["type"], told[0]["item_id"], told[0]["stable"], told[0]["tail"]) == (
        "vivavoce.transcript.partial",
        item_id,
        "Hello",
        "wor",
    )
    line.fact(TurnEnded(0))
    assert line.fact(Transcript(item_id, "Hello", "", final=False))[0]["item_id"] == item_id


def test_partial_words_of_a_turn_that_is_over_are_dropped() -> None:
    line = SessionLine()
    assert line.fact(Transcript("", "", "he", final=False)) == []
    line.turn()
    assert line.fact(Transcript("", "Hello", "", final=False)) == []


def test_strict_clients_are_spared_our_own_events() -> None:
    line = SessionLine(extras=False)
    assert line.fact(Transcript("", "Hello", "wor", final=False)) == []


def test_silence_is_answered_when_the_client_wants_it() -> None:
    line = SessionLine()
    idle = TurnIdle(1000 * MS, 6000 * MS)
    assert line.fact(idle) == []
    line.update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}})
    assert line.done[-1] == Retune(TurnDetection(idle_timeout_ms=5000))
    told = line.fact(idle)
    assert kinds(told) == ["input_audio_buffer.timeout_triggered", *COMMITTED, "response.created"]
    assert (told[0]["audio_start_ms"], told[0]["audio_end_ms"]) == (1000, 6000)
    assert told[0]["item_id"] == told[1]["item_id"]
    assert line.did(Read)[0].item == Message(told[0]["item_id"], "user", "")
    assert line.fact(idle) == [], "a reply is on its way"


def test_an_answer_goes_to_nobody_who_did_not_ask_for_one() -> None:
    line = SessionLine()
    vad = {"type": "semantic_vad", "create_response": False, "interrupt_response": False, "eagerness": "high"}
    line.update(audio={"input": {"turn_detection": vad}})
    assert line.done[-1] == Retune(TurnDetection(kind="semantic_vad", eagerness="high"))
    assert kinds(line.turn())[-1] == "conversation.item.done"


def test_a_client_gives_sound_as_an_item_and_the_model_hears_it() -> None:
    line = SessionLine()
    audio = base64.b64encode(bytes(48 * 300)).decode()
    item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}]}
    told = line.tell("conversation.item.create", item=item)
    item_id = told[0]["item"]["id"]
    assert told[0]["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert [len(samples) for samples in line.heard] == [300 * MS]
    close = line.done[-1]
    assert (close.item_id, close.by_client) == (item_id, False)
    line.update(audio={"input": {"transcription": {}}})
    assert line.fact(Transcript(item_id, "Hi", "", final=True))[1]["usage"]["seconds"] == 0.3
    assert line.tell("conversation.item.retrieve", item_id=item_id)[0]["item"]["content"][0]["audio"] == audio


def test_sound_with_its_words_is_read() -> None:
    line = SessionLine()
    part = {"type": "input_audio", "audio": "AAAA", "transcript": "Hi"}
    line.tell("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})
    assert line.did(Read)[0].item.text == "Hi"


def listening() -> SessionLine:
    return SessionLine(config=TranscriptionSession())


def test_a_transcription_session_listens_and_never_answers() -> None:
    line = listening()
    session = line.told[0]["session"]
    assert (session["type"], session["object"]) == ("transcription", "realtime.transcription_session")
    assert set(session) == {"type", "object", "id", "expires_at", "audio", "include"}
    assert set(session["audio"]) == {"input"}
    told = line.turn()
    assert kinds(told)[-1] == "conversation.item.done"
    assert not line.did(StartReply)
    told = line.fact(Transcript(told[0]["item_id"], "Hi", "", final=True))
    assert told[-1]["transcript"] == "Hi"
    assert line.refused("response.create")["message"] == "A transcription session gives no responses."
    update = {"type": "transcription", "audio": {"input": {"noise_reduction": {"type": "near_field"}}}}
    told = line.tell("session.update", session=update)
    assert told[0]["session"]["audio"]["input"]["noise_reduction"] == {"type": "near_field"}
    assert line.refused("session.update", session={"type": "realtime"})["param"] == "session.type"


def test_events_of_others_are_named_and_dtmf_is_not() -> None:
    line = SessionLine()
    (closing,) = line.session.announce(Closing(reason="idle", message="Bye."))
    assert isinstance(closing, Send)
    assert isinstance(closing.event, Closing)
    assert closing.event.event_id
    key = DtmfReceived(event="5", received_at=1)
    assert line.session.announce(key) == [Send(key)]


def test_kept_sound_is_what_was_heard() -> None:
    line = SessionLine()
    item_id = line.turn()[0]["item_id"]
    audio = line.tell("conversation.item.retrieve", item_id=item_id)[0]["item"]["content"][0]["audio"]
    assert np.frombuffer(base64.b64decode(audio), "<i2").tolist() == [8192] * 500 * MS
