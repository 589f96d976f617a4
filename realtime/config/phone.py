"""The settings of calls by telephone: the table `[phone]`.

Plain values; config.py reads and checks them by `problems`."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from vivavoce.realtime.config.addresses import BadAddress, check_url
from vivavoce.realtime.config.dial_rules import NotAllowed, bad_pattern, canonical
from vivavoce.realtime.config.sip import SipConfig
from vivavoce.realtime.config.sip import problems as sip_problems

PREFIX: Final = "whsec_"


MIN_SECRET: Final = 16
"""Bytes; less can be guessed."""


def secret_key(secret: str) -> bytes:
    """The key that a secret stands for: base64 after `PREFIX`, else the text itself. Raises ValueError, with words that
    do not repeat it."""
    try:
        key = base64.b64decode(secret[len(PREFIX) :], validate=True) if secret.startswith(PREFIX) else secret.encode()
    except binascii.Error:
        raise ValueError(f"after {PREFIX} there must be base64") from None
    if len(key) < MIN_SECRET:
        raise ValueError(f"it must hold at least {MIN_SECRET} bytes, such as {PREFIX} and `openssl rand -base64 24`")
    return key


PHONE_TOOLS: Final = ("hang_up", "transfer", "keys")


@dataclass(frozen=True, slots=True)
class PhoneConfig:
    """What every phone call begins with, and what its assistant may do.

    `instructions`: of the session. `voice`: speaks ("" for the server's). `greeting`: said as soon as the line is open
    ("" for nothing: the caller begins); `outgoing_greeting`: the same in calls that we made. `opening`: seconds of
    silence before it, for lines whose sound is late. `busy`: said where there is no place, before hanging up ("" for
    nothing). `key_pause`: seconds after the last key (or at once after #) at which the model is told what was pressed.
    `tools`: what the model may do by itself: hang_up, transfer, keys. `transfers`: where it may transfer to, as
    name=target, e.g. sales=+493012345. `comfort_noise`: a noise of so many dB (of full scale) in the pauses, for lines
    on which silence sounds dead (0: none). `max_duration`: seconds after which a phone call ends (0: as the server
    says).

    `calls`: phone calls at the same time (0: as many as the server takes); `calls_per_caller`: of one caller;
    `calls_per_minute`: that one caller may begin. `outbound`: what may be called or transferred to by clients, as
    patterns such as +49*, sip:*@pbx.example.org; !+49900* forbids. `webhook`: an application's address that is asked
    about every incoming call (see ringing.py), signed with `webhook_secret` (whsec_...); `webhook_private`: its name
    may lead into a private network. `ring_timeout`: seconds it has to decide; `unanswered`: what happens then, accept
    or reject.

    `audiosocket`: host:port to listen on for Asterisk's AudioSocket; `asterisk_peers`: addresses or networks that may
    connect to it besides this machine. `asterisk_password`: Asterisk's WebSockets show it (Basic authentication).

    `sip`: a telephone of our own; see sip/settings.py.

    `base_url`: how the provider's machines reach this server, e.g. https://voice.example.org. `twilio_token`: the
    account's auth token, with which its requests are signed; `twilio_account`: its SID, for hang-ups and transfers by
    REST. `telnyx_public_key` (base64), `plivo_token`, `vonage_secret` and `vonage_key`: the same for these. `secret`:
    a word in the path, for providers that sign nothing (Exotel)."""

    instructions: str = (
        "You are a friendly assistant on the telephone. Answer in one or two short sentences of plain words. "
        "Your words are spoken, so write no lists, symbols or links."
    )
    voice: str = ""
    greeting: str = "Hello! How can I help you?"
    outgoing_greeting: str = ""
    opening: float = 0.2
    busy: str = "All lines are busy at the moment. Please call again in a few minutes. Goodbye."
    key_pause: float = 1.5
    tools: tuple[str, ...] = ("hang_up",)
    transfers: tuple[str, ...] = ()
    comfort_noise: float = 0.0
    max_duration: float = 0.0
    calls: int = 0
    calls_per_caller: int = 2
    calls_per_minute: int = 10
    outbound: tuple[str, ...] = ()
    webhook: str = ""
    webhook_secret: str = field(default="", repr=False)
    webhook_private: bool = False
    ring_timeout: float = 20.0
    unanswered: str = "reject"
    audiosocket: str = ""
    asterisk_peers: tuple[str, ...] = ()
    asterisk_password: str = field(default="", repr=False)
    sip: SipConfig = field(default_factory=SipConfig)
    base_url: str = ""
    secret: str = field(default="", repr=False)
    twilio_token: str = field(default="", repr=False)
    twilio_account: str = ""
    telnyx_public_key: str = ""
    plivo_token: str = field(default="", repr=False)
    vonage_secret: str = field(default="", repr=False)

    @property
    def provided(self) -> bool:
        """A provider's calls are taken."""
        return any((self.secret, self.twilio_token, self.telnyx_public_key, self.plivo_token, self.vonage_secret))

    @property
    def wanted(self) -> bool:
        """Anybody can call: some adapter is set up. (Each adapter adds what sets it up.)"""
        return self.provided or bool(self.audiosocket or self.asterisk_password or self.sip.listen)

    @property
    def targets(self) -> dict[str, str]:
        """Where calls may be transferred to: target by spoken name."""
        pairs = (entry.partition("=") for entry in self.transfers)
        return {name.strip(): target.strip() for name, _, target in pairs}


def problems(phone: PhoneConfig) -> Iterator[str]:
    """What is wrong with the settings, in sentences that name them."""
    yield from _problems_of_callers(phone)
    yield from _problems_of_asterisk(phone)
    yield from sip_problems(phone.sip)
    ranges = {
        "opening": (phone.opening, 0, 5),
        "key_pause": (phone.key_pause, 0.2, 30),
        "comfort_noise": (phone.comfort_noise, -90, 0),
        "max_duration": (phone.max_duration, 0, 86400),
        "calls": (phone.calls, 0, 1000),
        "calls_per_caller": (phone.calls_per_caller, 1, 1000),
        "calls_per_minute": (phone.calls_per_minute, 1, 100_000),
        "ring_timeout": (phone.ring_timeout, 1, 180),
    }
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            yield f"'phone.{name}' must be between {low:g} and {high:g}, not {value:g}."
    for tool in phone.tools:
        if tool not in PHONE_TOOLS:
            yield f"'phone.tools' must hold names of {', '.join(PHONE_TOOLS)}, not {tool!r}."
    for entry in phone.transfers:
        if not re.fullmatch(r"[^=]*[^=\s][^=]*=\s*\S+\s*", entry):
            yield f"'phone.transfers' must hold entries such as sales=+493012345, not {entry!r}."
    if phone.base_url and not re.fullmatch(r"https?://[^/?#\s]+", phone.base_url):
        yield f"'phone.base_url' must be an address such as https://voice.example.org, not {phone.base_url!r}."
    if phone.base_url and not phone.provided:
        yield "'phone.base_url' is for calls of a provider: set its key too, such as VIVAVOCE_PHONE_TWILIO_TOKEN."
    if phone.secret and not re.fullmatch(r"[\w-]{8,}", phone.secret):
        yield "'phone.secret' must have at least 8 letters, digits, - or _."


def _problems_of_callers(phone: PhoneConfig) -> Iterator[str]:
    for pattern in phone.outbound:
        if wrong := bad_pattern(pattern):
            yield f"'phone.outbound': {wrong}"
    for target in phone.targets.values():
        try:
            canonical(target)
        except NotAllowed as error:
            yield f"'phone.transfers': {error}"
    if phone.unanswered not in ("accept", "reject"):
        yield f"'phone.unanswered' must be accept or reject, not {phone.unanswered!r}."
    if not phone.webhook:
        return
    try:
        check_url(phone.webhook, private=True)
    except BadAddress:
        yield "'phone.webhook' must be an address such as https://example.org/webhook, without user and password."
    try:
        secret_key(phone.webhook_secret)
    except ValueError as error:
        yield f"'phone.webhook_secret' signs the webhook: {error}."


def _problems_of_asterisk(phone: PhoneConfig) -> Iterator[str]:
    host, _, port = phone.audiosocket.rpartition(":")
    if phone.audiosocket and not (host and re.fullmatch("[0-9]{1,5}", port) and int(port) < 65536):
        yield f"'phone.audiosocket' must be host:port such as 127.0.0.1:9092, not {phone.audiosocket!r}."
    for peer in phone.asterisk_peers:
        try:
            ipaddress.ip_network(peer)
        except ValueError:
            yield f"'phone.asterisk_peers' must hold addresses or networks such as 10.0.0.0/24, not {peer!r}."
    if phone.asterisk_password and len(phone.asterisk_password) < 8:
        yield "'phone.asterisk_password' must have at least 8 characters."
