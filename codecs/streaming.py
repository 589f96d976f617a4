"""Runs streaming networks: steps of a fixed size, with state in slots.

    chunks of any length, one per slot ─run─► steps of `size` ─Network─► the results of each slot's steps
                                       state: arrays (slots, ...), changed in place

A session owns one slot of a `State`; a network owns weights only, so that sessions share it and their steps of one call
run as one batch. Law: any chunking gives the same output, later input never changes earlier output, and no slot affects
another. All states begin as zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from vivavoce.codecs.onnx_session import open_onnx

Array = NDArray[Any]

NEXT: Final = "_next"
"""A network's input `name` is a state if it also has an output `name` + NEXT."""
_WAITING: Final = "waiting"
_FILLED: Final = "filled"


@dataclass(frozen=True, slots=True)
class State:
    """Positions of some sessions in their streams: `arrays`, each (slots, ...). Zeros are the beginning."""

    arrays: dict[str, Array]

    @property
    def slots(self) -> int:
        """Number of sessions."""
        return len(next(iter(self.arrays.values())))

    def reset(self, slot: int) -> None:
        """Sets `slot` back to the beginning. Raises `IndexError` when there is no such slot."""
        if not 0 <= slot < self.slots:
            raise IndexError(f"expected a slot from 0 to {self.slots - 1}, got {slot}")
        for array in self.arrays.values():
            array[slot] = 0


class Step(Protocol):
    """The part of a network that `run` uses."""

    size: int
    """Samples (or codes) of one step."""

    def step(self, x: Array, state: State, rows: Array) -> Array:
        """Runs one step of the slots `rows`, (B,): x (B, size) -> (B, ...); changes those rows of `state`."""


class Network:
    """Runs an ONNX file whose first input is x, (B, size), whose first output is the result, (B, ...), and whose other
    inputs and outputs are states, (B, ...). Raises what onnxruntime raises when the file is missing or broken.

    `size`: of a step; `metadata`: of the file. Safe to share between threads; a `State` is not.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self._session = open_onnx(path, threads)
        first, *states = self._session.get_inputs()
        self._input: str = first.name
        self._states = {value.name: (tuple(value.shape[1:]), _DTYPES[value.type]) for value in states}
        self._outputs = [self._session.get_outputs()[0].name, *(name + NEXT for name in self._states)]
        self._dtype = _DTYPES[first.type]
        self.size: int = first.shape[1]
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map

    def init_state(self, slots: int) -> State:
        """Returns a state of `slots` sessions, all at the beginning."""
        arrays: dict[str, Array] = {
            name: np.zeros((slots, *shape), dtype) for name, (shape, dtype) in self._states.items()
        }
        arrays[_WAITING] = np.zeros((slots, self.size), self._dtype)
        arrays[_FILLED] = np.zeros(slots, np.int64)
        return State(arrays)

    def step(self, x: Array, state: State, rows: Array) -> Array:
        """See `Step.step`."""
        all_slots = len(rows) == state.slots
        inputs = {name: state.arrays[name] if all_slots else state.arrays[name][rows] for name in self._states}
        result, *after = self._session.run(self._outputs, {self._input: x, **inputs})
        for name, array in zip(self._states, after, strict=True):
            state.arrays[name][rows] = array
        return np.asarray(result)


def run(network: Step, chunks: Sequence[Array], state: State) -> list[list[Array]]:
    """Takes `chunks[slot]`, (n,), of every slot, any n; returns the results of each slot's steps.

    Input that does not fill a step stays in `state`. Raises `ValueError` unless there is one chunk per slot.
    """
    if len(chunks) != state.slots:
        raise ValueError(f"expected one chunk for each of {state.slots} slots, got {len(chunks)}")
    waiting, filled, size = state.arrays[_WAITING], state.arrays[_FILLED], network.size
    streams = [
        np.concatenate([waiting[slot, : filled[slot]], np.asarray(chunk, waiting.dtype)])
        for slot, chunk in enumerate(chunks)
    ]
    results: list[list[Array]] = [[] for _ in streams]
    for count in range(max(len(stream) // size for stream in streams)):
        start, end = count * size, (count + 1) * size
        rows = np.array([slot for slot, stream in enumerate(streams) if len(stream) >= end])
        x = np.stack([streams[slot][start:end] for slot in rows])
        for slot, result in zip(rows, network.step(x, state, rows), strict=True):
            results[slot].append(result)
    for slot, stream in enumerate(streams):
        rest = len(stream) % size
        filled[slot] = rest
        waiting[slot, :rest] = stream[len(stream) - rest :]
    return results


_DTYPES: Final = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}
