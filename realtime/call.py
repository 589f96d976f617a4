"""The life of a call: its slot, its parts, its limits, its end.

    reserve ──► Call ──run──► RUNNING ──► the peer left, a limit was reached, or a failure
                                            └──► LEAVING: closing event, transport closed, dialogue closed ──► forgotten

`Call` owns the parts of one call and frees them in the right order; `Calls` owns every call of the process, and none
outlives it. A slot is free again when its call is leaving: its parts are freed afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from types import TracebackType
from typing import Final, Self

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.dialogue import Dialogue
from vivavoce.model.errors import DialogueError
from vivavoce.realtime.audio.front_end import FrontEnd
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.decoding import AttachmentDecoder
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.monitor.call_log import call_context
from vivavoce.realtime.monitor.latency import TurnLatency
from vivavoce.realtime.monitor.watchdog import Watchdog
from vivavoce.realtime.peers.resumable import ResumableTransport, Since
from vivavoce.realtime.peers.sideband import Peers
from vivavoce.realtime.pipeline import Parts, Pipeline
from vivavoce.realtime.recording.recorder import Recordings
from vivavoce.realtime.recording.taps import Taps
from vivavoce.realtime.session.attachments import Attachments
from vivavoce.realtime.session.opening import NewSession
from vivavoce.realtime.session.session import Session
from vivavoce.realtime.session.tool_settings import Tools
from vivavoce.realtime.tools import CallTools
from vivavoce.realtime.transports import CloseReason, Ending, PeerGone, Transport
from vivavoce.realtime.turns.classifiers import Classifiers
from vivavoce.realtime.wire import ServerEvent
from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire.server_events import CallResumable, CallResumed, Closing, Error, Fault, SessionCreated

log = logging.getLogger(__name__)

GOODBYE = 8.0
"""Seconds that freeing a call may take: most of them for words on the telephone."""


IDLE: Final = Ending(CloseReason.IDLE, "Nobody has said anything for a while, so the call was ended.")

LATE: Final = 0.6
"""Seconds by which the models may be late before further calls are refused. The first call is never refused."""

LATELY: Final = 30.0
"""Seconds since the last activity for which a call is busy: its work must not be late."""

FREEING: Final = 2.0
"""Seconds that a new call waits for the model's slot of a call that is leaving."""


def new_call_id() -> str:
    """An id that cannot be guessed."""
    return f"rtc_{secrets.token_hex(12)}"


class Busy(Exception):
    """All slots are taken, or one more call would delay the others; the message may be shown."""


