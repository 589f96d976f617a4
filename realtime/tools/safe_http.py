"""HTTP to servers that clients name (MCP, webhooks), safe against request forgery (SSRF): only checked addresses,
only bounded answers.

    https://example.org/mcp ──resolve──► every address checked ──► connect to that address, TLS to the name

Answers are bounded by what they are when they are read: compressed ones, of which a megabyte may stand for a thousand,
are refused. So the count of the bytes that arrive is that of the bytes that are kept; event streams are counted, too.

The name is resolved once for each request, and the connection goes to the very address that was checked, so a name that
changes in between (DNS rebinding) leads nowhere else. There are no proxies, redirects to other hosts, or cookies.
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
from vivavoce.realtime.tools import ToolError

MAX_BYTES: Final = 2 * 2**20
"""Of the body of one response."""

MAX_TOTAL: Final = 4 * MAX_BYTES
"""Of all responses together that one transport receives: pages of a list, streams that are opened again."""

CONNECT_TIMEOUT: Final = 5.0
"""Seconds that resolving and connecting may take, each."""

Resolve = Callable[[str, int], Awaitable[list[str]]]


class Unreachable(ToolError, httpx2.TransportError):
    """The server cannot be reached, or sends too much."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class CheckedTransport(httpx2.AsyncBaseTransport):
    """Sends each request to an address of its host that has just been checked. `status` is that of the last response,
    `failure` the reason why there was none; client libraries above may hide both."""

    def __init__(self, private: bool, tls: ssl.SSLContext, resolve: Resolve = resolve) -> None:
        self._private = private
        self._resolve = resolve
        self._inner = httpx2.AsyncHTTPTransport(verify=tls, trust_env=False, limits=httpx2.Limits(max_connections=8))
        self.status = 0
        self.failure = ""
        self.received = 0
        """Bytes of all bodies so far."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return await self._send(request)
        except Unreachable as error:
            self.failure = str(error)
            raise
        except httpx2.TransportError:
            self.failure = f"The server {request.headers.get('host', '')} cannot be reached."
            raise

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        address = await self._address(str(request.url), host, request.url.port or 443)
        request.url = request.url.copy_with(host=address)  # the Host header is set already
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.headers["Accept-Encoding"] = "identity"  # whatever the client of the API set
        response = await self._inner.handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        self.status = response.status_code
        if response.headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
            await response.stream.aclose()
            raise Unreachable("The server's answer is compressed, which it was asked not to be.")
        response.stream = _Bounded(response.stream, self)
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
            async with asyncio.timeout(CONNECT_TIMEOUT):
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
    """The body of a response; raises `Unreachable` where it gets too long."""

    def __init__(self, stream: httpx2.AsyncByteStream, owner: CheckedTransport) -> None:
        self._stream = stream
        self._owner = owner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for piece in self._stream:
            received += len(piece)
            self._owner.received += len(piece)
            if received > MAX_BYTES or self._owner.received > MAX_TOTAL:
                bound = MAX_BYTES if received > MAX_BYTES else MAX_TOTAL
                self._owner.failure = f"The server's answer is longer than {bound} bytes."
                raise Unreachable(self._owner.failure)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def http_client(address: Address, checked: CheckedTransport, deadline: float) -> httpx2.AsyncClient:
    """A client for one server, which gets its secrets; `deadline`: seconds between two pieces of an answer."""
    headers = dict(address.headers)
    if address.authorization:
        known = address.authorization.lower().startswith(("bearer ", "basic "))
        headers["Authorization"] = address.authorization if known else f"Bearer {address.authorization}"
    return httpx2.AsyncClient(
        transport=checked,
        headers=headers,
        timeout=httpx2.Timeout(deadline, connect=CONNECT_TIMEOUT),
        trust_env=False,
        follow_redirects=False,
        max_redirects=0,
    )
