"""Posts webhooks to the address in the settings, until one is taken or all tries are used up.

Name resolution, private addresses, redirects and the length of answers are bounded as for MCP servers
(tools/safe_http.py). An address of this machine itself, such as http://127.0.0.1:8000/, may be named in the settings;
names that lead into a private network are allowed with `phone.webhook_private` only.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
from collections.abc import Callable
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

import httpx2

from vivavoce.realtime.config import is_loopback
from vivavoce.realtime.config.addresses import REFUSED
from vivavoce.realtime.config.phone import PhoneConfig, secret_key
from vivavoce.realtime.events import Address
from vivavoce.realtime.telephony import PhoneCall, webhooks
from vivavoce.realtime.telephony.errors import WebhookUndelivered
from vivavoce.realtime.tools.safe_http import CheckedTransport, Resolve, http_client, resolve

log = logging.getLogger(__name__)

ANSWER: Final = 5.0
"""Seconds that one try may take."""

LOUD: Final = ("httpx2", "httpcore2")
"""Libraries that log whole URLs, which may hold a key."""


class Webhook:
    """The webhook of the application that the settings name."""

    def __init__(self, settings: PhoneConfig, clock: Callable[[], float], resolve: Resolve = resolve) -> None:
        """`clock` gives unix seconds."""
        self._url = settings.webhook
        self._key = secret_key(settings.webhook_secret)
        self._private = settings.webhook_private or is_loopback(urlsplit(settings.webhook).hostname or "")
        self._clock = clock
        self._resolve = resolve
        for library in LOUD:
            logging.getLogger(library).setLevel(logging.CRITICAL)

    async def deliver(self, call: PhoneCall) -> None:
        """Returns when the application has taken the webhook about a ringing call. Raises `WebhookUndelivered`."""
        event_id = f"evt_{secrets.token_hex(12)}"
        body = webhooks.body(event_id, call, self._clock())
        tries = 0
        while True:
            status, problem = await self._try(event_id, body)
            tries += 1
            log.info("webhook", extra={"event": event_id, "status": status, "tries": tries})
            if webhooks.taken(status):
                return
            wait = webhooks.pause(tries, status)
            if wait is None:
                raise WebhookUndelivered(problem)
            await asyncio.sleep(wait)

    async def _try(self, event_id: str, body: bytes) -> tuple[int, str]:
        """The status of the answer, 0 for none, and the problem in words. Raises `WebhookUndelivered` for an address
        that no try will reach."""
        checked = CheckedTransport(self._private, self._tls, self._resolve)
        headers = webhooks.headers(self._key, event_id, body, self._clock())
        try:
            async with (
                asyncio.timeout(ANSWER),
                http_client(Address(self._url), checked, ANSWER) as client,
                client.stream("POST", self._url, content=body, headers=headers) as answer,
            ):
                return answer.status_code, f"the webhook was answered with {answer.status_code}"
        except (httpx2.HTTPError, TimeoutError):
            if checked.failure == REFUSED:
                raise WebhookUndelivered(
                    "the webhook's address is private, and 'phone.webhook_private' is off"
                ) from None
            return 0, checked.failure or f"the webhook was not answered within {ANSWER:g} s"

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()
