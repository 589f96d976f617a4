"""All telephony of one gateway: the switchboard, the routes under /phone, and what listens elsewhere.

    routes     media streams of providers and their webhooks; Asterisk's WebSocket
    listening  SIP, AudioSocket: as long as the models are there

Nothing of it is there unless the settings ask for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Final

from starlette.routing import BaseRoute, WebSocketRoute

from vivavoce.realtime.admission.admission import Admission
from vivavoce.realtime.config.dial_rules import Dialling
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.config.sip import SipConfig, split
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.telephony.asterisk.audiosocket_server import AudioSocketServer
from vivavoce.realtime.telephony.asterisk.websocket_server import AsteriskSocket
from vivavoce.realtime.telephony.call_limits import CallLimits, Limits
from vivavoce.realtime.telephony.providers.routes import Streams
from vivavoce.realtime.telephony.sip.endpoint import SipEndpoint
from vivavoce.realtime.telephony.switchboard import Switchboard
from vivavoce.realtime.telephony.webhooks.post import Webhook
from vivavoce.realtime.telephony.webhooks.ringing import Ringing

MANY: Final = 10**6
"""Phone calls at the same time, where the server's own limit is the only one."""


class CannotListen(Exception):
    """A port of the settings cannot be listened on; the message says which and why."""


class Phones:
    """Made once, before the models are loaded."""

    def __init__(self, door: Admission, settings: PhoneConfig, clock: Callable[[], float]) -> None:
        """`clock` gives unix seconds."""
        limits = Limits(settings.calls or MANY, settings.calls_per_caller, settings.calls_per_minute)
        self.guard = CallLimits(limits)
        self.dialling = Dialling(settings.outbound, settings.targets.values())
        self.ringing = Ringing(settings, Webhook(settings, clock).tell if settings.webhook else None)
        self.switchboard = Switchboard(door, settings, clock, self.guard)
        self.sip: SipEndpoint | None = None
        self._settings = settings
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        """What is under /phone; each adapter adds its own where it is wanted."""
        routes = Streams(self.switchboard, self._clock).routes()
        if password := self._settings.asterisk_password:
            asterisk = AsteriskSocket(self.switchboard, self.ringing, password)
            routes.append(WebSocketRoute("/asterisk", asterisk.serve))
        return routes

    @asynccontextmanager
    async def listening(self, engine: Engine) -> AsyncIterator[None]:
        """Takes phone calls until left. (All calls have been told to end by then; adapters wait for theirs.) Raises
        `CannotListen`."""
        async with AsyncExitStack() as adapters:
            if self._settings.enabled:
                await self.switchboard.rehearse(engine)
            if self._settings.sip.listen:
                sip = SipEndpoint(self._settings.sip, self.switchboard, self.ringing.decide, self._clock)
                with _named("phone.sip.listen", self._settings.sip.listen):
                    self.sip = await adapters.enter_async_context(sip)
                self.guard.claim(_own(self._settings.sip, self.sip.port))
            if self._settings.audiosocket:
                audiosocket = AudioSocketServer(self.switchboard, self.ringing, self._settings)
                with _named("phone.audiosocket", self._settings.audiosocket):
                    await adapters.enter_async_context(audiosocket)
            adapters.callback(self.ringing.close)
            yield


@contextmanager
def _named(setting: str, address: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotListen(f"'{setting}' is {address}, where nobody can listen: {error.strerror}.") from error


def _own(sip: SipConfig, port: int) -> list[str]:
    """Our addresses, as the headers of a call that comes from ourselves would name them."""
    host, _ = split(sip.listen, port)
    public = [f"{sip.public}:{port}"] if sip.public else []
    return [f"{host}:{port}", *public, *([f"{sip.user}@{sip.domain}"] if sip.domain else [])]
