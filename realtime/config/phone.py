"""The settings of calls by telephone: the table `[phone]`."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from msgspec import Meta

from vivavoce.realtime.config.addresses import check_url
from vivavoce.realtime.config.dial_rules import bad_pattern, canonical
from vivavoce.realtime.config.errors import BadTarget
from vivavoce.realtime.config.sip import Network, SipConfig

PREFIX: Final = "whsec_"

MIN_SECRET: Final = 16
"""Bytes; less can be guessed."""

PhoneTool = Literal["hang_up", "transfer", "keys"]


def secret_key(secret: str) -> bytes:
    """The key of a webhook secret: base64 after `PREFIX`, else the text itself. Raises ValueError, with words that do
    not repeat it."""
    try:
        key = base64.b64decode(secret[len(PREFIX) :], validate=True) if secret.startswith(PREFIX) else secret.encode()
    except binascii.Error:
        raise ValueError(f"after {PREFIX} there must be base64") from None
    if len(key) < MIN_SECRET:
        raise ValueError(f"it must hold at least {MIN_SECRET} bytes, such as {PREFIX} and `openssl rand -base64 24`")
    return key


def check_transfer(entry: str) -> None:
    """Raises ValueError when the target of `name=target` is no number and no SIP address."""
    try:
        canonical(entry.partition("=")[2])
    except BadTarget as error:
        raise ValueError(str(error)) from error


def check_pattern(pattern: str) -> None:
    """Raises ValueError, in words, for a pattern that allows nothing or everything."""
    if wrong := bad_pattern(pattern):
        raise ValueError(wrong)


def check_webhook(url: str) -> None:
    """Raises ValueError unless `url` is an address without user and password."""
    try:
        check_url(url, private=True)
    except BadTarget as error:
        raise ValueError(str(error)) from error


def check_port(address: str) -> None:
    """Raises ValueError unless the port of host:port exists."""
    if int(address.rpartition(":")[2]) > 65535:
        raise ValueError(address)


Transfer = Annotated[
    str,
    Meta(
        pattern=r"\A[^=]*[^=\s][^=]*=\s*\S+\s*\Z",
        title="entries such as sales=+493012345",
        extra={"check": check_transfer},
    ),
]
DialPattern = Annotated[str, Meta(extra={"check": check_pattern})]
Webhook = Annotated[
    str,
    Meta(
        title="an address such as https://example.org/webhook, without user and password",
        extra={"check": check_webhook},
    ),
]
HostPort = Annotated[
    str,
    Meta(
        pattern=r"\A(.+:[0-9]{1,5})?\Z",
        title="host:port such as 127.0.0.1:9092",
        extra={"check": check_port},
    ),
]
BaseUrl = Annotated[
    str,
    Meta(pattern=r"\A(https?://[^/?#\s]+)?\Z", title="an address such as https://voice.example.org"),
]
Password = Annotated[str, Meta(pattern=r"\A(?s:.{8,})?\Z", title="a text of at least 8 characters")]
PathSecret = Annotated[str, Meta(pattern=r"\A([\w-]{8,})?\Z", title="at least 8 letters, digits, - or _")]


@dataclass(frozen=True, slots=True)
class PhoneConfig:
    """How a phone call begins, what its assistant may do, and which adapters take calls."""

    instructions: Annotated[str, Meta(description="Instructions of the session.")] = (
        "You are a friendly assistant on the telephone. Answer in one or two short sentences of plain words. "
        "Your words are spoken, so write no lists, symbols or links."
    )
    voice: Annotated[str, Meta(description="Voice on the telephone. Empty: the one of `model.voice`.")] = ""
    greeting: Annotated[
        str,
        Meta(description="Words spoken when the call is connected. Empty: the caller begins."),
    ] = "Hello! How can I help you?"
    outgoing_greeting: Annotated[str, Meta(description="The same in outgoing calls.")] = ""
    opening: Annotated[
        float,
        Meta(ge=0, le=5, description="Seconds of silence before the greeting, for lines whose sound starts late."),
    ] = 0.2
    busy: Annotated[
        str,
        Meta(description="Words spoken before hanging up when all lines are busy. Empty: none."),
    ] = "All lines are busy at the moment. Please call again in a few minutes. Goodbye."
    goodbye: Annotated[
        str,
        Meta(description="Words spoken before hanging up when the server is stopped. Empty: none."),
    ] = "I am sorry, I have to end this call now. Goodbye."
    key_pause: Annotated[
        float,
        Meta(
            ge=0.2,
            le=30,
            description="Seconds after the last key (none after `#`) until the model gets the keys.",
        ),
    ] = 1.5
    tools: Annotated[tuple[PhoneTool, ...], Meta(description="Tools of the model on the telephone.")] = ("hang_up",)
    transfers: Annotated[
        tuple[Transfer, ...], Meta(description="Targets of the tool `transfer`, as `name=target`.")
    ] = ()
    comfort_noise: Annotated[
        float,
        Meta(ge=-90, le=0, description="Level of noise in the pauses, in dB of full scale; 0: none."),
    ] = 0.0
    max_duration: Annotated[
        float,
        Meta(ge=0, le=86400, description="Seconds that a phone call may last; 0: as in `server.max_duration`."),
    ] = 0.0
    calls: Annotated[
        int,
        Meta(ge=0, le=1000, description="Phone calls at the same time; 0: as in `server.max_sessions`."),
    ] = 0
    calls_per_caller: Annotated[int, Meta(ge=1, le=1000, description="Calls of one caller at the same time.")] = 2
    calls_per_minute: Annotated[
        int, Meta(ge=1, le=100_000, description="Calls that one caller may begin per minute.")
    ] = 10
    outbound: Annotated[
        tuple[DialPattern, ...],
        Meta(
            description="Patterns of numbers and addresses that clients may call or transfer to, such as `+49*` or "
            "`sip:*@pbx.example.org`; `!+49900*` forbids. Empty: none."
        ),
    ] = ()
    webhook: Annotated[
        Webhook,
        Meta(description="URL of an application that decides about incoming calls; needs `webhook_secret`."),
    ] = field(default="", repr=False)
    webhook_secret: Annotated[
        str,
        Meta(description="Signs the webhook: `whsec_` and base64, or a text of at least 16 bytes."),
    ] = field(default="", repr=False)
    webhook_private: Annotated[
        bool,
        Meta(description="Allows a webhook whose name leads into a private network."),
    ] = False
    ring_timeout: Annotated[
        float,
        Meta(ge=1, le=180, description="Seconds that the application has to decide about a call."),
    ] = 20.0
    unanswered: Annotated[
        Literal["accept", "reject"],
        Meta(description="What happens to a call that the application does not decide about in time."),
    ] = "reject"
    audiosocket: Annotated[
        HostPort, Meta(description="Where to listen for Asterisk's AudioSocket. Empty: nowhere.")
    ] = ""
    asterisk_peers: Annotated[
        tuple[Network, ...],
        Meta(description="Sources of AudioSocket connections besides this machine."),
    ] = ()
    asterisk_password: Annotated[
        Password,
        Meta(description="Password of Asterisk's WebSocket connections (Basic authentication). Empty: none are taken."),
    ] = field(default="", repr=False)
    sip: SipConfig = field(default_factory=SipConfig)
    base_url: Annotated[
        BaseUrl,
        Meta(description="Address under which the provider reaches this server; needs the provider's key."),
    ] = ""
    secret: Annotated[
        PathSecret,
        Meta(description="Secret part of the path, for providers that sign nothing (Exotel)."),
    ] = field(default="", repr=False)
    twilio_token: Annotated[str, Meta(description="Twilio's auth token, which signs its requests.")] = field(
        default="", repr=False
    )
    twilio_account: Annotated[
        str,
        Meta(description="Twilio's account SID, for hang-ups and transfers by REST."),
    ] = ""
    telnyx_public_key: Annotated[str, Meta(description="Telnyx's public key (base64).")] = ""
    plivo_token: Annotated[str, Meta(description="Plivo's auth token.")] = field(default="", repr=False)
    vonage_secret: Annotated[str, Meta(description="Vonage's signature secret.")] = field(default="", repr=False)

    @property
    def provided(self) -> bool:
        """A provider's calls are taken."""
        return any((self.secret, self.twilio_token, self.telnyx_public_key, self.plivo_token, self.vonage_secret))

    @property
    def enabled(self) -> bool:
        """Some adapter is set up, so that phone calls can come in."""
        return self.provided or bool(self.audiosocket or self.asterisk_password or self.sip.listen)

    @property
    def targets(self) -> dict[str, str]:
        """Targets of transfers by their spoken names."""
        pairs = (entry.partition("=") for entry in self.transfers)
        return {name.strip(): target.strip() for name, _, target in pairs}
