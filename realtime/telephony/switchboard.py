"""The switchboard: every phone call, over whatever wire, becomes a session here, or hears that there is no place.

    admit ──► a place, or `Denied`          connect ──► greeting, session, until one side hangs up
                                            decline ──► the busy line, and the end
    take = admit, then connect or decline

Adapters call it; nothing of a call is left when `take`, `connect` or `decline` return.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

import numpy as np

from vivavoce.codecs.audio import FRAME, Samples
from vivavoce.model.errors import DialogueError
from vivavoce.realtime.admission.admission import Admission
from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.call import CallOptions
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.session.opening import NewSession, SessionRequest
from vivavoce.realtime.telephony import PhoneCall, PhoneLine
from vivavoce.realtime.telephony.prerecorded import PrerecordedDialogue, Prerecording
from vivavoce.realtime.telephony.tools import PhoneTools, offered
from vivavoce.realtime.telephony.transport import PhoneTransport
from vivavoce.realtime.transports import CloseReason, Ending, PeerGone
from vivavoce.realtime.transports.queues import Discard

log = logging.getLogger(__name__)

LONGEST_BUSY: Final = 20.0
"""Seconds that the busy line may take."""


class Guard(Protocol):
    """Limits of phone calls beyond those of all sessions."""

    def admit(self, call: PhoneCall, now: float) -> None:
        """Lets a call in, at `now` on the event loop's clock. Raises `Denied`."""

    def left(self, call: PhoneCall) -> None:
        """A call that was let in is over, or never came about."""


