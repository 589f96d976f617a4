"""Keep notes between sessions: one bounded JSON file, replaced as a whole.

    {"notes": ["The gate code is 1234.", ...]}

The file is small, so it is read and written at each use: two calls at once never see half of it, and no note is lost
when the process dies. Blocks on the disk; use it on a thread.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vivavoce.realtime.tools import ToolError

MAX_NOTES: Final = 100
MAX_CHARS: Final = 500

Change = Callable[[list[str]], list[str]]


class NotesError(ToolError):
    """The notes cannot be read or kept."""


class Notes:
    """The notes of one server, in `file`. Safe to use from several threads."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()

    def add(self, text: str) -> None:
        """Adds a note. Raises `NotesError`."""
        tidy = " ".join(text.split())
        if not tidy or len(tidy) > MAX_CHARS:
            raise NotesError(f"A note has 1 to {MAX_CHARS} characters.")

        def change(notes: list[str]) -> list[str]:
            if len(notes) >= MAX_NOTES:
                raise NotesError(f"There are {MAX_NOTES} notes already; remove one first.")
            return [*notes, tidy]

        self._change(change)

    def all(self) -> list[str]:
        """All notes, the oldest first. Raises `NotesError`."""
        with self._lock:
            return self._read()

    def remove(self, words: str) -> list[str]:
        """Removes the notes that contain all of `words`, and returns them.

        Raises `NotesError` when there is none."""
        needed = words.lower().split()
        removed: list[str] = []

        def change(notes: list[str]) -> list[str]:
            removed[:] = [note for note in notes if needed and all(word in note.lower() for word in needed)]
            if not removed:
                raise NotesError("No note contains these words.")
            return [note for note in notes if note not in removed]

        self._change(change)
        return removed

    def _change(self, change: Change) -> None:
        with self._lock:
            self._write(change(self._read()))

    def _read(self) -> list[str]:
        try:
            notes = json.loads(self._file.read_text(encoding="utf-8"))["notes"]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NotesError("The notes cannot be read.") from error
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise NotesError("The notes cannot be read.")
        return notes

    def _write(self, notes: list[str]) -> None:
        """Writes to a temporary file first, so that the old notes stay whole until the new ones are."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._file.parent, prefix=".notes-")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as out:
                    json.dump({"notes": notes}, out, ensure_ascii=False, indent=1)
                    out.flush()
                    os.fsync(out.fileno())
                os.replace(name, self._file)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise NotesError("The notes cannot be written.") from error
