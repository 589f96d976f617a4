"""The life of a call: admission, building its parts, limits, and freeing everything in the right order.

    reserve ──► Parts ──► Pipeline.run ──► the peer left, a limit was reached, or something broke
                                              └──► closing event ──► dialogue closed ──► transport closed ──► place free

`Calls` owns every call of the process; none outlives it.

What the server adds to a call that is a phone call: its tools, rehearsed words, a length of its own.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.dialogue import Dialogue
from vivavoce.model.errors import DialogueError
from vivavoce.realtime.audio.front_end import FrontEnd
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.monitor.call_log import CALL
from vivavoce.realtime.monitor.latency import TurnLatency
from vivavoce.realtime.monitor.watchdog import Watchdog
from vivavoce.realtime.peers.resumable import ResumableTransport, Since
from vivavoce.realtime.peers.sideband import Peers
from vivavoce.realtime.pipeline import Parts, Pipeline
from vivavoce.realtime.recording.recorder import Recordings
from vivavoce.realtime.recording.taps import Taps
from vivavoce.realtime.session.session import Session
from vivavoce.realtime.session.tool_settings import Tools
from vivavoce.realtime.tools import CallTools
from vivavoce.realtime.transports import CloseReason, Ending, PeerGone, Transport
from vivavoce.realtime.turns.classifiers import Classifiers
from vivavoce.realtime.wire import ServerEvent
from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire.server_events import CallResumable, CallResumed, Closing, Error, Fault, SessionCreated

log = logging.getLogger(__name__)

GOODBYE = 5.0
"""Seconds that freeing a call may take."""


IDLE: Final = Ending(CloseReason.IDLE, "Nobody has said anything for a while, so the call was ended.")

LATE: Final = 0.6
"""Seconds by which the models may be late before no further call is taken. The first call is always taken: a slow
machine is better than none."""


def new_call_id() -> str:
    """A name for a call that nobody guesses."""
    return f"rtc_{secrets.token_hex(12)}"


class Busy(Exception):
    """All places are taken, or one more call would make the others wait; the message may be shown."""


class Ended(Exception):
    """The call is over for a reason of ours."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(str(ending))
        self.ending = ending


@dataclass(frozen=True, slots=True)
class RunningCall:
    """A running call, as somebody finds it who wants to join."""

    peers: Peers
    session: Session

    async def join(self, sideband: Transport, extras: bool) -> None:
        """Serves a sideband that has room reserved, until it leaves or the call ends."""
        (greeting,) = self.session.announce(SessionCreated(session=self.session.view))
        await self.peers.join(sideband, greeting.event, extras)


@dataclass(slots=True)
class _CallSlot:
    """A call. `ending` is set once it has to end; the others when its peer has connected."""

    ending: asyncio.Future[Ending]
    party: RunningCall | None = None
    line: ResumableTransport | None = None
    extension: CallOptions | None = None  # of a phone call

    def end(self, ending: Ending) -> None:
        if not self.ending.done():
            self.ending.set_result(ending)