class Ended(Exception):
    """The server ends the call."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(str(ending))
        self.ending = ending


@dataclass(frozen=True, slots=True)
class CallOptions:
    """Options of a phone call: its `tools`; `prerecorded`, which puts prerecorded prompts before the dialogue;
    `longest`, the seconds that it may last (0: by the server's settings)."""

    tools: CallTools
    prerecorded: Callable[[Dialogue], Dialogue]
    longest: float = 0.0


class Stage(Enum):
    """Where a call is in its life."""

    RESERVED = "reserved"
    RUNNING = "running"
    LEAVING = "leaving"


class Call:
    """One call, with all its parts. Made by `Calls.reserve`."""

    def __init__(self, call_id: str, calls: Calls) -> None:
        self.id = call_id
        self.stage = Stage.RESERVED
        self._calls = calls
        self._ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._playout = Playout()
        self._attachments = Attachments()
        self._pipeline: Pipeline | None = None
        self._session: Session | None = None
        self._peers: Peers | None = None
        self._resumable: ResumableTransport | None = None

    # --- for other modules -------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it has its peer, and sidebands may join it."""
        return self.stage is Stage.RUNNING and self._peers is not None

    @property
    def away(self) -> bool:
        """Whether its peer is disconnected, and may come back."""
        return self.stage is Stage.RUNNING and self._playout.away

    @property
    def session(self) -> Session:
        """The session core of a running call."""
        assert self._session is not None, "the call does not run yet"
        return self._session

    @property
    def peers(self) -> Peers:
        """The client and the sidebands of a running call."""
        assert self._peers is not None, "the call does not run yet"
        return self._peers

    @property
    def resumable(self) -> ResumableTransport:
        """The client's transport of a running call."""
        assert self._resumable is not None, "the call does not run yet"
        return self._resumable

    def busy(self, now: float) -> bool:
        """Whether its peer is connected, and one side has spoken or written lately: its work must not be late."""
        return self.running and not self.away and self._pipeline is not None and now - self._pipeline.active_at < LATELY

    def end(self, ending: Ending) -> None:
        """Ends the call soon; the first ending counts."""
        if not self._ending.done():
            self._ending.set_result(ending)

    async def join(self, sideband: Transport, extras: bool) -> None:
        """Serves a sideband that has room reserved, until it leaves or the call ends."""
        (greeting,) = self.session.announce(SessionCreated(session=self.session.view))
        await self.peers.join(sideband, greeting.event, extras)

    # --- its life ----------------------------------------------------------------------------------------------------

    async def run(self, transport: Transport, new: NewSession, options: CallOptions | None) -> None:
        """Runs the call to its end, and frees all of it, whatever happened."""
        with call_context(self.id):
            log.info("call started")
            recording = self._calls.recordings.begin(self.id, new)
            taps = recording or Taps()
            playout = self._playout = taps.playout(self._playout)
            session = self._session = taps.session(new.begin(playout, self._attachments))
            window = self._calls.config.resume_window if session.extras else 0.0
            self._resumable = ResumableTransport(transport, window, ClientResumption(session, playout))
            self._peers = Peers(self._resumable)
            self.stage = Stage.RUNNING
            ending = Ending()
            try:
                ending = await self._serve(taps, options)
            finally:
                self.stage = Stage.LEAVING
                if recording is not None:
                    await recording.close(ending.reason.value)
                log.info("call ended", extra={"reason": ending.reason.value})

    async def _serve(self, taps: Taps, options: CallOptions | None) -> Ending:
        """Serves the call, and closes it; returns how it ended."""
        ending, dialogue = Ending(), None
        try:
            dialogue = await self._calls.open_dialogue()
            ending = await self._converse(options.prerecorded(dialogue) if options else dialogue, taps, options)
        except DialogueError as error:
            ending = Ending(CloseReason.BUSY, str(error))
        except Exception:  # the border: one call's bug must not end the others
            log.exception("call failed")
            ending = Ending(CloseReason.ERROR, "Something went wrong on the server. The call has ended.")
        finally:
            self.stage = Stage.LEAVING
            try:
                await self._say_goodbye(ending)
                if dialogue is not None:
                    async with asyncio.timeout(GOODBYE):
                        await dialogue.close()
            except Exception:  # the border, once more: nor may its goodbye
                log.exception("goodbye failed")
        return ending

    async def _converse(self, dialogue: Dialogue, taps: Taps, options: CallOptions | None) -> Ending:
        pipeline = self._pipeline = Pipeline(self._parts(dialogue, taps, options))
        ending = Ending()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch(pipeline, (options.longest if options else 0) or self._longest))
                tasks.create_task(pipeline.run())
        except* PeerGone:
            pass
        except* Ended as ended:
            ending = _first(ended).ending
        return ending

    def _parts(self, dialogue: Dialogue, taps: Taps, options: CallOptions | None) -> Parts:
        config, engine = self._calls.config, self._calls.engine
        windows = engine.windows(taps)
        return Parts(
            peers=self.peers,
            dialogue=dialogue,
            session=self.session,
            playout=self._playout,
            windows=windows,
            classifiers=Classifiers(engine.end_of_turn, windows, dialogue.classify_overlap),
            latency=taps.latency(TurnLatency()),
            tools=self._calls.tools.runner(options.tools if options else None),
            # a tool may wait in the queue as long as it may run
            watchdog=taps.watchdog(Watchdog(self._playout, config.patience, 2 * config.tool_timeout + 5)),
            front_end=FrontEnd(cancel=self._cancels),
            decoder=self._calls.decoder,
            attachments=self._attachments,
        )

    @property
    def _longest(self) -> float:
        return self._calls.config.max_duration

    @property
    def _cancels(self) -> bool:
        """Whether the call's echo is cancelled: by default where the server paces the loudspeaker."""
        setting = self._calls.config.echo_cancellation
        return setting == "on" or (setting == "auto" and self.peers.plays)

    async def _watch(self, pipeline: Pipeline, longest: float) -> None:
        """Ends a call that is idle, too old, or has been asked to end."""
        loop = asyncio.get_running_loop()
        pipeline.active_at = began = loop.time()
        while True:
            idle_left = pipeline.active_at + self._calls.config.idle_timeout - loop.time()
            age_left = began + longest - loop.time()
            if idle_left <= 0:
                raise Ended(IDLE)
            if age_left <= 0:
                message = f"The session hit the maximum duration of {longest:g} seconds."
                raise Ended(Ending(CloseReason.EXPIRED, message))
            try:
                async with asyncio.timeout(min(idle_left, age_left)):
                    ending = await asyncio.shield(self._ending)
            except TimeoutError:
                continue
            raise Ended(ending)

    async def _say_goodbye(self, ending: Ending) -> None:
        try:
            if ending.reason is CloseReason.EXPIRED:
                self._tell(Error(error=_expired(ending.message)))
            if ending.message:
                self._tell(Closing(reason=ending.reason.value, message=ending.message))
        except PeerGone:
            pass  # there is no peer left
        async with asyncio.timeout(GOODBYE):
            await self.peers.close(ending)

    def _tell(self, event: ServerEvent) -> None:
        for action in self.session.announce(event):
            self.peers.tell(action.event)


