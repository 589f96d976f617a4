"""The settings of the SIP user agent: the table `[phone.sip]`."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from msgspec import Meta

CodecName = Literal["opus", "g722", "pcma", "pcmu"]
CODECS: Final[tuple[CodecName, ...]] = ("opus", "g722", "pcma", "pcmu")
"""Best first."""

ACCOUNT: Final = re.compile(r"sip:([^@\s:;<>\"]{1,64})@(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]{1,200})(?::(\d{1,5}))?")


def split(address: str, port: int) -> tuple[str, int]:
    """Host and port of "host:port", "host" or "[::1]:port"; `port` where there is none."""
    found = re.fullmatch(
        r"\[?(.*?)\]?(?::(\d{1,5}))?", address if address.count(":") < 2 or "[" in address else f"[{address}]"
    )
    assert found is not None  # everything matches
    return found[1], int(found[2] or port)


def check_listen(text: str) -> None:
    """Raises ValueError unless `text` is an IP address and a port."""
    host, port = split(text, -1)
    ipaddress.ip_address(host)
    if not 0 <= port < 65536:
        raise ValueError(text)


def check_server(text: str) -> None:
    """Raises ValueError unless the port that `text` names exists."""
    if not 0 < split(text, 5060)[1] < 65536:
        raise ValueError(text)


def check_ports(text: str) -> None:
    """Raises ValueError unless `text` is a range of ports that need no privilege."""
    first, last = map(int, text.split("-"))
    if not 1024 <= first < last < 65536:
        raise ValueError(text)


Listen = Annotated[
    str,
    Meta(pattern=r"\A\S*\Z", title="an IP address and a port such as 0.0.0.0:5060", extra={"check": check_listen}),
]
Account = Annotated[str, Meta(pattern=rf"\A({ACCOUNT.pattern})?\Z", title="an address such as sip:100@pbx.example.org")]
Server = Annotated[
    str,
    Meta(
        pattern=r"\A[\w.:\[\]-]*\Z",
        title="host:port such as pbx.example.org:5060",
        extra={"check": check_server},
    ),
]
IpAddress = Annotated[str, Meta(title="an IP address", extra={"check": ipaddress.ip_address})]
Network = Annotated[
    str,
    Meta(title="addresses or networks such as 192.0.2.0/24", extra={"check": ipaddress.ip_network}),
]
PortRange = Annotated[
    str,
    Meta(
        pattern=r"\A(\d{4,5}-\d{4,5})?\Z",
        title="a range such as 20000-20999",
        extra={"check": check_ports},
    ),
]


@dataclass(frozen=True, slots=True)
class SipConfig:
    """The SIP user agent and its account."""

    listen: Annotated[Listen, Meta(description="Address and port for UDP and TCP. Empty: no SIP.")] = ""
    account: Annotated[
        Account,
        Meta(description="Our address at a PBX or provider. Empty: calls come directly."),
    ] = field(default="", repr=False)
    password: Annotated[str, Meta(description="Password of the account.")] = field(default="", repr=False)
    login: Annotated[
        str,
        Meta(description="User name that goes with the password, where it is not the account's."),
    ] = field(default="", repr=False)
    server: Annotated[
        Server,
        Meta(description="Where calls and the registration go. Empty: the account's domain."),
    ] = ""
    register: Annotated[
        bool,
        Meta(description="Registers the account at the server; not needed for a trunk that knows our address."),
    ] = True
    tcp: Annotated[bool, Meta(description="Uses TCP towards the server.")] = False
    public: Annotated[
        IpAddress,
        Meta(description="Our public address, behind a router that forwards the ports."),
    ] = ""
    allow: Annotated[
        tuple[Network, ...],
        Meta(description="Sources of calls besides the server. With none, and no server: this machine only."),
    ] = ()
    codecs: Annotated[tuple[CodecName, ...], Meta(min_length=1, description="Codecs offered, best first.")] = CODECS
    ports: Annotated[PortRange, Meta(description="UDP ports for RTP. Empty: any.")] = ""

    @property
    def user(self) -> str:
        """The user part of the account."""
        found = ACCOUNT.fullmatch(self.account)
        return found[1] if found else ""

    @property
    def domain(self) -> str:
        """Of the account, with its port; "" without one."""
        return self.account.partition("@")[2]

    @property
    def uplink(self) -> tuple[str, int] | None:
        """Host and port that calls and registration go to; None: calls go straight to their target."""
        return split(self.server or self.domain, 5060) if self.server or self.domain else None

    @property
    def port_range(self) -> tuple[int, int] | None:
        """First and last port for sound; None: any."""
        first, _, last = self.ports.partition("-")
        return (int(first), int(last)) if self.ports else None
