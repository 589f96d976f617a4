"""How many responses a session may ask for: refused beyond that, and told after each one how many are left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vivavoce.realtime.events import Action, Send
from vivavoce.realtime.protocol.errors import Refused
from vivavoce.realtime.protocol.response_events import ResponseDone
from vivavoce.realtime.protocol.server_events import RateLimit, RateLimitsUpdated
from vivavoce.realtime.rates import Bucket


def take(bucket: Bucket | None, now: float) -> None:
    """One more response begins. Raises `Refused` when it may not; without a bucket there is no limit."""
    if bucket is not None and not bucket.take(now):
        message = (
            f"Rate limit reached: at most {bucket.limit} responses a minute. "
            f"Please try again in {bucket.wait(now):.1f} s."
        )
        raise Refused("rate_limit_exceeded", message)


def report(actions: Iterable[Action], bucket: Bucket | None, now: float) -> Iterator[Action]:
    """The same actions, with a report behind each response that is over."""
    for action in actions:
        yield action
        match action:
            case Send(event=ResponseDone()) if bucket is not None:
                left, reset = bucket.remaining(now), round(bucket.reset(now), 3)
                limit = RateLimit(name="requests", limit=bucket.limit, remaining=left, reset_seconds=reset)
                yield Send(RateLimitsUpdated(rate_limits=[limit]))
