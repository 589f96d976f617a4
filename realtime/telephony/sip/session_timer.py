"""Session timers (RFC 4028): detect a far end that vanished without BYE, even in silence.

    accept(request) ──► headers of our 200          due(now) ──► refresh now          expired(now) ──► hang up

Only calls whose far end supports timers have one."""

from __future__ import annotations

import re
from typing import Final

from aiosipua import SipRequest, SipResponse

INTERVAL: Final = 1800
"""Seconds that we propose (RFC 4028 section 4)."""

MIN_INTERVAL: Final = 90


class SessionTimer:
    """The timer of one call. `interval` 0: there is none."""

    def __init__(self) -> None:
        self.interval = 0
        self.by_update = True  # the far end supports UPDATE
        self._we_refresh = False
        self._since = 0.0  # the last refresh

    def accept(self, request: SipRequest, now: float) -> dict[str, str]:
        """Takes the timer of an INVITE or UPDATE of theirs; returns the headers of our 200."""
        self._learn(request)
        interval, refresher = parse(request.get_header("session-expires"))
        supported = _lists(request, "supported", "timer") or _lists(request, "require", "timer")
        if not supported and not interval:
            return {}
        self.interval = interval or INTERVAL
        self._we_refresh = refresher == "uas" or (not refresher and not supported)
        self._since = now
        headers = {"Session-Expires": self.header(refresher_is_us=self._we_refresh, in_request=False)}
        return headers | ({"Require": "timer"} if supported else {})

    def accept_response(self, response: SipResponse, now: float) -> None:
        """Takes the timer of the 200 to our INVITE."""
        self._learn(response)
        self.interval, refresher = parse(response.get_header("session-expires"))
        self._we_refresh = refresher != "uas"
        self._since = now

    def refreshed(self, now: float) -> None:
        """A refresh succeeded, or was sent."""
        self._since = now

    def due(self, now: float) -> bool:
        """Whether we have to refresh now."""
        return bool(self.interval) and self._we_refresh and now >= self._since + self.interval / 2

    def expired(self, now: float) -> bool:
        """Whether the far end should have refreshed by now (section 10)."""
        patience = self.interval - min(32.0, self.interval / 3)
        return bool(self.interval) and not self._we_refresh and now >= self._since + patience

    @property
    def deadline(self) -> float | None:
        """When `due` or `expired` becomes true."""
        if not self.interval:
            return None
        share = self.interval / 2 if self._we_refresh else self.interval - min(32.0, self.interval / 3)
        return self._since + share

    def header(self, refresher_is_us: bool, in_request: bool) -> str:
        """The value of Session-Expires in a request or a response of ours."""
        return f"{self.interval or INTERVAL};refresher={'uac' if refresher_is_us == in_request else 'uas'}"

    def _learn(self, message: SipRequest | SipResponse) -> None:
        if message.headers.get("allow"):
            self.by_update = _lists(message, "allow", "UPDATE")


def parse(header: str | None) -> tuple[int, str]:
    """Interval and refresher of a Session-Expires header; (0, "") if it is missing or malformed."""
    found = re.match(r"\s*(\d{1,9})\s*(?:;(.*))?$", header or "")
    if not found:
        return 0, ""
    refresher = re.search(r"refresher\s*=\s*(uac|uas)", found[2] or "", re.IGNORECASE)
    return max(int(found[1]), MIN_INTERVAL), refresher[1].lower() if refresher else ""


def too_short(request: SipRequest) -> bool:
    """Whether an INVITE asks for a shorter interval than `MIN_INTERVAL`."""
    found = re.match(r"\s*(\d{1,9})", request.get_header("session-expires") or "")
    return bool(found) and int(found[1]) < MIN_INTERVAL  # type: ignore[index]  # found is no None here


def _lists(message: SipRequest | SipResponse, header: str, token: str) -> bool:
    return token.lower() in (value.strip().lower() for value in message.headers.get(header))
