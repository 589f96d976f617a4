"""What is typed on a telephone: single keys in, whole entries out.

    Keys("1") Keys("2") … pause or # ──► Keys("12", whole=True)

A core: the shell asks at `deadline`."""

from __future__ import annotations

from typing import Final

from vivavoce.realtime.telephony import KEYS
from vivavoce.realtime.transports import Keys

LONGEST: Final = 64
"""Keys of one entry; a longer one is told in parts."""

END: Final = "#"
"""The key that says that this is all, as everybody who has a telephone knows."""


class Keypad:
    """One caller's keys."""

    def __init__(self, pause: float) -> None:
        """`pause`: seconds after the last key at which an entry is whole."""
        self._pause = pause
        self._typed = ""
        self.deadline: float | None = None
        """When `expire` has something to say; None while nothing is typed."""

    def press(self, keys: str, now: float, at: int) -> list[Keys]:
        """Takes keys at `now` seconds, `at` in unix seconds. Returns each of them, and the entry they complete. What is
        no key is passed over."""
        told: list[Keys] = []
        for key in keys.upper():
            if key not in KEYS:
                continue
            told.append(Keys(key, at))
            self._typed += key
            self.deadline = now + self._pause
            if key == END or len(self._typed) == LONGEST:
                told += self.expire(self.deadline)
        return told

    def expire(self, now: float) -> list[Keys]:
        """The entry, once there was a pause behind it."""
        if self.deadline is None or now < self.deadline:
            return []
        typed, self._typed, self.deadline = self._typed, "", None
        return [Keys(typed, whole=True)]
