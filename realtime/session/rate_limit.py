"""Rate limits by token buckets, and the limit of a session's responses.

    take(now) ──► True, and one token less │ False: try again in `wait(now)` seconds

`now` is in seconds, on any clock that does not run backwards. The owner of a bucket decides what a refusal means.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from vivavoce.realtime.events import Action, Send
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.response_events import ResponseDone
from vivavoce.realtime.wire.server_events import RateLimit, RateLimitsUpdated

WINDOW: Final = 60.0
"""Seconds in which an empty bucket fills: limits are per minute."""

MAX_ADDRESSES: Final = 4096


class Bucket:
    """`limit` at once, and `limit` per `WINDOW` in the long run."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._level = float(limit)  # tokens at `_at`
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Takes a token; returns whether there was one."""
        level = self._fill(now)
        if level < 1:
            return False
        self._level = level - 1
        return True

    def remaining(self, now: float) -> int:
        """Whole tokens that are left."""
        return int(self._fill(now))

    def wait(self, now: float) -> float:
        """Seconds until there is a token."""
        return max(0.0, 1 - self._fill(now)) * WINDOW / self.limit

    def reset(self, now: float) -> float:
        """Seconds until the bucket is full."""
        return (self.limit - self._fill(now)) * WINDOW / self.limit

    def _fill(self, now: float) -> float:
        self._level = min(self.limit, self._level + (now - self._at) * self.limit / WINDOW)
        self._at = now
        return self._level


class Addresses:
    """One bucket for each network address; those seen longest ago are forgotten first."""

    def __init__(self, limit: int, max_kept: int = MAX_ADDRESSES) -> None:
        self._limit = limit
        self._max_kept = max_kept
        self._buckets: dict[str, Bucket] = {}  # those seen last come last

    def take(self, address: str, now: float) -> float:
        """Takes a token of the address; returns 0, or the seconds until there is one."""
        bucket = self._buckets.pop(address, None) or Bucket(self._limit)
        if len(self._buckets) >= self._max_kept:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[address] = bucket
        return 0.0 if bucket.take(now) else bucket.wait(now)


def take(bucket: Bucket | None, now: float) -> None:
    """Takes a token for a response; without a bucket there is no limit. Raises `Refused` when there is none."""
    if bucket is not None and not bucket.take(now):
        message = (
            f"Rate limit reached: at most {bucket.limit} responses a minute. "
            f"Please try again in {bucket.wait(now):.1f} s."
        )
        raise Refused("rate_limit_exceeded", message)


def report(actions: Iterable[Action], bucket: Bucket | None, now: float) -> Iterator[Action]:
    """The same actions, with a `rate_limits.updated` behind each `response.done`."""
    for action in actions:
        yield action
        match action:
            case Send(event=ResponseDone()) if bucket is not None:
                left, reset = bucket.remaining(now), round(bucket.reset(now), 3)
                limit = RateLimit(name="requests", limit=bucket.limit, remaining=left, reset_seconds=reset)
                yield Send(RateLimitsUpdated(rate_limits=[limit]))
