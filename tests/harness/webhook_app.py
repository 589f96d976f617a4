"""An application with a webhook for incoming calls: a web server that checks signatures with the official client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.webhooks import RealtimeCallIncomingWebhookEvent

SECRET = "whsec_c2VzYW1lLCBvcGVuIHlvdXJzZWxmIQ=="


@dataclass
class Delivery:
    """One POST: its head in lower case, its body."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Application:
    """`answers`: the statuses it gives, in order; the last one for ever, 0 for none at all."""

    url: str
    client: AsyncOpenAI
    answers: list[int]
    deliveries: list[Delivery] = field(default_factory=list)
    arrived: asyncio.Queue[Delivery] = field(default_factory=asyncio.Queue)

    async def rung(self, seconds: float = 10) -> RealtimeCallIncomingWebhookEvent:
        """The next webhook about a call; its signature is valid."""
        from openai.types.webhooks import RealtimeCallIncomingWebhookEvent

        async with asyncio.timeout(seconds):
            delivery = await self.arrived.get()
        event = self.client.webhooks.unwrap(delivery.body, delivery.headers)
        assert isinstance(event, RealtimeCallIncomingWebhookEvent)
        return event

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            delivery = Delivery(headers, await reader.readexactly(int(headers["content-length"])))
            self.deliveries.append(delivery)
            status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if status == 200:
                self.arrived.put_nowait(delivery)
            if status:
                writer.write(f"HTTP/1.1 {status} .\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def application(answers: Sequence[int] = (200,)) -> AsyncIterator[Application]:
    """Runs one. Set its client's `base_url` to the gateway's before use."""
    from openai import AsyncOpenAI

    async with AsyncOpenAI(api_key="none", webhook_secret=SECRET, max_retries=0) as client:
        app = Application("", client, list(answers))
        async with await asyncio.start_server(app.serve, "127.0.0.1", 0) as server:
            app.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhook?key=1"
            yield app
