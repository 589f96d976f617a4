"""The switchboard: makes every phone call, over any wire, a session, or declines it when all call slots are taken.

    admit ──► a call slot, or `Denied`       connect ──► greeting, session, until one side hangs up
                                             decline ──► busy prompt, hang-up
    take = admit, then connect or decline

Adapters call it. Nothing of a call is left when `take`, `connect` or `decline` return.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from vivavoce.model.errors import DialogueError
from vivavoce.realtime.admission.admission import Admission
from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.call import CallOptions
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.session.opening import NewSession, SessionRequest
from vivavoce.realtime.telephony import PhoneCall, PhoneConnection
from vivavoce.realtime.telephony.prerecorded import PrerecordedDialogue, Prerecording
from vivavoce.realtime.telephony.tools import PhoneTools, offered
from vivavoce.realtime.telephony.transport import PhoneTransport, play
from vivavoce.realtime.transports import CloseReason, Ending, PeerGone

log = logging.getLogger(__name__)

LONGEST_BUSY: Final = 20.0
"""Seconds that the busy prompt may take."""


class Guard(Protocol):
    """Limits of phone calls beyond those of all sessions."""

    def admit(self, call: PhoneCall, now: float) -> None:
        """Counts a call in, at `now` on the event loop's clock. Raises `Denied`."""

    def release(self, call: PhoneCall) -> None:
        """Counts out a call that `admit` let in."""


class Switchboard:
    """All phone calls of one process."""

    def __init__(
        self, admission: Admission, settings: PhoneConfig, clock: Callable[[], float], guard: Guard | None = None
    ) -> None:
        """`clock` gives unix seconds."""
        self.settings = settings
        self._admission = admission
        self._clock = clock
        self._guard = guard
        self._prompts = Prerecording()
        self._running: dict[str, PhoneTransport] = {}
        self._awaited: dict[str, asyncio.Future[bool]] = {}

    @property
    def voice(self) -> str:
        """The voice of phone calls."""
        return self.settings.voice or self._admission.defaults.voice

    async def prerecord(self, engine: Engine) -> None:
        """Synthesizes the prompts ahead of the calls. If that fails, each call synthesizes its own."""
        settings, notice = self.settings, self._admission.defaults.notice or ""
        try:
            dialogue = engine.cascade.open()
            try:
                prompts = (settings.greeting, settings.outgoing_greeting, settings.busy, settings.goodbye, notice)
                await self._prompts.record(dialogue, prompts, self.voice)
            finally:
                await dialogue.close()
        except DialogueError as error:
            log.warning("prompts could not be prerecorded", extra={"reason": str(error)})

    # --- admission and running ---------------------------------------------------------------------------------------

    def admit(self, call: PhoneCall) -> None:
        """Takes a call slot; `connect` or `dismiss` gives it back. Raises `Denied`."""
        now = asyncio.get_running_loop().time()
        self._admission.ready()
        if self._guard is not None:
            self._guard.admit(call, now)
        try:
            self._admission.reserve(call.id, f"phone {call.caller}", now)
        except Denied:
            if self._guard is not None:
                self._guard.release(call)
            raise

    def dismiss(self, call: PhoneCall) -> None:
        """Gives back the slot of a call that was admitted and not connected."""
        self._announce(call, running=False)
        self._admission.ready().release(call.id)
        if self._guard is not None:
            self._guard.release(call)

    def check(self, config: Mapping[str, Any]) -> None:
        """Checks the session configuration that an application sends with `accept`. Raises `Denied`."""
        self._session(None, config)

    async def connect(
        self, call: PhoneCall, connection: PhoneConnection, config: Mapping[str, Any] | None = None
    ) -> None:
        """Runs an admitted call to its end. `config`: the session object of the application that accepted it, which
        then starts the conversation itself; None: instructions, voice, greeting and tools of the settings.

        Raises `Denied` for a configuration that cannot be used, and closes the connection then, too."""
        goodbye = self._prompts.audio(self.settings.goodbye, self.voice)
        transport = PhoneTransport(connection, self.settings, self._clock, goodbye)
        try:
            session = self._session(call, config)
        except Denied:
            self.dismiss(call)
            await connection.close(Ending(CloseReason.ERROR))
            raise
        longest = self.settings.max_duration
        tools = PhoneTools(transport, self.settings)
        options = CallOptions(tools, lambda dialogue: PrerecordedDialogue(dialogue, self._prompts), longest)
        self._running[call.id] = transport
        self._announce(call, running=True)
        log.info("phone call", extra={"dialect": call.dialect, "direction": call.direction})
        try:
            await self._admission.ready().run(call.id, transport, session, options)
        finally:
            del self._running[call.id]
            if self._guard is not None:
                self._guard.release(call)

    async def decline(self, connection: PhoneConnection) -> None:
        """Plays the busy prompt, if there is one, and hangs up; at once while the server is being stopped."""
        prompt = self._prompts.audio(self.settings.busy, self.voice)
        try:
            if len(prompt) and not self._admission.leaving:
                await play(connection, prompt, LONGEST_BUSY)
        except (PeerGone, TimeoutError):
            pass  # the caller hung up before its end
        finally:
            await connection.close(Ending(CloseReason.BUSY))

    async def take(self, call: PhoneCall, connection: PhoneConnection, config: Mapping[str, Any] | None = None) -> None:
        """Runs an answered call to its end: connects it, or declines it when there is no call slot."""
        try:
            self.admit(call)
        except Denied as denied:
            log.info("phone call declined", extra={"dialect": call.dialect, "reason": denied.code})
            self._announce(call, running=False)
            await self.decline(connection)
        else:
            await self.connect(call, connection, config)

    # --- running calls -----------------------------------------------------------------------------------------------

    def find(self, call_id: str) -> PhoneTransport | None:
        """The transport of a running phone call, to transfer it, send DTMF, or hang up after the goodbye.
        (`Calls.hang_up` hangs up at once.)"""
        return self._running.get(call_id)

    async def until_running(self, call_id: str, seconds: float) -> bool:
        """Waits until a call that is being answered runs, so that sidebands can join it; False when it will not, or not
        in time."""
        awaited = self._awaited[call_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                return call_id in self._running or await awaited
        except TimeoutError:
            return False
        finally:
            del self._awaited[call_id]

    def _announce(self, call: PhoneCall, *, running: bool) -> None:
        awaited = self._awaited.get(call.id)
        if awaited is not None and not awaited.done():
            awaited.set_result(running)

    def _session(self, call: PhoneCall | None, config: Mapping[str, Any] | None) -> NewSession:
        """Raises `Denied`."""
        settings, defaults = self.settings, replace(self._admission.defaults, voice=self.voice)
        if config is None:
            config = {"type": "realtime", "instructions": settings.instructions}
            words = settings.outgoing_greeting if call and call.direction == "outgoing" else settings.greeting
            tools = replace(defaults.tools, offered=(*defaults.tools.offered, *offered(settings)))
            defaults = replace(defaults, tools=tools, greeting=words)
        return self._admission.session(True, SessionRequest(config=config, extras=True), defaults)
