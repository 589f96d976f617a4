"""What can happen to a SIP call, as its leg tells it to whoever runs the call."""

from __future__ import annotations

from dataclasses import dataclass

from vivavoce.realtime.telephony.sip.offers import Media


@dataclass(frozen=True, slots=True)
class Rang:
    """The far end has been reached and rings."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The call that we made stands."""

    media: Media


@dataclass(frozen=True, slots=True)
class Refused:
    """The call did not come about; `status` as in SIP."""

    status: int


@dataclass(frozen=True, slots=True)
class MediaChanged:
    """Hold, and the end of it; another address or codec."""

    media: Media


@dataclass(frozen=True, slots=True)
class Pressed:
    """A key, by SIP INFO."""

    key: str


@dataclass(frozen=True, slots=True)
class Referred:
    """How our transfer goes: 202 it is tried, 2xx else it succeeded, 3xx and above it failed."""

    status: int


@dataclass(frozen=True, slots=True)
class HungUp:
    """The call is over, and not by our wish."""

    why: str


LegEvent = Rang | Answered | Refused | MediaChanged | Pressed | Referred | HungUp
