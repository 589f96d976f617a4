"""Where a telephone sends nothing (voice activity detection, hold, a stalled link), silence takes its place; a core.

    sound that came ──heard──┐
    time that passes ─missing┴──► samples of silence to put in, so that ears and clock agree

Otherwise a caller who stops speaking would never have finished. `now` is in seconds, on any clock that does not run
backwards.
"""

from __future__ import annotations

from typing import Final

from vivavoce.model.dialogue import SAMPLE_RATE

PATIENCE: Final = 0.1
"""Seconds by which sound may be late: more than networks and machines delay it as a rule."""


class Gaps:
    """One line's sound on its way in."""

    def __init__(self, now: float) -> None:
        self._until = now  # the moment up to which there is sound

    def heard(self, samples: int, now: float) -> None:
        """So many samples came. A burst after a stall does not count ahead."""
        self._until = min(self._until + samples / SAMPLE_RATE, now) if samples else self._until

    @property
    def deadline(self) -> float:
        """When something is missing, unless sound comes before."""
        return self._until + PATIENCE

    def missing(self, now: float) -> int:
        """Samples of silence to put in at `now`; they count as heard."""
        late = now - self._until
        if late < PATIENCE:
            return 0
        self._until = now
        return round(late * SAMPLE_RATE)
