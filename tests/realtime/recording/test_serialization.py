"""realtime/recording/serialization.py: every value of a call has a form in the log, and comes back from it."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from itertools import islice
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec import UNSET, UnsetType

from harness import DATA
from vivavoce.model.dialogue import AudioToken, WordEnd
from vivavoce.realtime.events import Action, Address, Fact, Replied
from vivavoce.realtime.recording.serialization import (
    Unrecordable,
    coarse,
    digest,
    known_classes,
    plain,
    restored,
    upgraded,
)
from vivavoce.realtime.wire.session_config import McpTool


def examples(hint: Any) -> Iterator[Any]:
    """Values of a type: at least one of each kind that it allows."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        yield from examples(inner[0])
    elif origin in (typing.Union, types.UnionType):
        for one in inner:
            yield from examples(one)
    elif origin is typing.Literal:
        yield from inner
    elif origin is tuple:
        yield ()
        yield tuple(islice(examples(inner[0]), 3))
    elif origin is list:
        yield list(islice(examples(inner[0]), 3))
    elif origin is dict:
        yield {"is": next(examples(inner[1])), "what": next(examples(inner[1]))}
    elif origin is np.ndarray:
        wide = "uint8" in str(inner)
        yield np.arange(12, dtype=np.uint8).reshape(2, 2, 3) if wide else np.array([0.5, -0.25], np.float32)
    elif isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, msgspec.Struct)):
        yield from objects(hint)
    else:
        plain_ones = {bool: True, int: 7, float: 0.1, str: "so", bytes: b"\x01\x02", type(None): None, Any: [1, "x"]}
        if hint is not UnsetType:
            yield plain_ones[hint]


def objects(kind: type) -> Iterator[Any]:
    """One with all fields given, and for each field one of each kind."""
    hints = typing.get_type_hints(kind, include_extras=True)
    names = [f.name for f in fields(kind)] if is_dataclass(kind) else list(kind.__struct_fields__)  # type: ignore[attr-defined]
    first = {name: next(examples(hints[name])) for name in names}
    yield kind(**first)
    for name in names:
        for value in islice(examples(hints[name]), 1, 12):
            yield kind(**{**first, name: value})


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other)) and one.dtype == other.dtype
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, msgspec.Struct):
        return all(same(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__)
    if is_dataclass(one) and not isinstance(one, type):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return bool(one == other)


def there_and_back(value: Any) -> Any:
    stored = bytearray()

    def place(content: bytes) -> dict[str, Any]:
        stored.extend(content)
        return {"at": len(stored) - len(content), "size": len(content)}

    text = msgspec.json.encode(plain(value, place))
    return restored(msgspec.json.decode(text), lambda at: bytes(stored[at["at"] : at["at"] + at["size"]]))


FACTS = typing.get_args(Fact)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.__name__)
def test_every_fact_comes_back_as_it_was(fact: type) -> None:
    made = list(objects(fact))
    assert made
    for one in made:
        assert same(one, there_and_back(one)), one


@pytest.mark.parametrize("action", typing.get_args(Action), ids=lambda action: action.__name__)
def test_every_action_has_a_form(action: type) -> None:
    for one in objects(action):
        assert msgspec.json.encode(plain(one, digest))


def test_messages_settings_and_tools_come_back_too() -> None:
    for kind in known_classes().values():
        assert isinstance(kind, type)
        one = next(objects(kind))
        assert same(one, there_and_back(one)), one


def test_what_was_left_out_stays_left_out() -> None:
    tool = McpTool(server_label="files")
    back = there_and_back(tool)
    assert back.authorization is UNSET
    assert back == tool


def test_a_tag_once_recorded_is_never_given_up() -> None:
    """A class that is renamed keeps its tag by an entry in `TAGS`; new classes are added to the list."""
    recorded = (DATA / "recording_tags.txt").read_text().split()
    assert recorded == sorted(known_classes())


def test_tags_of_format_1_lose_their_module() -> None:
    old = [{"is": "events.TurnEnded", "end": 3}, {"is": "dict", "of": {"is": "a.b", "x": {"is": "ref", "to": [1]}}}]
    new = [{"is": "TurnEnded", "end": 3}, {"is": "dict", "of": {"is": "a.b", "x": {"is": "ref", "to": [1]}}}]
    assert upgraded(old) == new


def test_a_value_of_another_kind_is_refused() -> None:
    @dataclass
    class Holds:
        what: object

    with pytest.raises(Unrecordable, match="type set cannot"):
        plain(Holds({1}))


def test_a_class_that_no_fact_is_made_of_is_not_read_back() -> None:
    with pytest.raises(Unrecordable, match=r"subprocess\.Popen"):
        restored({"is": "subprocess.Popen", "args": "true"}, lambda place: b"")


@pytest.mark.parametrize(
    "value",
    [
        McpTool(server_label="x", authorization="secret", headers={"X-Key": "secret"}),
        Address("https://tools.example/mcp", "secret", (("X-Key", "secret"), ("X-Other", "secret"))),
    ],
)
def test_secrets_are_replaced_by_their_stand_ins(value: object) -> None:
    text = msgspec.json.encode(plain(value, digest, lambda secret: "hidden"))
    assert b"secret" not in text
    assert b"hidden" in text
    assert b"X-Key" in text


def test_sound_is_rounded_wherever_it_is_and_stays_so() -> None:
    token = AudioToken(np.array([0.1, 2.0, -2.0], np.float32), (WordEnd(3, 3),))
    fact = coarse(Replied(1, token))
    assert fact.token.samples.tolist() == [round(0.1 * 32768) / 32768, 32767 / 32768, -1.0]
    assert fact.token.words == token.words
    assert same(coarse(fact), fact)
    assert same(there_and_back(fact), fact)
