"""Limits of phone calls: for each caller and for all together; detects calls in a loop.

    a call ──admit──► it may ring │ Denied          ──release──► over

`now` is in seconds, on any clock that does not run backwards.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.session.rate_limit import Addresses, Bucket
from vivavoce.realtime.telephony import PhoneCall

LOOP_SECONDS: Final = 4.0
"""Seconds within which twice as many calls as one caller may have at a time are taken for a loop between machines:
people who redial hang up first, and need longer."""

MAX_CALLERS: Final = 4096
"""Callers remembered; the one seen longest ago is forgotten first."""

WITHHELD: Final = ("", "anonymous", "restricted", "unavailable", "unknown")
"""What takes the place of a withheld number (RFC 3323 section 4.1, and what providers write)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`calls`: phone calls at the same time; `per_caller`: of one caller at the same time; `per_minute`: that one
    caller may begin; `all_per_minute`: that all callers together may begin. Callers with a withheld number (or on wires
    that carry none) cannot be told apart: only the limits for all hold for them."""

    calls: int = 100
    per_caller: int = 2
    per_minute: int = 10
    all_per_minute: int = 120


class CallLimits:
    """The phone calls of one process; implements `switchboard.Guard`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._own_addresses: set[str] = set()
        self._running: dict[str, str] = {}  # callers, by call id
        self._all = Bucket(limits.all_per_minute)
        self._callers = Addresses(limits.per_minute, MAX_CALLERS)
        self._recent: dict[str, deque[float]] = {}  # times of each caller's last calls; the latest callers come last

    def __len__(self) -> int:
        """Calls that were admitted and not released."""
        return len(self._running)

    def claim(self, addresses: Iterable[str]) -> None:
        """Adds addresses of this server, as callers and Via headers name them ("sip:voice@10.0.0.5", "10.0.0.5:5060"),
        so that calls from itself are found."""
        self._own_addresses |= {_plain(address) for address in addresses}

    def admit(self, call: PhoneCall, now: float) -> None:
        """Counts a call in until `release`. Raises `Denied`; see `sip_status`. For outgoing calls only the number of
        calls at the same time is limited."""
        caller = _caller_key(call)
        if call.direction == "incoming":
            self._check_path(call)
            self._check_caller(caller, now)
        if len(self) >= self._limits.calls:
            raise Denied(503, "server_full", f"All {self._limits.calls} phone lines are taken.")
        if call.direction == "incoming" and not self._all.take(now):
            raise Denied(429, "rate_limit_exceeded", "Too many phone calls.", retry_after=self._all.wait(now))
        self._running[call.id] = caller

    def release(self, call: PhoneCall) -> None:
        """Counts out an admitted call: it is over, or was never connected."""
        del self._running[call.id]

    def _check_path(self, call: PhoneCall) -> None:
        """Raises `Denied` for a call that comes from this server itself, or was forwarded too often."""
        headers = [(name.lower(), value.strip()) for name, value in call.headers]
        if any(name == "max-forwards" and value == "0" for name, value in headers):
            raise Denied(403, "too_many_hops", "The call was passed on too often.")
        hops = {
            _plain(via.split(";")[0].split()[-1]) for name, value in headers if name == "via" for via in _vias(value)
        }
        if self._own_addresses & {_plain(call.caller), *hops}:
            raise Denied(403, "call_loop", "The call comes from this server itself.")

    def _check_caller(self, caller: str, now: float) -> None:
        if not caller:
            return
        if self._is_loop(caller, now):
            raise Denied(403, "call_loop", "The same caller calls again and again.")
        if sum(running == caller for running in self._running.values()) >= self._limits.per_caller:
            raise Denied(429, "caller_busy", f"A caller has at most {self._limits.per_caller} calls at a time.")
        if wait := self._callers.take(caller, now):
            raise Denied(429, "rate_limit_exceeded", "Too many calls of one caller.", retry_after=wait)

    def _is_loop(self, caller: str, now: float) -> bool:
        """Whether a caller calls faster than people can; denied calls count too."""
        many = max(4, 2 * self._limits.per_caller)
        times = self._recent.pop(caller, None) or deque(maxlen=many)
        if len(self._recent) >= MAX_CALLERS:
            del self._recent[next(iter(self._recent))]
        self._recent[caller] = times
        times.append(now)
        return len(times) == many and now - times[0] < LOOP_SECONDS


def sip_status(denied: Denied) -> int:
    """The SIP status of a denied call (RFC 3261 section 21)."""
    return {"call_loop": 482, "too_many_hops": 483, "caller_busy": 486}.get(denied.code, 503)


def _vias(value: str) -> list[str]:
    """The hops that one Via header names."""
    return [via for via in value.split(",") if via.split(";")[0].split()]


def _caller_key(call: PhoneCall) -> str:
    """What a caller is counted by; "" for a withheld number."""
    plain = _plain(call.caller)
    return "" if plain.partition("@")[0] in WITHHELD else plain


def _plain(address: str) -> str:
    """A caller's address without the parts that vary from call to call: scheme, parameters, display name."""
    inner = address.partition("<")[2].partition(">")[0] or address
    bare = inner.strip().lower().partition(";")[0].partition("?")[0]
    return re.sub(r"^(sips?|tel):", "", bare)
