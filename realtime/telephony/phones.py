"""All telephony of one gateway: the switchboard, the routes under /phone, and the servers that listen on ports.

    routes     media streams of providers and their webhooks; Asterisk's chan_websocket
    listening  SIP, AudioSocket: while the models are loaded

Each part exists only if the settings ask for it. SIP and its libraries, an extra, are imported only then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

from starlette.routing import BaseRoute, WebSocketRoute

from vivavoce.realtime.admission.admission import Admission
from vivavoce.realtime.config.dial_rules import Dialling
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.config.sip import SipConfig, split
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.telephony.asterisk.audiosocket_server import AudioSocketServer
from vivavoce.realtime.telephony.asterisk.chan_websocket_server import ChanWebSocketServer
from vivavoce.realtime.telephony.call_limits import CallLimits, Limits
from vivavoce.realtime.telephony.errors import CannotListen, SipNotInstalled
from vivavoce.realtime.telephony.providers.routes import MediaStreamRoutes
from vivavoce.realtime.telephony.switchboard import Switchboard
from vivavoce.realtime.telephony.webhooks.post import Webhook
from vivavoce.realtime.telephony.webhooks.ringing import Ringing

if TYPE_CHECKING:  # see `_sip_endpoint`
    from vivavoce.realtime.telephony.sip.endpoint import SipEndpoint

MANY: Final = 10**6
"""Phone calls at the same time, where the server's own limit is the only one."""


class Phones:
    """Made once, before the models are loaded."""

    def __init__(self, admission: Admission, settings: PhoneConfig, clock: Callable[[], float]) -> None:
        """`clock` gives unix seconds."""
        limits = Limits(settings.calls or MANY, settings.calls_per_caller, settings.calls_per_minute)
        self.guard = CallLimits(limits)
        self.dialling = Dialling(settings.outbound, settings.targets.values())
        self.ringing = Ringing(settings, Webhook(settings, clock).deliver if settings.webhook else None)
        self.switchboard = Switchboard(admission, settings, clock, self.guard)
        self.sip: SipEndpoint | None = None
        self._settings = settings
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        """The routes under /phone."""
        routes = MediaStreamRoutes(self.switchboard, self._clock).routes()
        if password := self._settings.asterisk_password:
            asterisk = ChanWebSocketServer(self.switchboard, self.ringing, password)
            routes.append(WebSocketRoute("/asterisk", asterisk.serve))
        return routes

    @asynccontextmanager
    async def listening(self, engine: Engine) -> AsyncIterator[None]:
        """Takes phone calls until left. (`Calls` ends them by then; the adapters wait for theirs.) Raises
        `SetupError`."""
        async with AsyncExitStack() as adapters:
            if self._settings.enabled:
                await self.switchboard.prerecord(engine)
            if self._settings.sip.listen:
                sip = self._sip_endpoint()
                with _named("phone.sip.listen", self._settings.sip.listen):
                    self.sip = await adapters.enter_async_context(sip)
                self.guard.claim(_own_addresses(self._settings.sip, self.sip.port))
            if self._settings.audiosocket:
                audiosocket = AudioSocketServer(self.switchboard, self.ringing, self._settings)
                with _named("phone.audiosocket", self._settings.audiosocket):
                    await adapters.enter_async_context(audiosocket)
            adapters.callback(self.ringing.close)
            yield

    def _sip_endpoint(self) -> SipEndpoint:
        """Raises `SipNotInstalled`."""
        try:
            from vivavoce.realtime.telephony.sip.endpoint import SipEndpoint
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in ("aiosipua", "aiortp"):
                raise
            raise SipNotInstalled from error
        return SipEndpoint(self._settings.sip, self.switchboard, self.ringing.decide, self._clock)


@contextmanager
def _named(setting: str, address: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotListen(f"'{setting}' is {address}, where nobody can listen: {error.strerror}.") from error


def _own_addresses(sip: SipConfig, port: int) -> list[str]:
    """Our addresses, as the headers of a call from this server itself would name them."""
    host, _ = split(sip.listen, port)
    public = [f"{sip.public}:{port}"] if sip.public else []
    return [f"{host}:{port}", *public, *([f"{sip.user}@{sip.domain}"] if sip.domain else [])]
