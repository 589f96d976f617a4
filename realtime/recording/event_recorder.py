"""Records the calls of the cores' methods, in order, and their results.

    caller ──floor.end_of_turn(48000, 0.9)──► _Watched ──► Floor
                                                 └──► EventRecorder ──line──► {"n": 812, "call": "floor.end_of_turn",
                                                                      "with": […], "gave": [{"is": "TurnEnded", …}]}

One line for each call from outside. An argument that is the result or an argument of an earlier call is written as a
reference to it, so a replay passes the results of *its* cores. Sound is rounded to 16 bits before a core gets it.
Results are only compared: of their sound there is a checksum. Properties, and methods passed as `reads`, are not
recorded.
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
"""Values of recent calls to which later ones can refer."""

HIDDEN: Final = "hidden-"
"""Replaces a secret, with a digest behind it. The key of the digest is new for each recording: it only distinguishes
secrets."""

CHANCE_DIGITS: Final = 4
"""Of a network's probability."""


class EventRecorder:
    """One recording. `line` takes a JSON text; `blob` takes bytes and returns their offset; `sound` takes pairs of
    samples; `fail` takes the reason when the recording ends early, at most once."""

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
        self._inside = False  # a core is running; its calls of other cores follow from the call

    def watch(
        self,
        name: str,
        core: T,
        reads: Collection[str] = (),
        left: bool = False,
        right: bool = False,
    ) -> T:
        """Wraps `core` for its callers. Sound in its arguments is the recording's `left` side, or the samples of its
        results are the `right` one."""
        side: Side | None = "left" if left else "right" if right else None
        return cast(T, _Watched(core, partial(self.call, name, side), frozenset(reads)))

    def chance(self, name: str, network: Callable[[Q], C]) -> Callable[[Q], C]:
        """Wraps a network whose outputs, a probability or a tuple of them, belong to the call during which it runs."""

        def run(inputs: Q) -> C:
            chance = _rounded(network(inputs))
            self._chances.setdefault(name, []).append(chance)
            return chance

        return run

    def head(self, **facts: Any) -> None:
        """Writes a line before the first call: how the cores were built."""
        self._write({name: plain(fact, self._place, self.hide) for name, fact in facts.items()})

    def close(self, reason: str) -> None:
        """Writes the last line."""
        if self._on:
            self._on = False
            self._sound(self._stereo.close())
            self._write({"end": reason, "calls": self._count, "samples": self._stereo.written})

    def stop(self) -> None:
        """Stops: the files are gone."""
        self._on = False
        self._values.clear()

    def call(
        self, core: str, side: Side | None, name: str, method: Callable[..., Any], *args: Any, **named: Any
    ) -> Any:
        """Calls a core's method, and records it."""
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
            result = method(*args, **named)
        except Exception as error:  # the border of a core: recorded, and raised again
            entry["raised"] = f"{type(error).__name__}: {error}"
            self._finish(entry)
            raise
        finally:
            self._inside = False
        self._note(entry, result, side)
        return result

    def hide(self, secret: str) -> str:
        """The replacement of a secret."""
        if secret.startswith(HIDDEN):
            return secret
        return HIDDEN + blake2s(secret.encode(), key=self._salt, digest_size=8).hexdigest()

    def _note(self, entry: dict[str, Any], result: object, side: Side | None) -> None:
        try:
            entry["gave"] = plain(result, digest, self.hide)
        except Unrecordable as error:
            self._give_up(str(error))
        if side == "right" and (samples := getattr(result, "samples", None)) is not None:
            entry["right"] = self._stereo.add("right", to_bytes(samples))
        self._remember("gave", result)
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
        """Keeps a value to which later calls may refer, and each of its members. (Numbers and texts have no
        identity.)"""
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
    """Wraps a core: attributes are the core's own, calls of its methods go through `call`."""

    __slots__ = ("_call", "_core", "_reads")

    def __init__(self, core: object, call: Callable[..., Any], reads: frozenset[str]) -> None:
        self._core = core
        self._call = call
        self._reads = reads

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._core, name)
        return partial(self._call, name, value) if callable(value) and name not in self._reads else value
