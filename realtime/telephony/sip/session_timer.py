"""Session timers (RFC 4028): who vanished without a goodbye is noticed, also when nobody speaks.

    accept(request) ──► headers of our 200          due(now) ──► refresh now          expired(now) ──► the call is dead

Only calls whose far end knows timers have one."""

from __future__ import annotations

import re
from typing import Final

from aiosipua import SipRequest, SipResponse

INTERVAL: Final = 1800
"""Seconds that we propose (RFC 4028 section 4)."""

MIN_INTERVAL: Final = 90


class SessionTimer:
    """That of one call. `interval` 0: there is none."""

    def __init__(self) -> None:
        self.interval = 0
        self.by_update = True  # the far end takes UPDATE
        self._ours = False  # we refresh
        self._since = 0.0

    def accept(self, request: SipRequest, now: float) -> dict[str, str]:
        """Takes what an INVITE or UPDATE of theirs says; returns what our 200 has to say."""
        self._learn(request)
        interval, refresher = read(request.get_header("session-expires"))
        knows = _lists(request, "supported", "timer") or _lists(request, "require", "timer")
        if not knows and not interval:
            return {}
        self.interval = interval or INTERVAL
        self._ours = refresher == "uas" or (not refresher and not knows)
        self._since = now
        headers = {"Session-Expires": self.header(refresher_is_us=self._ours, asking=False)}
        return headers | ({"Require": "timer"} if knows else {})

    def settle(self, response: SipResponse, now: float) -> None:
        """Takes what the 200 to our INVITE says."""
        self._learn(response)
        self.interval, refresher = read(response.get_header("session-expires"))
        self._ours = refresher != "uas"
        self._since = now

    def refreshed(self, now: float) -> None:
        """A refresh has gone through, or is under way."""
        self._since = now

    def due(self, now: float) -> bool:
        """It is for us to refresh, now."""
        return bool(self.interval) and self._ours and now >= self._since + self.interval / 2

    def expired(self, now: float) -> bool:
        """The far end should have refreshed (section 10)."""
        patience = self.interval - min(32.0, self.interval / 3)
        return bool(self.interval) and not self._ours and now >= self._since + patience

    @property
    def deadline(self) -> float | None:
        """When one of the two will be true."""
        if not self.interval:
            return None
        share = self.interval / 2 if self._ours else self.interval - min(32.0, self.interval / 3)
        return self._since + share

    def header(self, refresher_is_us: bool, asking: bool) -> str:
        """The value of Session-Expires in a request (`asking`) or a response of ours."""
        return f"{self.interval or INTERVAL};refresher={'uac' if refresher_is_us == asking else 'uas'}"

    def _learn(self, message: SipRequest | SipResponse) -> None:
        if message.headers.get("allow"):
            self.by_update = _lists(message, "allow", "UPDATE")


def read(header: str | None) -> tuple[int, str]:
    """Interval and refresher of a Session-Expires header; (0, "") for none that can be used."""
    found = re.match(r"\s*(\d{1,9})\s*(?:;(.*))?$", header or "")
    if not found:
        return 0, ""
    refresher = re.search(r"refresher\s*=\s*(uac|uas)", found[2] or "", re.IGNORECASE)
    return max(int(found[1]), MIN_INTERVAL), refresher[1].lower() if refresher else ""


def too_short(request: SipRequest) -> bool:
    """Whether an INVITE asks for more refreshing than we do."""
    found = re.match(r"\s*(\d{1,9})", request.get_header("session-expires") or "")
    return bool(found) and int(found[1]) < MIN_INTERVAL  # type: ignore[index]  # found is no None here


def _lists(message: SipRequest | SipResponse, header: str, token: str) -> bool:
    return token.lower() in (value.strip().lower() for value in message.headers.get(header))
