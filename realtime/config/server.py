"""The settings of the gateway: the table `[server]`."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from vivavoce.realtime.config.addresses import is_loopback
from vivavoce.realtime.config.sip import Network

ToolName = Literal["time", "timers", "arithmetic", "notes", "all"]

Origin = Annotated[str, Meta(pattern=r"\A(\*|https?://[^/?#\s]+)\Z", title="origins such as https://example.org, or *")]
Key = Annotated[
    str,
    Meta(
        pattern=r"\A(?!ek_)[!-~]{16,}\Z",  # what a header can carry (RFC 6750); "ek_" begins client secrets
        title="keys of at least 16 ASCII characters, without white space and not beginning with ek_",
    ),
]
IceUrl = Annotated[str, Meta(pattern=r"\A(stuns?|turns?):\S+\Z", title="URLs such as stun:example.org:3478")]


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The gateway and the limits of its calls."""

    host: Annotated[
        str,
        Meta(description="Address to listen on; one that other machines can reach needs `keys`."),
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8790
    keys: Annotated[
        tuple[Key, ...],
        Meta(description="API keys; a client must show one. Without keys only a loopback `host` is allowed."),
    ] = field(default=(), repr=False)
    origins: Annotated[
        tuple[Origin, ...],
        Meta(
            description="Origins of web pages, besides our own page, that may use the API from a browser; `*` for all."
        ),
    ] = ()
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Meta(
            description="Reverse proxies whose `X-Forwarded-For` or `Forwarded` header tells the address "
            "of the client, for limits of one address."
        ),
    ] = ()
    max_sessions: Annotated[int, Meta(ge=1, le=1000, description="Calls at the same time.")] = 4
    idle_timeout: Annotated[
        float, Meta(ge=5, le=86400, description="Seconds without sound or message after which a call ends.")
    ] = 300.0
    max_duration: Annotated[float, Meta(ge=10, le=86400, description="Seconds that a call may last.")] = 3600.0
    sessions_per_minute: Annotated[
        int, Meta(ge=1, le=100_000, description="Sessions that one network address may open per minute.")
    ] = 60
    responses_per_minute: Annotated[
        int, Meta(ge=1, le=10_000, description="Responses that one session may request per minute.")
    ] = 60
    resume_window: Annotated[
        float,
        Meta(ge=0, le=600, description="Seconds that a call waits for a client whose connection was lost; 0: none."),
    ] = 30.0
    ice_servers: Annotated[tuple[IceUrl, ...], Meta(description="STUN and TURN servers for WebRTC.")] = ()
    ice_username: Annotated[str, Meta(description="User name at the TURN servers.")] = ""
    ice_credential: Annotated[str, Meta(description="Password at the TURN servers.")] = field(default="", repr=False)
    tls_certificate: Annotated[
        str, Meta(description="PEM file of the certificate for https; needs `tls_key`. Empty: plain http.")
    ] = ""
    tls_key: Annotated[str, Meta(description="PEM file of the certificate's private key.")] = ""
    tools: Annotated[tuple[ToolName, ...], Meta(description="Built-in tools of every session.")] = ()
    notes: Annotated[str, Meta(description="File of the tool `notes`. Empty: `notes.json` in `home`.")] = ""
    private_tools: Annotated[bool, Meta(description="Allows MCP servers on private network addresses.")] = False
    tool_timeout: Annotated[float, Meta(ge=1, le=600, description="Seconds that a tool call may take.")] = 30.0
    tool_filler: Annotated[
        str,
        Meta(description="Words spoken when a tool call takes long. Empty: none."),
    ] = "One moment, I'm looking that up."
    patience: Annotated[
        float,
        Meta(ge=2, le=600, description="Seconds without output of the model after which a reply is given up."),
    ] = 20.0
    apology: Annotated[
        str,
        Meta(description="Words spoken when a reply is given up. Empty: none."),
    ] = "Sorry, something went wrong. Please say that again."
    echo_cancellation: Annotated[
        Literal["auto", "on", "off"],
        Meta(description="`auto`: in calls whose loudspeaker the server paces (WebRTC)."),
    ] = "auto"
    recordings: Annotated[str, Meta(description="Folder for recordings of all calls. Empty: no recordings.")] = ""
    recording_notice: Annotated[
        str,
        Meta(description="Words that a recorded call begins with. Empty: none."),
    ] = "This call is being recorded."

    @property
    def loopback(self) -> bool:
        """Only this machine can reach the server."""
        return is_loopback(self.host)

    def is_proxy(self, address: str) -> bool:
        """Whether an IP address is that of a trusted proxy."""
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        ip = getattr(ip, "ipv4_mapped", None) or ip
        return any(ip in ipaddress.ip_network(proxy) for proxy in self.trusted_proxies)
