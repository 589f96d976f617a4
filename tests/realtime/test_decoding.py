"""Attachments of messages are decoded on a thread: the loop goes on, and what comes behind one waits for it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness import virtual_time
from harness.fakes import Line, LinePeer, ScriptedEngine
from vivavoce.model.dialogue import Message
from vivavoce.realtime import decoding as module
from vivavoce.realtime import pipeline
from vivavoce.realtime.call import Calls
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.decoding import MAX_WAITING, AttachmentDecoder
from vivavoce.realtime.session import attachments, item_sound
from vivavoce.realtime.session.attachments import Decoded, decode
from vivavoce.realtime.session.opening import SessionRequest, new_session, random_ids
from vivavoce.realtime.wire import ClientEvent
from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.session_config import AudioFormat, Pcm, Pcmu


def uri(colour: str = "red") -> str:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def said(item_id: str, *urls: str) -> dict[str, Any]:
    """A message of its own name, with images."""
    content = [{"type": "input_text", "text": item_id}, *({"type": "input_image", "image_url": url} for url in urls)]
    item = {"id": item_id, "type": "message", "role": "user", "content": content}
    return {"type": "conversation.item.create", "item": item}


def clip(item_id: str, sound: bytes) -> dict[str, Any]:
    """A message of sound."""
    part = {"type": "input_audio", "audio": base64.b64encode(sound).decode()}
    item = {"id": item_id, "type": "message", "role": "user", "content": [part]}
    return {"type": "conversation.item.create", "item": item}


def parsed(event: dict[str, Any]) -> Any:
    return wire.parse(json.dumps(event))


SHOWN = parsed(said("a", uri()))
PCM = Pcm()


# --- the thread ------------------------------------------------------------------------------------------------------


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A decoder that waits until the event is set."""
    go_on = threading.Event()

    def wait(event: ClientEvent, form: AudioFormat) -> Decoded:
        assert threading.current_thread().name.startswith("decoding")
        assert go_on.wait(20)
        return decode(event, form)

    monkeypatch.setattr(attachments, "decode", wait)
    yield go_on
    go_on.set()


def test_the_loop_goes_on_while_a_picture_is_decoded(held: threading.Event) -> None:
    async def main() -> None:
        decoder = AttachmentDecoder()
        async with asyncio.TaskGroup() as tasks:
            decoding = tasks.create_task(decoder.decode(SHOWN, PCM))
            for _ in range(100):
                await asyncio.sleep(0)
            assert not decoding.done()
            held.set()
        (pixels,) = decoding.result().pixels.values()
        assert pixels[0, 0].tolist() == [255, 0, 0]
        decoder.close()

    asyncio.run(main())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decoding")]


def test_a_picture_that_takes_too_long_is_refused(held: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEADLINE", 0.01)

    async def main() -> None:
        decoder = AttachmentDecoder()
        with pytest.raises(Refused) as refused:
            await decoder.decode(SHOWN, PCM)
        assert refused.value.code == "rate_limit_exceeded"
        held.set()
        decoder.close()

    asyncio.run(main())


def test_the_queue_is_bounded(held: threading.Event) -> None:
    async def main() -> None:
        decoder = AttachmentDecoder()
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(decoder.decode(SHOWN, PCM)) for _ in range(MAX_WAITING)]
            await asyncio.sleep(0)
            with pytest.raises(Refused, match="too many images or sounds"):
                await decoder.decode(SHOWN, PCM)
            held.set()
        assert all(job.result() for job in waiting)
        assert await decoder.decode(SHOWN, PCM)
        decoder.close()

    asyncio.run(main())


def test_a_picture_that_nobody_waits_for_is_not_decoded(held: threading.Event) -> None:
    async def main() -> None:
        decoder = AttachmentDecoder()
        async with asyncio.TaskGroup() as tasks:
            first, second = (tasks.create_task(decoder.decode(SHOWN, PCM)) for _ in range(2))
            await asyncio.sleep(0.01)
            second.cancel()
            await asyncio.sleep(0)
            held.set()
        assert first.result()
        assert [job.cancelled() for job in decoder._jobs] == [False, True]
        decoder.close()

    asyncio.run(main())


def test_what_cannot_be_decoded_is_refused() -> None:
    async def main() -> None:
        decoder = AttachmentDecoder()
        with pytest.raises(Refused) as refused:
            await decoder.decode(parsed(said("a", "data:image/png;base64,AAAA")), PCM)
        assert refused.value.param == "item.content[1].image_url"
        decoder.close()

    asyncio.run(main())


# --- in a call -------------------------------------------------------------------------------------------------------


class SlowDecoder(AttachmentDecoder):
    """Decodes at once, and takes `seconds` of the virtual clock for it."""

    def __init__(self, seconds: float = 2.0) -> None:
        super().__init__()
        self._seconds = seconds

    async def decode(self, event: ClientEvent, form: AudioFormat) -> Decoded:
        await asyncio.sleep(self._seconds)
        return decode(event, form)


def call(test: Callable[[LinePeer, ScriptedEngine], Awaitable[None]], lines: Sequence[Line] = ()) -> LinePeer:
    """Runs `test` as the peer of a call; returns the peer with everything it got."""
    peer, engine = LinePeer(plays=True), ScriptedEngine(lines=lines)

    async def main() -> None:
        async with Calls(engine, ServerConfig()) as calls:  # type: ignore[arg-type]  # all that is used of it
            calls.decoder = SlowDecoder()
            calls.reserve("one")
            calls.start("one", peer, new_session(True, SessionRequest(extras=True), random_ids(), 1000))
            await peer.until("session.created")
            await test(peer, engine)
            peer.leave()

    virtual_time.run(main())
    return peer