class Calls:
    """The calls of one process. Use as an async context manager; leaving it ends all calls."""

    def __init__(self, engine: Engine, config: ServerConfig) -> None:
        self.engine = engine
        self.config = config
        self.tools = Tools(config)
        self.decoder = AttachmentDecoder()
        self.recordings = Recordings(config.recordings, lambda: datetime.now(UTC), engine.about)
        self._tasks = asyncio.TaskGroup()
        self._calls: dict[str, Call] = {}
        self._left = asyncio.Event()  # one of them

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for call in self._calls.values():
            call.end(Ending(CloseReason.SHUTDOWN, "The server is being stopped."))
        while kind is None and any(call.stage is not Stage.RESERVED for call in self._calls.values()):
            self._left.clear()  # calls over sockets and telephones run in tasks of their own
            await self._left.wait()
        await self._tasks.__aexit__(kind, error, trace)
        self.decoder.close()

    def __len__(self) -> int:
        """Calls that hold a slot."""
        return sum(call.stage is not Stage.LEAVING for call in self._calls.values())

    def reserve(self, call_id: str) -> None:
        """Takes a slot for a call that is about to connect; `run` frees it, or `release`. A call whose peer is
        disconnected is ended for it. Raises `Busy`."""
        if len(self) >= self.config.max_sessions and not self._evict():
            raise Busy(f"All {self.config.max_sessions} lines are taken. Please try again in a moment.")
        now = asyncio.get_running_loop().time()
        if self.engine.cascade.lateness > LATE and any(call.busy(now) for call in self._calls.values()):
            raise Busy("The calls under way need all of this machine. Please try again in a moment.")
        self._calls[call_id] = Call(call_id, self)

    def release(self, call_id: str) -> None:
        """Frees the slot of a call that did not connect."""
        del self._calls[call_id]

    def start(self, call_id: str, transport: Transport, new: NewSession) -> None:
        """Runs a call that has a slot, in the background."""
        self._tasks.create_task(self.run(call_id, transport, new))

    async def run(
        self, call_id: str, transport: Transport, new: NewSession, options: CallOptions | None = None
    ) -> None:
        """Runs a call that has a slot to its end."""
        try:
            await self._calls[call_id].run(transport, new, options)
        finally:
            del self._calls[call_id]
            self._left.set()

    def find(self, call_id: str) -> Call | None:
        """A running call; None when there is none of this id."""
        call = self._calls.get(call_id)
        return call if call is not None and call.running else None

    def resumable(self, token: str) -> Call | None:
        """The running call that has this resume token."""
        return next((call for call in self._calls.values() if call.running and call.resumable.knows(token)), None)

    def resume(self, call: Call, transport: Transport, since: Since) -> None:
        """Resumes a running call over another connection, in the background."""
        self._tasks.create_task(call.resumable.resume(transport, since))

    def hang_up(self, call_id: str) -> bool:
        """Ends a call soon; returns False when there is none of this id."""
        call = self._calls.get(call_id)
        if call is not None:
            call.end(Ending(message="The call was hung up."))
        return call is not None

    async def open_dialogue(self) -> Dialogue:
        """Opens a dialogue with the model; waits for the slot of a call that is leaving. Raises `DialogueError`."""
        deadline = asyncio.get_running_loop().time() + FREEING
        while True:
            try:
                return self.engine.cascade.open()
            except DialogueError:
                leaving = any(call.stage is Stage.LEAVING for call in self._calls.values())
                if not leaving or asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.02)

    def _evict(self) -> bool:
        """Ends the oldest call whose peer is disconnected; returns False when all are connected."""
        lost = next((call for call in self._calls.values() if call.away), None)
        if lost is not None:
            lost.stage = Stage.LEAVING
            lost.end(Ending(message="The client did not come back, and the line was needed."))
        return lost is not None