class Calls:
    """The running calls of one process. Use as an async context manager; leaving it ends all calls."""

    def __init__(self, engine: Engine, config: ServerConfig) -> None:
        self._engine = engine
        self._config = config
        self._tools = Tools(config)
        self._recordings = Recordings(config.recordings, lambda: datetime.now(UTC), engine.about)
        self._tasks = asyncio.TaskGroup()
        self._running: dict[str, _CallSlot] = {}

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for place in self._running.values():
            place.end(Ending(CloseReason.SHUTDOWN, "The server is being stopped."))
        await self._tasks.__aexit__(kind, error, trace)

    def __len__(self) -> int:
        return len(self._running)

    def reserve(self, call_id: str) -> None:
        """Takes a place for a call that is about to connect; `run` gives it back, or `release`. Raises `Busy`."""
        if len(self._running) >= self._config.max_sessions:
            raise Busy(f"All {self._config.max_sessions} lines are taken. Please try again in a moment.")
        if self._running and self._engine.cascade.lateness > LATE:
            raise Busy("The calls under way need all of this machine. Please try again in a moment.")
        self._running[call_id] = _CallSlot(asyncio.get_running_loop().create_future())

    def release(self, call_id: str) -> None:
        """Gives back the place of a call that did not come about."""
        del self._running[call_id]

    def start(self, call_id: str, transport: Transport, session: Session, playout: Playout) -> None:
        """Runs a call that has a place, in the background."""
        self._tasks.create_task(self.run(call_id, transport, session, playout))

    def find(self, call_id: str) -> RunningCall | None:
        """A running call; None when there is none of this id."""
        place = self._running.get(call_id)
        return place.party if place else None

    def resumable(self, token: str) -> tuple[str, ResumableTransport] | None:
        """The running call whose token this is, and its line."""
        lines = ((call_id, place.line) for call_id, place in self._running.items())
        return next(((call_id, line) for call_id, line in lines if line and line.knows(token)), None)

    def resume(self, line: ResumableTransport, transport: Transport, since: Since) -> None:
        """Lets the peer of a running call go on over another connection, in the background."""
        self._tasks.create_task(line.resume(transport, since))

    def hang_up(self, call_id: str) -> bool:
        """Asks a call to end; False when there is none of this id."""
        place = self._running.get(call_id)
        if place is not None:
            place.end(Ending(message="The call was hung up."))
        return place is not None

    async def run(
        self,
        call_id: str,
        transport: Transport,
        session: Session,
        playout: Playout,
        extension: CallOptions | None = None,
    ) -> None:
        """Runs a call that has a place to its end; `extension`: what sets it apart. Nothing of it is left afterwards,
        whatever happened."""
        token = CALL.set(call_id)
        log.info("call started")
        place = self._running[call_id]
        place.extension = extension
        recording = self._recordings.begin(call_id, session, transport.plays)
        taps = recording or Taps()
        session, playout = taps.session(session), taps.playout(playout)
        window = self._config.resume_window if session.extras else 0.0
        line = place.line = ResumableTransport(transport, window, ClientResumption(session, playout))
        peers = Peers(line)
        place.party = RunningCall(peers, session)
        ending = Ending()
        try:
            ending = await self._converse(peers, session, playout, place, taps)
        except DialogueError as error:
            ending = Ending(CloseReason.BUSY, str(error))
        except Exception:  # the border: one call's bug must not end the others
            log.exception("call failed")
            ending = Ending(CloseReason.ERROR, "Something went wrong on the server. The call has ended.")
        finally:
            try:
                await self._say_goodbye(peers, session, ending)
            except Exception:  # the border, once more: nor may its goodbye
                log.exception("goodbye failed")
            finally:
                self.release(call_id)
                if recording is not None:
                    await recording.close(ending.reason.value)
            log.info("call ended", extra={"reason": ending.reason.value})
            CALL.reset(token)

    async def _converse(
        self,
        peers: Peers,
        session: Session,
        playout: Playout,
        place: _CallSlot,
        taps: Taps,
    ) -> Ending:
        extension = place.extension
        dialogue: Dialogue = self._engine.cascade.open()
        if extension is not None:
            dialogue = extension.rehearse(dialogue)
        windows = self._engine.windows(taps)
        classifiers = Classifiers(self._engine.end_of_turn, windows, dialogue.classify_overlap)
        front_end = FrontEnd(cancel=self._cancels(peers))
        patience = self._config.patience, 2 * self._config.tool_timeout + 5  # a turn, and the tool
        watchdog = taps.watchdog(Watchdog(playout, *patience))
        latency = taps.latency(TurnLatency())
        tools = self._tools.runner(extension.tools if extension else None)
        parts = Parts(peers, dialogue, session, playout, windows, classifiers, latency, tools, watchdog, front_end)
        pipeline = Pipeline(parts)
        ending = Ending()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch(pipeline, place))
                tasks.create_task(pipeline.run())
        except* PeerGone:
            pass
        except* Ended as ended:
            ending = _first(ended).ending
        finally:
            async with asyncio.timeout(GOODBYE):
                await dialogue.close()
        return ending

    def _cancels(self, peers: Peers) -> bool:
        """Whether the call's echo is taken out: by default where we know what the loudspeaker plays, and when."""
        wanted = self._config.echo_cancellation
        return wanted == "on" or (wanted == "auto" and peers.plays)

    async def _watch(self, pipeline: Pipeline, place: _CallSlot) -> None:
        """Ends calls that nobody uses, that last too long, or that were hung up."""
        loop = asyncio.get_running_loop()
        pipeline.active_at = began = loop.time()
        longest = (place.extension.longest if place.extension else 0) or self._config.max_duration
        while True:
            idle_left = pipeline.active_at + self._config.idle_timeout - loop.time()
            age_left = began + longest - loop.time()
            if idle_left <= 0:
                raise Ended(IDLE)
            if age_left <= 0:
                message = f"The session hit the maximum duration of {longest:g} seconds."
                raise Ended(Ending(CloseReason.EXPIRED, message))
            try:
                async with asyncio.timeout(min(idle_left, age_left)):
                    ending = await asyncio.shield(place.ending)
            except TimeoutError:
                continue
            raise Ended(ending)

    async def _say_goodbye(self, peers: Peers, session: Session, ending: Ending) -> None:
        try:
            if ending.reason is CloseReason.EXPIRED:
                for told in session.announce(Error(error=_expired(ending.message))):
                    peers.tell(told.event)
            if ending.message:
                for told in session.announce(Closing(reason=ending.reason.value, message=ending.message)):
                    peers.tell(told.event)
        except PeerGone:
            pass  # nobody is there to be told
        async with asyncio.timeout(GOODBYE):
            await peers.close(ending)


