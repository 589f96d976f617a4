"""Images of messages: refused with their path, bounded in sum, and let go from the oldest on."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness import session_line
from harness.session_line import SessionLine, kinds
from vivavoce.realtime.events import Forget, Read
from vivavoce.realtime.session import images
from vivavoce.realtime.session.attachments import Attachments, decode
from vivavoce.realtime.session.images import (
    MAX_KEPT_PIXELS,
    Pixels,
    decode_image,
    decode_images,
    images_in,
    look,
)
from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.items import InputImage
from vivavoce.realtime.wire.session_config import Pcm


def uri(width: int = 8, height: int = 8, colour: str = "red", kind: str = "PNG", mode: str = "RGB") -> str:
    file = io.BytesIO()
    Image.new(mode, (width, height), colour).save(file, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def part(url: str) -> dict[str, Any]:
    return {"type": "input_image", "image_url": url}


def message(*urls: str, text: str = "What is it?") -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}, *map(part, urls)]
    return {"type": "message", "role": "user", "content": content}


def event(kind: str, **fields: Any) -> Any:
    return wire.parse(json.dumps({"type": kind, **fields}))


def test_every_image_of_an_event_is_found_with_its_path() -> None:
    first, second = uri(), uri(colour="blue")
    created = event("conversation.item.create", item=message(first, second))
    assert [path for _, path in images_in(created)] == ["item.content[1].image_url", "item.content[2].image_url"]
    inputs = [message(first), {"type": "item_reference", "id": "x"}, message(second, first)]
    asked = event("response.create", response={"input": inputs})
    assert [(image.image_url, path) for image, path in images_in(asked)] == [
        (first, "response.input[0].content[1].image_url"),
        (second, "response.input[2].content[1].image_url"),
        (first, "response.input[2].content[2].image_url"),
    ]
    for other in (event("response.create"), event("input_audio_buffer.clear"), event("response.create", response={})):
        assert images_in(other) == []


def test_what_was_decoded_before_is_what_the_session_sees() -> None:
    created = event("conversation.item.create", item=message(uri(), uri(colour="blue")))
    attachments = Attachments()
    attachments.keep(decode(created, Pcm()))
    red, blue = look(created.item, "item", attachments.image, 7.0)
    assert (red.pixels[0, 0].tolist(), blue.pixels[0, 0].tolist()) == ([255, 0, 0], [0, 0, 255])
    assert (red.at, blue.at) == (7.0, 7.0)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("data:image/png;base64,A", "not valid base64"),
        ("data:image/png;base64,A=A=", "not valid base64"),
        ("data:image/png;base64,AAAA", "none of PNG, JPEG, WebP and GIF"),
        ("data:image/gif;base64,R0lGODlh", "is damaged"),
        (uri()[:-60], "is damaged"),
        (uri(4001, 4000, mode="1"), "4001 x 4000 pixels"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_image_that_cannot_be_decoded_is_refused_with_its_path(
    url: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_line, "pixel", decode_image)
    for kind, fields, path in (
        ("conversation.item.create", {"item": message(url)}, "item.content[1]"),
        ("response.create", {"response": {"input": [message(url)]}}, "response.input[0].content[1]"),
    ):
        line = SessionLine()
        error = line.refused(kind, **fields)
        assert (error["code"], error["param"]) == ("invalid_value", f"{path}.image_url")
        assert why in error["message"]
        assert not line.did(Read)


def test_base64_of_an_image_is_read_as_it_is_written() -> None:
    strict = uri(64, 64, kind="WEBP")
    head, _, data = strict.partition(",")
    lines = "\n".join(data[i : i + 76] for i in range(0, len(data), 76))
    expected = decode_image(InputImage(image_url=strict), "x")
    for written in (data.rstrip("="), data.replace("+", "-").replace("/", "_"), lines):
        assert np.array_equal(decode_image(InputImage(image_url=f"{head},{written}"), "x"), expected)


def test_an_image_called_by_another_kind_is_decoded_all_the_same() -> None:
    url = uri(kind="PNG").replace("image/png", "image/jpeg")
    assert decode_image(InputImage(image_url=url), "x")[0, 0].tolist() == [255, 0, 0]


# --- sums ---


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of 40 000 pixels in the files of a message, and 20 000 that are kept."""
    monkeypatch.setattr(images, "MAX_MESSAGE_PIXELS", 40_000)
    monkeypatch.setattr(images, "MAX_KEPT_PIXELS", 20_000)


@pytest.mark.usefixtures("small")
def test_the_images_of_one_message_are_bounded_together() -> None:
    created = event("conversation.item.create", item=message(uri(100, 100), uri(100, 90)))
    assert len(decode_images(images_in(created))) == 2
    for urls, last in (([uri(100, 100), uri(100, 101)], 2), ([uri(150, 150)], 1), ([uri(100, 100)] * 5, 5)):
        created = event("conversation.item.create", item=message(*urls))
        with pytest.raises(Refused, match="the images of one message") as refused:
            decode_images(images_in(created))
        assert refused.value.param == f"item.content[{last}].image_url"


def test_nothing_is_decoded_of_a_message_with_too_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "decode_picture", lambda data: pytest.fail("it was decoded"))
    created = event("conversation.item.create", item=message(*[uri(4000, 4000)] * 63))
    with pytest.raises(Refused) as refused:
        decode_images(images_in(created))
    assert refused.value.param == "item.content[5].image_url"


def large(image: InputImage, path: str) -> Pixels:
    """Implements `Decode`: sees a quarter of the pixels that a conversation keeps."""
    return np.broadcast_to(np.uint8(0), (MAX_KEPT_PIXELS // 4000, 1000, 3))


def test_the_oldest_pictures_of_a_conversation_are_let_go_and_their_words_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_line, "pixel", large)
    line = SessionLine()
    for i in range(6):
        line.tell("conversation.item.create", item={"id": f"i{i}", **message(uri(), text=str(i))})
    assert [action.item_id for action in line.did(Forget)] == ["i0", "i1"]
    again = [(action.item.id, action.item.text, action.after) for action in line.did(Read) if not action.item.pictures]
    assert again == [("i0", "0", "root"), ("i1", "1", "i0")]
    assert kinds(line.tell("conversation.item.retrieve", item_id="i0")) == ["conversation.item.retrieved"]


def test_pictures_without_room_are_refused_where_nothing_may_be_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_line, "pixel", large)
    line = SessionLine()
    line.update(truncation="disabled")
    for _ in range(4):
        assert kinds(line.tell("conversation.item.create", item=message(uri())))[0] == "conversation.item.added"
    error = line.refused("conversation.item.create", item=message(uri()))
    assert error["code"] == "context_length_exceeded"
    assert kinds(line.tell("conversation.item.create", item=message()))[0] == "conversation.item.added"
    assert not line.did(Forget)