class Switchboard:
    """All phone calls of one process."""

    def __init__(
        self, door: Admission, settings: PhoneConfig, clock: Callable[[], float], guard: Guard | None = None
    ) -> None:
        """`clock` gives unix seconds."""
        self.settings = settings
        self._door = door
        self._clock = clock
        self._guard = guard
        self._rehearsal = Prerecording()
        self._lines: dict[str, PhoneTransport] = {}
        self._expected: dict[str, asyncio.Future[bool]] = {}

    @property
    def voice(self) -> str:
        """Which speaks on the telephone."""
        return self.settings.voice or self._door.defaults.voice

    async def rehearse(self, engine: Engine) -> None:
        """Makes the words known beforehand; failing that, they are made in each call."""
        settings, notice = self.settings, self._door.defaults.notice or ""
        try:
            dialogue = engine.cascade.open()
            try:
                lines = (settings.greeting, settings.outgoing_greeting, settings.busy, notice)
                await self._rehearsal.rehearse(dialogue, lines, self.voice)
            finally:
                await dialogue.close()
        except DialogueError as error:
            log.warning("greetings could not be made ready", extra={"reason": str(error)})

    # --- a call's way in ---------------------------------------------------------------------------------------------

    def admit(self, call: PhoneCall) -> None:
        """Takes a place for a call; `connect` gives it back, or `dismiss`. Raises `Denied`."""
        now = asyncio.get_running_loop().time()
        self._door.ready()
        if self._guard is not None:
            self._guard.admit(call, now)
        try:
            self._door.reserve(call.id, f"phone {call.caller}", now)
        except Denied:
            if self._guard is not None:
                self._guard.left(call)
            raise

    def dismiss(self, call: PhoneCall) -> None:
        """Gives back the place of a call that was admitted and not connected."""
        self._tell(call, begun=False)
        self._door.ready().release(call.id)
        if self._guard is not None:
            self._guard.left(call)

    def check(self, config: Mapping[str, Any]) -> None:
        """Whether a call could have a session of this configuration (as `accept` brings it). Raises `Denied`."""
        self._session(None, config)

    async def connect(self, call: PhoneCall, line: PhoneLine, config: Mapping[str, Any] | None = None) -> None:
        """Runs an admitted call to its end. `config`: the session object of an application that has accepted it, which
        then speaks first by itself; None: the settings' own instructions, voice, greeting and tools.

        Raises `Denied` for a configuration that cannot be used; the line is closed then, too."""
        transport = PhoneTransport(line, self.settings, self._clock)
        try:
            session = self._session(call, config)
        except Denied:
            self.dismiss(call)
            await line.close(Ending(CloseReason.ERROR))
            raise
        longest = self.settings.max_duration
        tools = PhoneTools(transport, self.settings)
        extension = CallOptions(tools, lambda dialogue: PrerecordedDialogue(dialogue, self._rehearsal), longest)
        self._lines[call.id] = transport
        self._tell(call, begun=True)
        log.info("phone call", extra={"dialect": call.dialect, "direction": call.direction})
        try:
            await self._door.ready().run(call.id, transport, session, extension)
        finally:
            del self._lines[call.id]
            if self._guard is not None:
                self._guard.left(call)

    async def decline(self, line: PhoneLine) -> None:
        """Says that all lines are busy, if there are words for it, and hangs up."""
        sound = self._rehearsal.sound(self.settings.busy, self.voice)
        try:
            if len(sound):
                await _recite(line, sound)
        except (PeerGone, TimeoutError):
            pass  # the caller did not want to hear it to its end
        finally:
            await line.close(Ending(CloseReason.BUSY))

    async def take(self, call: PhoneCall, line: PhoneLine, config: Mapping[str, Any] | None = None) -> None:
        """Runs an answered call to its end: connected, or declined where there is no place."""
        try:
            self.admit(call)
        except Denied as denied:
            log.info("phone call declined", extra={"dialect": call.dialect, "reason": denied.code})
            self._tell(call, begun=False)
            await self.decline(line)
        else:
            await self.connect(call, line, config)

    # --- a running call ----------------------------------------------------------------------------------------------

    def find(self, call_id: str) -> PhoneTransport | None:
        """The line of a running phone call: `transfer`, `press`, `hang_up`. (`Calls.hang_up` hangs up at once.)"""
        return self._lines.get(call_id)

    async def begun(self, call_id: str, seconds: float) -> bool:
        """Waits until a call that is being answered runs, so that others can join it; False when it did not come about
        in time, or will not."""
        expected = self._expected[call_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                return call_id in self._lines or await expected
        except TimeoutError:
            return False
        finally:
            del self._expected[call_id]

    def _tell(self, call: PhoneCall, *, begun: bool) -> None:
        expected = self._expected.get(call.id)
        if expected is not None and not expected.done():
            expected.set_result(begun)

    def _session(self, call: PhoneCall | None, config: Mapping[str, Any] | None) -> NewSession:
        """Raises `Denied`."""
        settings, house = self.settings, replace(self._door.defaults, voice=self.voice)
        if config is None:
            config = {"type": "realtime", "instructions": settings.instructions}
            words = settings.outgoing_greeting if call and call.direction == "outgoing" else settings.greeting
            tools = replace(house.tools, offered=(*house.tools.offered, *offered(settings)))
            house = replace(house, tools=tools, greeting=words)
        return self._door.session(True, SessionRequest(config=config, extras=True), house)


async def _recite(line: PhoneLine, sound: Samples) -> None:
    """Plays `sound` on a line. Raises `PeerGone`, `TimeoutError`."""
    done = asyncio.Event()
    at = 0

    def pull() -> Samples:
        nonlocal at
        frame = sound[at : at + FRAME]
        at += FRAME
        if at >= len(sound) + FRAME:
            done.set()
        return frame if len(frame) == FRAME else _padded(frame)

    gone: PeerGone | None = None
    try:
        async with asyncio.timeout(LONGEST_BUSY), asyncio.TaskGroup() as tasks:
            playing = [tasks.create_task(line.receive(Discard())), tasks.create_task(_speak(line, pull))]
            await done.wait()
            for task in playing:
                task.cancel()
    except* PeerGone as left:
        gone = next(error for error in left.exceptions if isinstance(error, PeerGone))
    if gone is not None:
        raise gone


async def _speak(line: PhoneLine, pull: Callable[[], Samples]) -> None:
    await line.connected()
    await line.speak(pull)


def _padded(frame: Samples) -> Samples:
    return np.concatenate((frame, np.zeros(FRAME - len(frame), np.float32)))
