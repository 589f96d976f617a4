"""Writes the files of one recording, on a thread of its own: the call never waits for a disk.

    folder/ sound.wav      both sides, 16-bit stereo at 24 kHz
            events.jsonl   the calls of the cores and their results, one JSON object in a line
            bytes.bin      sound of replies as it was generated, sound that the client appended: the lines refer to it

All files are complete up to the last quarter of a second at any moment, so a crash loses no more than that, and the
half second that `stereo.py` holds. A recording ends early when it has `MAX_BYTES`, when the disk is full, or so slow
that `MAX_WAITING` bytes wait for it; its last line says so, where it can be written.
"""

from __future__ import annotations

import os
import struct
import threading
from collections import deque
from pathlib import Path
from typing import Final, Literal

import msgspec

from vivavoce.codecs.audio import SAMPLE_RATE

SOUND: Final = "sound.wav"
EVENTS: Final = "events.jsonl"
BYTES: Final = "bytes.bin"

INTERVAL: Final = 0.25
"""Seconds between two writes to the disk."""

MAX_BYTES: Final = 1 << 30
"""Of one recording: an hour and a half of conversation. (RIFF cannot count beyond four times as much.)"""

MAX_WAITING: Final = 16 << 20
"""Bytes for which the disk may be behind: more than a minute of a call."""

HEADER: Final = 44
"""Bytes of a WAV file before its samples."""

File = Literal["sound.wav", "events.jsonl", "bytes.bin"]


class Writer:
    """Writes one recording into a new folder. `failed`: why it has ended early; "" while it has not. All methods but
    `_run` are for the call's thread."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self.failed = ""
        self._folder = folder
        self._max_bytes = max_bytes
        self._queue: deque[tuple[File, bytes]] = deque()
        self._blob_end = 0
        self._taken = 0  # bytes handed over; only the call's thread counts these
        self._written = 0  # bytes on disk; only the writer's thread counts these
        self._lengths: dict[File, int] = {SOUND: 0, EVENTS: 0, BYTES: 0}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"recording-{folder.name}", daemon=True)
        self._thread.start()

    def line(self, text: bytes) -> None:
        self._put(EVENTS, text)

    def sound(self, pairs: bytes) -> None:
        self._put(SOUND, pairs)

    def blob(self, content: bytes) -> int:
        """Returns the offset of the bytes in their file."""
        at = self._blob_end
        self._blob_end += len(content)
        self._put(BYTES, content)
        return at

    def close(self, deadline: float) -> None:
        """Writes all that waits. Blocks for at most `deadline` seconds: a dead disk blocks the thread, not the call."""
        self._closing.set()
        self._thread.join(deadline)

    def _put(self, file: File, content: bytes) -> None:
        if self.failed:
            return
        self._taken += len(content)
        if self._taken > self._max_bytes:
            self.failed = f"full: a recording has at most {self._max_bytes} bytes"
        elif self._taken - self._written > MAX_WAITING:
            self.failed = "slow: the disk cannot keep up"
        else:
            self._queue.append((file, content))

    # --- the writer's thread ---

    def _run(self) -> None:
        files: dict[File, int] = {}
        try:
            self._folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.mkdir(mode=0o700)
            for name in self._lengths:
                files[name] = os.open(self._folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            os.write(files[SOUND], wav_header(0))
            while not self._closing.wait(INTERVAL):
                self._flush(files)
            self._flush(files)
            if self.failed:
                _write(files[EVENTS], msgspec.json.encode({"end": self.failed}) + b"\n")
        except OSError as error:
            self.failed = f"broken: {error.strerror}"
            self._write_reason(files)
        finally:
            for file in files.values():
                os.close(file)

    def _flush(self, files: dict[File, int]) -> None:
        """Bytes before the lines that refer to them."""
        waiting: dict[File, list[bytes]] = {BYTES: [], SOUND: [], EVENTS: []}
        while self._queue:
            name, content = self._queue.popleft()
            waiting[name].append(content)
        for name, pieces in waiting.items():
            content = b"".join(pieces)
            if content:
                _write(files[name], content)
                self._lengths[name] += len(content)
                self._written += len(content)
        if waiting[SOUND]:
            os.pwrite(files[SOUND], wav_header(self._lengths[SOUND]), 0)

    def _write_reason(self, files: dict[File, int]) -> None:
        """Writes the last line of a recording whose disk is full, in place of a line that is incomplete."""
        try:
            os.ftruncate(files[EVENTS], self._lengths[EVENTS])
            os.lseek(files[EVENTS], 0, os.SEEK_END)
            _write(files[EVENTS], msgspec.json.encode({"end": self.failed}) + b"\n")
        except (OSError, KeyError):
            pass  # the disk has no room for it


def wav_header(length: int) -> bytes:
    """The header of a WAV file with `length` bytes of 16-bit stereo at `SAMPLE_RATE` (RIFF, Microsoft 1991)."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, SAMPLE_RATE, SAMPLE_RATE * 4, 4, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + length, b"WAVE") + form + struct.pack("<4sI", b"data", length)


def _write(file: int, content: bytes) -> None:
    """Writes all of `content`; a disk that is nearly full takes less at first."""
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]
