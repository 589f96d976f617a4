"""Our telephone: what the agent decides, done. Sockets, timers, and a task for each call.

    Wires ──data──► Agent ──facts──► Exchange: calls, each a task ──► Switchboard
    timer ──tick──►   │
    Wires ◄──to_send──┘

An async context manager: as long as it is entered, calls are taken. Leaving it takes us off the registrar's list and
waits for the calls, which somebody has told to end.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from aiosipua.auth import SipDigestAuth
from aiosipua.headers import parse_uri

from vivavoce.realtime.config.sip import SipConfig, split
from vivavoce.realtime.telephony import PhoneCall
from vivavoce.realtime.telephony.sip.calls import NotReached, SipCalls
from vivavoce.realtime.telephony.sip.messages import Remote
from vivavoce.realtime.telephony.sip.registration import Registration
from vivavoce.realtime.telephony.sip.registration import State as Registered
from vivavoce.realtime.telephony.sip.sockets import Wires
from vivavoce.realtime.telephony.sip.transactions import Outbox, Transactions
from vivavoce.realtime.telephony.sip.user_agent import UserAgent
from vivavoce.realtime.telephony.switchboard import Switchboard
from vivavoce.realtime.telephony.webhooks.ringing import Decision

log = logging.getLogger(__name__)

FIND_AGAIN: Final = 30.0
"""Seconds until a name that was not found is looked up again."""

UNREGISTER: Final = 1.0
"""Seconds that the registrar gets to let us go."""

MAX_HOSTS: Final = 1024
"""Addresses of others, remembered with the address under which they reach us."""


class SipEndpoint:
    """One port, at most one account, and all calls through them."""

    def __init__(
        self,
        settings: SipConfig,
        switchboard: Switchboard,
        decide: Callable[[PhoneCall], Awaitable[Decision]],
        clock: Callable[[], float],
    ) -> None:
        """`decide`: what becomes of a ringing call; `clock` gives unix seconds."""
        self._settings = settings
        self._wires = Wires(self._received)
        auth = SipDigestAuth(settings.login or settings.user, settings.password) if settings.password else None
        outbox = Outbox(Transactions(), self._host_for, 0, settings.user, auth)
        self._agent = UserAgent(outbox, settings.codecs, self._welcome)
        self._exchange = SipCalls(self._agent, switchboard, decide, clock, settings, self._flush)
        self._tasks = asyncio.TaskGroup()
        self._timer: asyncio.TimerHandle | None = None
        self._uplink: asyncio.Future[Remote] = asyncio.get_running_loop().create_future()
        self._finding: asyncio.Task[None] | None = None
        self._state = Registered.OFF
        self.registered = asyncio.Event()
        """The registrar has us on its list."""
        self._off = asyncio.Event()
        self._hosts: dict[str, str] = {}
        self._allowed = [ipaddress.ip_network(network) for network in settings.allow]

    @property
    def port(self) -> int:
        """Where we listen."""
        return self._wires.port

    async def __aenter__(self) -> Self:
        """Raises `OSError` when the port is taken."""
        await self._tasks.__aenter__()
        try:
            await self._wires.open(*split(self._settings.listen, 5060), self._tasks)
        except BaseException as error:
            await self._tasks.__aexit__(type(error), error, error.__traceback__)
            raise
        self._agent.outbox.port = self.port
        self._exchange.tasks = self._tasks
        if self._settings.uplink is not None:
            self._finding = self._tasks.create_task(self._find_uplink(*self._settings.uplink))
        log.info("SIP is listening", extra={"port": self.port})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exchange.stop()
        if self._finding is not None:
            self._finding.cancel()
        await self._exchange.over()
        await self._unregister()
        if self._timer is not None:
            self._timer.cancel()
        await self._wires.close()
        await self._tasks.__aexit__(None, None, None)  # what happened in the body is not the tasks' business

    async def dial(self, target: str) -> None:
        """Calls `target`, a number or a SIP URI that may be called, and runs the call to its end. Raises `NotReached`,
        `Denied`, `OSError` (no network, no such host)."""
        if not target.startswith(("sip:", "sips:")):
            if not self._settings.domain:
                raise NotReached(404)
            target = f"sip:{target}@{self._settings.domain}"
        if self._settings.uplink is not None:
            to = await asyncio.shield(self._uplink)
        else:
            uri = parse_uri(target)
            to = await self._resolve(uri.host.strip("[]"), uri.port or 5060)
        await self._exchange.dial(target, to)

    # --- between the network and the agent ---------------------------------------------------------------------------

    def _received(self, data: bytes, source: Remote) -> None:
        try:
            facts = self._agent.receive(data, source, asyncio.get_running_loop().time())
        except Exception:  # a parser's border: no message may stop the others
            log.exception("a SIP message could not be worked on")
            facts = []
        for fact in facts:
            self._exchange.happened(fact)
        self._flush()

    def _tick(self) -> None:
        self._timer = None
        for fact in self._agent.tick(asyncio.get_running_loop().time()):
            self._exchange.happened(fact)
        self._flush()

    def _flush(self) -> None:
        """Sends what has to be sent, and sets the alarm for what comes next."""
        for data, to in self._agent.to_send():
            self._wires.send(data, to)
        if self._agent.registration is not None:
            self._follow(self._agent.registration)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (deadline := self._agent.deadline) is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._tick)

    def _follow(self, registration: Registration) -> None:
        if registration.state is self._state:
            return
        self._state = registration.state
        if self._state is Registered.REGISTERED:
            self.registered.set()
            log.info("registered with the SIP server")
        else:
            self.registered.clear()
        if self._state is Registered.OFF:
            self._off.set()
        if self._state is Registered.FAILED:
            log.warning("the SIP server does not register us", extra={"status": registration.status})

    # --- the account's server ----------------------------------------------------------------------------------------

    async def _find_uplink(self, host: str, port: int) -> None:
        """Looks the server up, until it is found, and registers there."""
        while not self._uplink.done():
            try:
                self._uplink.set_result(await self._resolve(host, port))
            except OSError as error:
                log.warning("the SIP server was not found", extra={"reason": str(error)})
                await asyncio.sleep(FIND_AGAIN)
        if self._settings.register and self._settings.account:
            self._agent.outbox.now = asyncio.get_running_loop().time()
            self._agent.registration = Registration(self._agent.outbox, self._settings.account, self._uplink.result())
            self._agent.registration.start()
            self._flush()

    async def _unregister(self) -> None:
        registration = self._agent.registration
        if registration is None or registration.state is not Registered.REGISTERED:
            return
        self._agent.outbox.now = asyncio.get_running_loop().time()
        registration.stop()
        self._flush()
        with suppress(TimeoutError):
            async with asyncio.timeout(UNREGISTER):
                await self._off.wait()

    async def _resolve(self, host: str, port: int) -> Remote:
        family = socket.AF_INET6 if ":" in self._settings.listen.rpartition(":")[0] else socket.AF_INET
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_DGRAM)
        return Remote(str(found[0][4][0]), int(found[0][4][1]), "TCP" if self._settings.tcp else "UDP")

    def _welcome(self, source: Remote) -> bool:
        """Whether somebody there may call us."""
        address = ipaddress.ip_address(source.host)
        if self._uplink.done() and source.host == self._uplink.result().host:
            return True
        if not self._allowed and self._settings.uplink is None:
            return address.is_loopback
        return any(address in network for network in self._allowed)

    def _host_for(self, remote: Remote) -> str:
        """Our address, as seen from there: the one that packets to it leave from, or the public one."""
        if self._settings.public and not ipaddress.ip_address(remote.host).is_private:
            return self._settings.public
        host, _ = split(self._settings.listen, 5060)
        if not ipaddress.ip_address(host).is_unspecified:
            return host
        if remote.host not in self._hosts:
            if len(self._hosts) >= MAX_HOSTS:
                self._hosts.clear()
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect((remote.host, remote.port))  # sends nothing: the system only chooses a way
                self._hosts[remote.host] = probe.getsockname()[0]
        return self._hosts[remote.host]
