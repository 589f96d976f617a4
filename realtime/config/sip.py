"""The settings of SIP: the table `[phone.sip]`. Plain values, checked by `problems`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

CodecName = Literal["opus", "g722", "pcma", "pcmu"]
CODECS: Final[tuple[CodecName, ...]] = ("opus", "g722", "pcma", "pcmu")
"""Best first."""

ACCOUNT: Final = re.compile(r"sip:([^@\s:;<>\"]{1,64})@(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]{1,200})(?::(\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class SipConfig:
    """Our own telephone.

    `listen`: address and port for UDP and TCP, e.g. 0.0.0.0:5060 ("": there is no SIP). `account`: our address at a PBX
    or provider, e.g. sip:100@pbx.example.org ("": we are called directly); `password`, and `login` where the name that
    goes with it is not the account's. `server`: host:port that calls and registration go to ("": the account's domain).
    `register`: the account is registered there; a trunk that knows us by our address wants none. `tcp`: we talk to the
    server over TCP. `public`: the address under which the world reaches us, behind a router that forwards the ports.
    `allow`: addresses or networks that calls are taken from, beside the server; without any, and without a server, only
    this machine. `codecs`: best first. `ports`: for sound, e.g. 20000-20999 ("": any)."""

    listen: str = ""
    account: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    login: str = field(default="", repr=False)
    server: str = ""
    register: bool = True
    tcp: bool = False
    public: str = ""
    allow: tuple[str, ...] = ()
    codecs: tuple[str, ...] = CODECS
    ports: str = ""

    @property
    def user(self) -> str:
        """Who we are at the account's domain."""
        found = ACCOUNT.fullmatch(self.account)
        return found[1] if found else ""

    @property
    def domain(self) -> str:
        """Of the account, with its port; "" without one."""
        return self.account.partition("@")[2]

    @property
    def uplink(self) -> tuple[str, int] | None:
        """Host and port that calls and registration go to; None: calls go straight to whom they are for."""
        return split(self.server or self.domain, 5060) if self.server or self.domain else None

    @property
    def port_range(self) -> tuple[int, int] | None:
        """First and last port for sound; None: any."""
        first, _, last = self.ports.partition("-")
        return (int(first), int(last)) if self.ports else None


def split(address: str, port: int) -> tuple[str, int]:
    """Host and port of "host:port", "host" or "[::1]:port"."""
    found = re.fullmatch(
        r"\[?(.*?)\]?(?::(\d{1,5}))?", address if address.count(":") < 2 or "[" in address else f"[{address}]"
    )
    assert found is not None  # everything matches
    return found[1], int(found[2] or port)


def problems(sip: SipConfig) -> Iterator[str]:
    """What is wrong with the settings, in sentences that name them."""
    if sip.listen and not _is_place(sip.listen):
        yield f"'phone.sip.listen' must be an IP address and a port such as 0.0.0.0:5060, not {sip.listen!r}."
    if sip.account and not ACCOUNT.fullmatch(sip.account):
        yield "'phone.sip.account' must be an address such as sip:100@pbx.example.org."
    if sip.server and not (0 < split(sip.server, 5060)[1] < 65536 and re.fullmatch(r"[\w.:\[\]-]+", sip.server)):
        yield f"'phone.sip.server' must be host:port such as pbx.example.org:5060, not {sip.server!r}."
    if sip.public and not _is_address(sip.public):
        yield f"'phone.sip.public' must be an IP address, not {sip.public!r}."
    for network in sip.allow:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            yield f"'phone.sip.allow' must hold addresses or networks such as 192.0.2.0/24, not {network!r}."
    if not sip.codecs or any(codec not in CODECS for codec in sip.codecs):
        yield f"'phone.sip.codecs' must hold names of {', '.join(CODECS)}."
    if sip.ports:
        found = re.fullmatch(r"(\d{4,5})-(\d{4,5})", sip.ports)
        if not found or not 1024 <= int(found[1]) < int(found[2]) < 65536:
            yield f"'phone.sip.ports' must be a range such as 20000-20999, not {sip.ports!r}."


def _is_place(text: str) -> bool:
    host, port = split(text, -1)
    return _is_address(host) and 0 <= port < 65536


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False