def _expired(message: str) -> Fault:
    return Fault(type="invalid_request_error", code="session_expired", message=message, param=None, event_id=None)


def _first(group: BaseExceptionGroup[Ended]) -> Ended:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Ended)
    return error


PLACES: Final = 1500
"""Frames (30 s) whose positions in the playout are kept."""


class ClientResumption:
    """Implements `Resumption`: gives the client the token, and plays again the sound that it missed."""

    def __init__(self, session: Session, playout: Playout) -> None:
        self._session = session
        self._playout = playout
        self._places: deque[tuple[int, int]] = deque(maxlen=PLACES)  # in the playout, after each of the last frames

    def offer(self, token: str, seconds: float) -> list[bytes]:
        """See `Resumption`."""
        return self._announce(CallResumable(token=token, seconds=seconds))

    def pulled(self) -> None:
        """See `Resumption`."""
        self._places.append(self._playout.place)

    def unheard(self, frames: int) -> None:
        """See `Resumption`. Rewinds the playout by so many frames, as far as their positions are kept."""
        for _ in range(min(frames, len(self._places) - 1)):
            self._places.pop()
        if self._places:
            self._playout.rewind(*self._places[-1])
            self._places[-1] = self._playout.place  # the beginning of a word

    def lost(self) -> None:
        """See `Resumption`."""
        self._playout.leave(away=True)

    def resumed(self) -> list[bytes]:
        """See `Resumption`. Returns the event with the position of the call."""
        self._playout.leave(away=False)
        number, samples = self._playout.place
        item_id = self._session.item_id(number)
        chars = self._playout.heard(number)[1] if item_id else 0
        ms = samples * 1000 // SAMPLE_RATE if item_id else 0
        view = self._session.view
        return self._announce(CallResumed(session=view, item_id=item_id, heard_chars=chars, audio_end_ms=ms))

    def _announce(self, event: ServerEvent) -> list[bytes]:
        return [wire.encode(action.event) for action in self._session.announce(event)]
