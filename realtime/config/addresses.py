"""Network addresses that a client may make the server connect to: a guard against request forgery (SSRF). Pure.

A client names the URL of a tool's server, and our server connects to it. Without a check, every client could reach what
this machine can reach: the router, a database, a cloud's metadata service.
"""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from vivavoce.realtime.config.errors import BadAddress

MAX_URL: Final = 2_048

_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses that a gateway turns into the IPv4 address in their last 32 bits."""


REFUSED: Final = "Servers on private addresses are not reached, unless the setting 'server.private_tools' allows it."


def is_loopback(host: str) -> bool:
    """Whether a host name or address can mean nothing but this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(url: str, private: bool) -> str:
    """The host that `url` names. `private`: addresses of this machine and its networks are allowed.

    A name is not resolved here: the caller checks the addresses that it resolves to. Raises `BadAddress`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or port == 0 or len(url) > MAX_URL:
        raise BadAddress("Expected an http or https URL, such as https://example.org/mcp.")
    if parts.username is not None or parts.password is not None:
        raise BadAddress("The URL must not contain a user name or password; use 'authorization'.")
    if not private and (host == "localhost" or host.endswith(".localhost")):
        raise BadAddress(REFUSED)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    check_address(str(address), private)
    return host


def check_address(address: str, private: bool) -> None:
    """Raises `BadAddress` for an IP address that must not be connected to."""
    if private:
        return
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip.sixtofour is not None:
            ip = ip.sixtofour
        elif ip in _TRANSLATED:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    if not ip.is_global or ip.is_multicast:
        raise BadAddress(REFUSED)


def shown(url: str) -> str:
    """The URL without query and fragment, which may hold a secret: for messages and logs."""
    return url.partition("#")[0].partition("?")[0]
