"""How an MCP server is reached: to addresses that were checked, within bounds, and nowhere else.

    https://example.org/mcp ──resolve──► every address checked ──► connect to that address, TLS to the name

The name is resolved here, once for each request, and the connection goes to the very address that was checked: a name
that changes in between leads nowhere else. There are no proxies, no redirects to other hosts, and no cookies.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import httpx2

from vivavoce.realtime.config.addresses import check_address, check_url
from vivavoce.realtime.config.errors import BadAddress
from vivavoce.realtime.events import Address

MAX_BYTES: Final = 2 * 2**20
"""Of one response's body."""

CONNECT: Final = 5.0
"""Seconds that resolving and connecting may take, each."""

Resolve = Callable[[str, int], Awaitable[list[str]]]


class Unreachable(httpx2.TransportError):
    """The server is not to be reached, or sent too much; the message may be shown."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Checked(httpx2.AsyncBaseTransport):
    """Sends each request to an address of its host that was checked just now. `status` is that of the last response,
    `trouble` why there was none; both say what layers above may not pass on."""

    def __init__(self, private: bool, tls: ssl.SSLContext, resolve: Resolve = resolve) -> None:
        self._private = private
        self._resolve = resolve
        self._inner = httpx2.AsyncHTTPTransport(verify=tls, trust_env=False, limits=httpx2.Limits(max_connections=8))
        self.status = 0
        self.trouble = ""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return await self._send(request)
        except Unreachable as error:
            self.trouble = str(error)
            raise
        except httpx2.TransportError:
            self.trouble = f"The server {request.headers.get('host', '')} cannot be reached."
            raise

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        address = await self._address(str(request.url), host, request.url.port or 443)
        request.url = request.url.copy_with(host=address)  # the Host header is set already
        request.extensions = {**request.extensions, "sni_hostname": host}
        response = await self._inner.handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Bounded(response.stream, self)
        self.status = response.status_code
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _address(self, url: str, host: str, port: int) -> str:
        try:
            check_url(url, self._private)
            try:
                return str(ipaddress.ip_address(host))
            except ValueError:
                pass
            async with asyncio.timeout(CONNECT):
                addresses = await self._resolve(host, port)
            for address in addresses:
                check_address(address, self._private)
        except BadAddress as error:
            raise Unreachable(str(error)) from None
        except (OSError, TimeoutError, UnicodeError):
            addresses = []
        if not addresses:
            raise Unreachable(f"There is no server called {host}.")
        return addresses[0]


class _Bounded(httpx2.AsyncByteStream):
    """A response's body, cut with an error where it gets too long."""

    def __init__(self, stream: httpx2.AsyncByteStream, owner: Checked) -> None:
        self._stream = stream
        self._owner = owner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for piece in self._stream:
            received += len(piece)
            if received > MAX_BYTES:
                self._owner.trouble = f"The server's answer is longer than {MAX_BYTES} bytes."
                raise Unreachable(self._owner.trouble)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def http_client(address: Address, checked: Checked, deadline: float) -> httpx2.AsyncClient:
    """A client for one server, which is told its secrets; `deadline` in seconds between two pieces of an answer."""
    headers = dict(address.headers)
    if address.authorization:
        known = address.authorization.lower().startswith(("bearer ", "basic "))
        headers["Authorization"] = address.authorization if known else f"Bearer {address.authorization}"
    return httpx2.AsyncClient(
        transport=checked,
        headers=headers,
        timeout=httpx2.Timeout(deadline, connect=CONNECT),
        trust_env=False,
        follow_redirects=False,
        max_redirects=0,
    )
