"""The address of a client that comes through reverse proxies: what their headers say, as far as they are trusted. Pure.

    client ──► proxy B ──► proxy A ──► us          X-Forwarded-For: client, B       (A is the peer of the socket)
                                                   Forwarded: for=client, for=B     (RFC 7239)

Each proxy appends the address it was called from, so only the end of a list is worth something: it is read from its end
for as long as the address before was that of a trusted proxy. A client may send such headers itself, also of the kind
that the proxy passes on without looking: where both kinds are there and disagree, neither is believed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Final

MAX_HOPS: Final = 32
"""Entries that are read; more than any chain of proxies has."""


def client_address(peer: str, x_forwarded_for: str, forwarded: str, is_proxy: Callable[[str], bool]) -> str:
    """The address of the client, whose limits count: `peer`, unless that is a trusted proxy which names another.
    The headers' values; of a header that came several times all, joined by commas."""
    if not is_proxy(peer):
        return peer
    lists = [_plain(x_forwarded_for), _standard(forwarded)]
    named = {_walk(peer, addresses, is_proxy) for addresses in lists if addresses}
    return named.pop() if len(named) == 1 else peer


def _walk(peer: str, addresses: Iterable[str], is_proxy: Callable[[str], bool]) -> str:
    """The first address that is no trusted proxy, from our end; what is no address ends the walk."""
    client = peer
    for address in addresses:
        if not is_proxy(client) or not address:
            break
        client = address
    return client


def _plain(header: str) -> list[str]:
    """Addresses of X-Forwarded-For, ours first; "" for what is none."""
    return [_address(entry) for entry in reversed(_entries(header))]


def _standard(header: str) -> list[str]:
    """Addresses of Forwarded, ours first; "" for what is none ("unknown", or a made-up name)."""
    found = []
    for entry in reversed(_entries(header)):
        pairs = (pair.partition("=") for pair in entry.split(";"))
        named = [value.strip().strip('"') for name, _, value in pairs if name.strip().lower() == "for"]
        found.append(_address(named[0]) if len(named) == 1 else "")
    return found


def _entries(header: str) -> list[str]:
    return header.split(",")[-MAX_HOPS:] if header.strip() else []


def _address(text: str) -> str:
    """ "192.0.2.1", "192.0.2.1:5060", "2001:db8::1" or "[2001:db8::1]:5060" as an address; "" for anything else."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