def _expired(message: str) -> Fault:
    return Fault(type="invalid_request_error", code="session_expired", message=message, param=None, event_id=None)


def _first(group: BaseExceptionGroup[Ended]) -> Ended:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Ended)
    return error


PLACES: Final = 1500
"""Frames (30 s) after each of which the playout's place is remembered."""


class ClientResumption:
    """Implements `Resumption`: tells the client how to come back, and has the playout play again what it missed."""

    def __init__(self, session: Session, playout: Playout) -> None:
        self._session = session
        self._playout = playout
        self._places: deque[tuple[int, int]] = deque(maxlen=PLACES)  # after each of the last frames that were pulled

    def offer(self, token: str, seconds: float) -> list[bytes]:
        """See `Resumption`."""
        return self._announce(CallResumable(token=token, seconds=seconds))

    def pulled(self) -> None:
        """See `Resumption`."""
        self._places.append(self._playout.place)

    def unheard(self, frames: int) -> None:
        """See `Resumption`. Rewinds the playout by so many frames, as far as it is remembered."""
        for _ in range(min(frames, len(self._places) - 1)):
            self._places.pop()
        if self._places:
            self._playout.rewind(*self._places[-1])
            self._places[-1] = self._playout.place  # the beginning of a word

    def lost(self) -> None:
        """See `Resumption`."""
        self._playout.leave(away=True)

    def resumed(self) -> list[bytes]:
        """See `Resumption`. Returns the event that tells where the call stands."""
        self._playout.leave(away=False)
        number, samples = self._playout.place
        item_id = self._session.item_id(number)
        chars = self._playout.heard(number)[1] if item_id else 0
        ms = samples * 1000 // SAMPLE_RATE if item_id else 0
        view = self._session.view
        return self._announce(CallResumed(session=view, item_id=item_id, heard_chars=chars, audio_end_ms=ms))

    def _announce(self, event: ServerEvent) -> list[bytes]:
        return [wire.encode(action.event) for action in self._session.announce(event)]


@dataclass(frozen=True, slots=True)
class CallOptions:
    """Of one call. `longest`: seconds it may last (0: as the server's settings say)."""

    tools: CallTools
    rehearse: Callable[[Dialogue], Dialogue]
    longest: float = 0.0
