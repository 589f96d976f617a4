"""The SIP endpoint: runs the user agent with sockets and timers, and a task for each call.

    SipSockets ──data──► UserAgent ──events──► SipCalls, each a task ──► Switchboard
    timer ──────tick───►   │
    SipSockets ◄──to_send──┘

An async context manager: takes calls while it is entered. Leaving it unregisters and waits for the calls, which the
gateway ends before.
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
from vivavoce.realtime.telephony.errors import CallNotAnswered
from vivavoce.realtime.telephony.sip.calls import SipCalls
from vivavoce.realtime.telephony.sip.messages import Remote
from vivavoce.realtime.telephony.sip.registration import Registration
from vivavoce.realtime.telephony.sip.registration import State as RegistrationState
from vivavoce.realtime.telephony.sip.sockets import SipSockets
from vivavoce.realtime.telephony.sip.transactions import SipSender, Transactions
from vivavoce.realtime.telephony.sip.user_agent import UserAgent
from vivavoce.realtime.telephony.switchboard import Switchboard
from vivavoce.realtime.telephony.webhooks.ringing import Decision

log = logging.getLogger(__name__)

RESOLVE_AGAIN: Final = 30.0
"""Seconds until a host name that was not found is resolved again."""

UNREGISTER: Final = 1.0
"""Seconds within which the registrar has to confirm the end of the registration."""

MAX_HOSTS: Final = 1024
"""Remote addresses whose local address is cached."""


class SipEndpoint:
    """One port, at most one account, and all calls through them."""

    def __init__(
        self,
        settings: SipConfig,
        switchboard: Switchboard,
        decide: Callable[[PhoneCall], Awaitable[Decision]],
        clock: Callable[[], float],
    ) -> None:
        """`decide`: the decision about a ringing call; `clock` gives unix seconds."""
        self._settings = settings
        self._sockets = SipSockets(self._receive, self._is_allowed)
        auth = SipDigestAuth(settings.login or settings.user, settings.password) if settings.password else None
        sender = SipSender(Transactions(), self._host_for, 0, settings.user, auth)
        self._user_agent = UserAgent(sender, settings.codecs, self._is_allowed)
        self._calls = SipCalls(self._user_agent, switchboard, decide, clock, settings, self._flush)
        self._tasks = asyncio.TaskGroup()
        self._timer: asyncio.TimerHandle | None = None
        self._server: asyncio.Future[Remote] = asyncio.get_running_loop().create_future()  # of the account
        self._registering: asyncio.Task[None] | None = None
        self._state = RegistrationState.OFF
        self.registered = asyncio.Event()
        """The account is registered."""
        self._off = asyncio.Event()
        self._hosts: dict[str, str] = {}
        self._allowed = [ipaddress.ip_network(network) for network in settings.allow]

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._sockets.port

    async def __aenter__(self) -> Self:
        """Raises `OSError` when the port is taken."""
        await self._tasks.__aenter__()
        try:
            await self._sockets.open(*split(self._settings.listen, 5060), self._tasks)
        except BaseException:
            await self._tasks.__aexit__(None, None, None)  # none of them runs yet; it would wrap the error in a group
            raise
        self._user_agent.sender.port = self.port
        self._calls.tasks = self._tasks
        if self._settings.uplink is not None:
            self._registering = self._tasks.create_task(self._register(*self._settings.uplink))
        log.info("SIP is listening", extra={"port": self.port})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._calls.stop()
        if self._registering is not None:
            self._registering.cancel()
        await self._calls.until_idle()
        await self._unregister()
        if self._timer is not None:
            self._timer.cancel()
        await self._sockets.close()
        await self._tasks.__aexit__(None, None, None)  # an error of the body does not cancel the tasks

    async def dial(self, target: str) -> None:
        """Calls `target`, a number or a SIP URI that may be called, and runs the call to its end. Raises
        `CallNotAnswered`, `Denied`, `OSError` (no network, no such host)."""
        if not target.startswith(("sip:", "sips:")):
            if not self._settings.domain:
                raise CallNotAnswered(404)
            target = f"sip:{target}@{self._settings.domain}"
        if self._settings.uplink is not None:
            remote = await asyncio.shield(self._server)
        else:
            uri = parse_uri(target)
            remote = await self._resolve(uri.host.strip("[]"), uri.port or 5060)
        await self._calls.dial(target, remote)

    # --- between the network and the user agent ----------------------------------------------------------------------

    def _receive(self, data: bytes, source: Remote) -> None:
        try:
            events = self._user_agent.receive(data, source, asyncio.get_running_loop().time())
        except Exception:  # a parser's border: no message may stop the others
            log.exception("a SIP message could not be handled")
            events = []
        for event in events:
            self._calls.handle(event)
        self._flush()

    def _tick(self) -> None:
        self._timer = None
        for event in self._user_agent.tick(asyncio.get_running_loop().time()):
            self._calls.handle(event)
        self._flush()

    def _flush(self) -> None:
        """Sends the user agent's messages, and sets the timer for its next deadline."""
        for data, to in self._user_agent.to_send():
            self._sockets.send(data, to)
        if self._user_agent.registration is not None:
            self._note_state(self._user_agent.registration)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (deadline := self._user_agent.deadline) is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._tick)

    def _note_state(self, registration: Registration) -> None:
        if registration.state is self._state:
            return
        self._state = registration.state
        if self._state is RegistrationState.REGISTERED:
            self.registered.set()
            log.info("registered at the SIP server")
        else:
            self.registered.clear()
        if self._state is RegistrationState.OFF:
            self._off.set()
        if self._state is RegistrationState.FAILED:
            log.warning("SIP registration failed", extra={"status": registration.status})

    # --- the account's server ----------------------------------------------------------------------------------------

    async def _register(self, host: str, port: int) -> None:
        """Resolves the server's name, until that succeeds, and registers there."""
        while not self._server.done():
            try:
                self._server.set_result(await self._resolve(host, port))
            except OSError as error:
                log.warning("the SIP server was not found", extra={"reason": str(error)})
                await asyncio.sleep(RESOLVE_AGAIN)
        if self._settings.register and self._settings.account:
            self._user_agent.sender.now = asyncio.get_running_loop().time()
            registration = Registration(self._user_agent.sender, self._settings.account, self._server.result())
            self._user_agent.registration = registration
            registration.start()
            self._flush()

    async def _unregister(self) -> None:
        registration = self._user_agent.registration
        if registration is None or registration.state is not RegistrationState.REGISTERED:
            return
        self._user_agent.sender.now = asyncio.get_running_loop().time()
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

    def _is_allowed(self, source: Remote) -> bool:
        """Whether requests from there are served."""
        address = ipaddress.ip_address(source.host)
        if self._server.done() and source.host == self._server.result().host:
            return True
        if not self._allowed and self._settings.uplink is None:
            return address.is_loopback
        return any(address in network for network in self._allowed)

    def _host_for(self, remote: Remote) -> str:
        """Our address as seen from `remote`: the one that packets to it leave from, or the public one."""
        if self._settings.public and not ipaddress.ip_address(remote.host).is_private:
            return self._settings.public
        host, _ = split(self._settings.listen, 5060)
        if not ipaddress.ip_address(host).is_unspecified:
            return host
        if remote.host not in self._hosts:
            if len(self._hosts) >= MAX_HOSTS:
                self._hosts.clear()
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect((remote.host, remote.port))  # sends nothing: the system only chooses a route
                self._hosts[remote.host] = probe.getsockname()[0]
        return self._hosts[remote.host]
