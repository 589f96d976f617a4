"""How peers find us: the settings of ICE (RFC 8445)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server, such as urls=("turn:example.org:3478?transport=udp",)."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class IceSettings:
    """How peers find us. No servers: only direct connections; nobody outside is ever asked.

    `loopback`: offer 127.0.0.1 too, for a server that listens there."""

    servers: tuple[IceServer, ...] = ()
    loopback: bool = False