def now() -> float:
    return asyncio.get_running_loop().time()


def test_what_comes_behind_a_picture_waits_for_it_in_its_order() -> None:
    async def test(peer: LinePeer, engine: ScriptedEngine) -> None:
        began = now()
        for event in (said("a", uri()), said("b"), said("c", uri("blue")), said("d")):
            await peer.tell(**event)
        await peer.tell(type="response.create", response={"output_modalities": ["text"]})
        await peer.until("conversation.item.done", 2)
        assert now() - began == pytest.approx(2.0, abs=0.1)
        await peer.until("response.done")
        assert now() - began == pytest.approx(4.0, abs=0.5)
        items = [item for item in engine.dialogues[0].items if isinstance(item, Message)]
        assert [item.id for item in items] == ["a", "b", "c", "d"]
        assert [[picture.pixels[0, 0].tolist() for picture in item.pictures] for item in items] == [
            [[255, 0, 0]],
            [],
            [[0, 0, 255]],
            [],
        ]

    call(test)


def test_the_conversation_goes_on_while_a_picture_is_decoded() -> None:
    async def test(peer: LinePeer, engine: ScriptedEngine) -> None:
        await peer.tell(type="response.create")
        await peer.until("output_audio_buffer.started")
        await peer.tell(**said("a", uri()))
        await peer.say(0.6)
        await peer.until("input_audio_buffer.speech_started")
        await peer.pause(1.2)
        await peer.until("input_audio_buffer.committed")
        assert not [event for event in peer.of("conversation.item.added") if event["item"]["id"] == "a"]
        await asyncio.sleep(1)

    peer = call(test, [Line("One two three four five.", seconds=10.0)])
    assert "a" in [event["item"]["id"] for event in peer.of("conversation.item.added")]


def test_an_image_that_cannot_be_decoded_is_answered_and_what_is_behind_it_goes_on() -> None:
    async def test(peer: LinePeer, engine: ScriptedEngine) -> None:
        await peer.tell(event_id="mine", **said("a", "data:image/png;base64,AAAA"))
        await peer.tell(**said("b"))
        await peer.until("conversation.item.done")
        assert [item.id for item in engine.dialogues[0].items] == ["b"]

    peer = call(test)
    (error,) = (event["error"] for event in peer.of("error"))
    assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", "item.content[1].image_url", "mine")


def test_a_flood_behind_a_picture_is_not_kept_but_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MAX_BEHIND", 1000)

    async def test(peer: LinePeer, engine: ScriptedEngine) -> None:
        await peer.tell(**said("a", uri()))
        for i in range(40):
            await peer.tell(**said(f"b{i}"))
        await peer.until("conversation.item.done", 41)
        assert [item.id for item in engine.dialogues[0].items] == ["a", *(f"b{i}" for i in range(40))]

    call(test)


def test_a_call_that_ends_does_not_wait_for_its_pictures() -> None:
    async def test(peer: LinePeer, engine: ScriptedEngine) -> None:
        await peer.tell(**said("a", uri()))
        await asyncio.sleep(0.1)

    peer = call(test)
    assert not peer.of("conversation.item.added")
    assert peer.closed is not None


def test_a_long_clip_is_decoded_on_the_thread_and_a_short_one_at_once() -> None:
    async def test(peer: LinePeer, engine: ScriptedEngine) -> None:
        began = now()
        await peer.tell(**clip("short", bytes(9600)))
        await peer.until("conversation.item.done")
        assert now() - began < 0.1
        await peer.tell(**clip("long", bytes(2 * 24_000 * 3)))
        await peer.until("conversation.item.done", 2)
        assert now() - began == pytest.approx(2.0, abs=0.2)
        dialogue = engine.dialogues[0]
        assert dialogue.turns == ["short", "long"]
        assert dialogue.heard_samples == 4800 + 3 * 24_000

    call(test)


@pytest.mark.parametrize(("form", "second"), [(Pcm(), 48_000), (Pcmu(), 8_000)])
def test_a_clip_has_a_longest_length_and_its_beginning_is_kept(
    form: AudioFormat, second: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_sound, "MAX_SECONDS", 3)
    monkeypatch.setattr(item_sound, "MAX_KEPT", 24_000)
    whole = decode(parsed(clip("a", bytes(3 * second))), form).sound
    assert whole is not None
    assert (round(whole.seconds, 1), len(whole.kept)) == (3.0, 48_000)
    with pytest.raises(Refused, match="longer than 3 s") as refused:
        decode(parsed(clip("a", bytes(3 * second + 2))), form)
    assert (refused.value.code, refused.value.param) == ("invalid_value", "item.content")


@pytest.mark.parametrize(("kind", "second"), [("audio/pcm", 48_000), ("audio/pcmu", 8_000)])
def test_sound_that_is_appended_at_once_is_taken_piece_by_piece(kind: str, second: int) -> None:
    async def test(peer: LinePeer, engine: ScriptedEngine) -> None:
        session = {"type": "realtime", "audio": {"input": {"turn_detection": None, "format": {"type": kind}}}}
        await peer.tell(type="session.update", session=session)
        sound = np.random.default_rng(1).integers(0, 256, 20 * second, dtype=np.uint8).tobytes()
        await peer.tell(type="input_audio_buffer.append", audio=base64.b64encode(sound).decode())
        await peer.tell(type="input_audio_buffer.commit")
        await peer.until("input_audio_buffer.committed")
        assert engine.dialogues[0].heard_samples == pytest.approx(20 * 24_000, abs=600)

    call(test)
