"""Writes down what the cores of a call are asked, in order, and what they answer.

    caller ──floor.end_of_turn(48000, 0.9)──► Watched ──► Floor   {"n": 812, "call": "floor.end_of_turn", "with": […],
                                                 └──► Diary ──line──► "gave": [{"is": "TurnEnded", …}]}

One line for each call of a method from outside. An argument that an earlier call gave, or was given, is written as a
reference to it, so a replay passes on what *its* cores gave. Sound is rounded to 16 bits before a core gets it. The
answers are only ever compared: of their sound there is a checksum. What a caller reads without asking (properties, and
methods that are passed as `reads`) is not written down.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from functools import partial
from hashlib import blake2s
from typing import Any, Final, TypeVar, cast

import msgspec
import numpy as np

from vivavoce.realtime.recording.serialization import Unrecordable, coarse, digest, plain, to_bytes
from vivavoce.realtime.recording.stereo import Side, Stereo

T = TypeVar("T")
Q = TypeVar("Q")
C = TypeVar("C")

REMEMBERED: Final = 2048
"""Values of recent calls that later ones can refer to."""

HIDDEN: Final = "hidden-"
"""Stands, with a digest, for a secret. The digest is keyed anew for each recording; it only tells secrets apart."""

CHANCE_DIGITS: Final = 4
"""Of a probability that a network gave."""


class EventRecorder:
    """One recording. `line` takes a JSON text; `blob` takes bytes and says at which place they are; `sound` takes
    pairs of samples; `fail` is told, at most once, why nothing more is written."""

    def __init__(
        self,
        line: Callable[[bytes], None],
        blob: Callable[[bytes], int],
        sound: Callable[[bytes], None],
        fail: Callable[[str], None],
        salt: bytes,
    ) -> None:
        self._line = line
        self._blob = blob
        self._sound = sound
        self._fail = fail
        self._salt = salt
        self._stereo = Stereo()
        self._count = 0
        self._on = True
        self._values: OrderedDict[int, tuple[object, list[Any]]] = OrderedDict()  # by identity, and so kept alive
        self._chances: dict[str, list[Any]] = {}
        self._inside = False  # a core is at work; what it asks of others follows from what it was asked

    def watch(
        self,
        name: str,
        core: T,
        reads: Collection[str] = (),
        left: bool = False,
        right: bool = False,
    ) -> T:
        """`core` for its callers, who notice nothing. The sound that it is given is the recording's `left` side, or the
        samples that it gives are the `right` one."""
        side: Side | None = "left" if left else "right" if right else None
        return cast(T, _Watched(core, partial(self.call, name, side), frozenset(reads)))

    def chance(self, name: str, network: Callable[[Q], C]) -> Callable[[Q], C]:
        """A network whose answers, a probability or a tuple of them, belong to the call during which it is asked."""

        def ask(question: Q) -> C:
            chance = _rounded(network(question))
            self._chances.setdefault(name, []).append(chance)
            return chance

        return ask

    def head(self, **facts: Any) -> None:
        """A line before the first call: how the cores began."""
        self._write({name: plain(fact, self._place, self.hide) for name, fact in facts.items()})

    def close(self, reason: str) -> None:
        """The last line; nothing is written any more."""
        if self._on:
            self._on = False
            self._sound(self._stereo.close())
            self._write({"end": reason, "calls": self._count, "samples": self._stereo.written})

    def stop(self) -> None:
        """Nothing is written any more: the files are gone."""
        self._on = False
        self._values.clear()

    def call(
        self, core: str, side: Side | None, name: str, method: Callable[..., Any], *args: Any, **named: Any
    ) -> Any:
        """Calls a core's method, and writes it down."""
        if not self._on or self._inside:
            return method(*args, **named)
        exact = args
        args, named = tuple(self._coarse(one) for one in args), {key: self._coarse(one) for key, one in named.items()}
        self._chances = {}
        entry: dict[str, Any] = {"n": self._count, "call": f"{core}.{name}"}
        try:
            entry["with"] = [self._given(one, side) for one in args]
            if named:
                entry["by"] = {key: self._given(one, side) for key, one in named.items()}
        except Unrecordable as error:
            self._give_up(str(error))
        self._remember("with", args)
        if any(one is not given for one, given in zip(exact, args, strict=True)):
            self._remember("with", exact)
        self._inside = True
        try:
            gave = method(*args, **named)
        except Exception as error:  # the border of a core: it is written down, and raised on
            entry["raised"] = f"{type(error).__name__}: {error}"
            self._finish(entry)
            raise
        finally:
            self._inside = False
        self._note(entry, gave, side)
        return gave

    def hide(self, secret: str) -> str:
        """Stands for a secret."""
        if secret.startswith(HIDDEN):
            return secret
        return HIDDEN + blake2s(secret.encode(), key=self._salt, digest_size=8).hexdigest()

    def _note(self, entry: dict[str, Any], gave: object, side: Side | None) -> None:
        try:
            entry["gave"] = plain(gave, digest, self.hide)
        except Unrecordable as error:
            self._give_up(str(error))
        if side == "right" and (samples := getattr(gave, "samples", None)) is not None:
            entry["right"] = self._stereo.add("right", to_bytes(samples))
        self._remember("gave", gave)
        self._finish(entry)

    def _finish(self, entry: dict[str, Any]) -> None:
        if self._chances:
            entry["chances"] = self._chances
        if self._on:
            self._write(entry)
            if pairs := self._stereo.take():
                self._sound(pairs)
        self._count += 1

    def _coarse(self, value: Any) -> Any:
        return value if id(value) in self._values else coarse(value)

    def _given(self, value: Any, side: Side | None) -> Any:
        known = self._values.get(id(value))
        if known is not None:
            return {"is": "ref", "to": known[1]}
        if side == "left" and isinstance(value, np.ndarray):
            pcm = to_bytes(value)
            return {"is": "sound", "left": self._stereo.add("left", pcm), "size": len(pcm)}
        return plain(value, self._place, self.hide)

    def _remember(self, where: str, value: object) -> None:
        """What later calls may be given: all of it, or one of several. (Numbers and texts have no identity.)"""
        whole: list[Any] = [self._count, where]
        if isinstance(value, list | tuple):
            for i, one in enumerate(value):
                self._keep(one, [*whole, i])
        self._keep(value, whole)
        while len(self._values) > REMEMBERED:
            self._values.popitem(last=False)

    def _keep(self, value: object, where: list[Any]) -> None:
        named = hasattr(value, "__dataclass_fields__") or isinstance(value, list | msgspec.Struct)
        if named and id(value) not in self._values:
            self._values[id(value)] = (value, where)

    def _place(self, content: bytes) -> dict[str, Any]:
        return {"at": self._blob(content), "size": len(content)}

    def _write(self, entry: dict[str, Any]) -> None:
        self._line(msgspec.json.encode(entry) + b"\n")

    def _give_up(self, why: str) -> None:
        if self._on:
            self.stop()
            self._fail(why)


def _rounded(chance: C) -> C:
    if isinstance(chance, tuple):
        return cast(C, type(chance)(*(round(one, CHANCE_DIGITS) for one in chance)))
    return cast(C, round(cast(float, chance), CHANCE_DIGITS))


class _Watched:
    """Stands in front of a core. Attributes are the core's own; calls of its methods go by way of `call`."""

    __slots__ = ("_call", "_core", "_reads")

    def __init__(self, core: object, call: Callable[..., Any], reads: frozenset[str]) -> None:
        self._core = core
        self._call = call
        self._reads = reads

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._core, name)
        return partial(self._call, name, value) if callable(value) and name not in self._reads else value
