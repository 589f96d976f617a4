"""The life of a call: admission, building its parts, limits, and freeing everything in the right order.

    reserve ──► Parts ──► Pipeline.run ──► the peer left, a limit was reached, or something broke
                                              └──► closing event ──► dialogue closed ──► transport closed ──► place free

`Calls` owns every call of the process; none outlives it.
"""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Self

from vivavoce.model.dialogue import DialogueError
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.events import Send
from vivavoce.realtime.latency import TurnLatency
from vivavoce.realtime.pipeline import Parts, Pipeline
from vivavoce.realtime.playout import Playout
from vivavoce.realtime.protocol import wire
from vivavoce.realtime.protocol.server_events import Closing
from vivavoce.realtime.protocol.session import Session
from vivavoce.realtime.transports import PeerGone, Transport

log = logging.getLogger(__name__)

GOODBYE = 5.0
"""Seconds that freeing a call may take."""


class Busy(Exception):
    """All places are taken; the message may be shown."""


class Ended(Exception):
    """The call is over for a reason of ours: the first word is its kind ("idle", "expired", "shutdown", "over",
    "error")."""


class Calls:
    """The running calls of one process. Use as an async context manager; leaving it ends all calls."""

    def __init__(self, engine: Engine, config: ServerConfig) -> None:
        self._engine = engine
        self._config = config
        self._tasks = asyncio.TaskGroup()
        self._running: dict[str, asyncio.Event] = {}

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hangup in self._running.values():
            hangup.set()
        await self._tasks.__aexit__(kind, error, trace)

    def __len__(self) -> int:
        return len(self._running)

    def reserve(self, call_id: str) -> None:
        """Takes a place for a call that is about to connect; `run` gives it back, or `release`. Raises `Busy`."""
        if len(self._running) >= self._config.max_sessions:
            raise Busy(f"All {self._config.max_sessions} lines are taken. Please try again in a moment.")
        self._running[call_id] = asyncio.Event()

    def release(self, call_id: str) -> None:
        """Gives back the place of a call that did not come about."""
        del self._running[call_id]

    def start(self, call_id: str, transport: Transport, session: Session, playout: Playout) -> None:
        """Runs a call that has a place, in the background."""
        self._tasks.create_task(self.run(call_id, transport, session, playout))

    def hang_up(self, call_id: str) -> bool:
        """Asks a call to end; False when there is none of this id."""
        hangup = self._running.get(call_id)
        if hangup is not None:
            hangup.set()
        return hangup is not None

    async def run(self, call_id: str, transport: Transport, session: Session, playout: Playout) -> None:
        """Runs a call that has a place to its end. Nothing of it is left afterwards, whatever happened."""
        log.info("call started", extra={"call": call_id})
        reason = "over"
        try:
            reason = await self._converse(call_id, transport, session, playout)
        except DialogueError as error:
            reason = f"busy: {error}"
        except Exception:  # the border: one call's bug must not end the others
            log.exception("call failed", extra={"call": call_id})
            reason = "error: Something went wrong on the server. The call has ended."
        finally:
            await self._say_goodbye(transport, session, reason)
            self.release(call_id)
            log.info("call ended", extra={"call": call_id, "reason": reason.partition(":")[0]})

    async def _converse(self, call_id: str, transport: Transport, session: Session, playout: Playout) -> str:
        dialogue = self._engine.cascade.open()
        parts = Parts(transport, dialogue, session, playout, self._engine.listener(), self._engine.judge, TurnLatency())
        pipeline = Pipeline(parts)
        reason = "over"
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch(pipeline, self._running[call_id]))
                tasks.create_task(pipeline.run())
        except* PeerGone:
            pass
        except* Ended as ended:
            reason = str(_first(ended))
        finally:
            async with asyncio.timeout(GOODBYE):
                await dialogue.close()
        return reason

    async def _watch(self, pipeline: Pipeline, hangup: asyncio.Event) -> None:
        """Ends calls that nobody uses, that last too long, or that were hung up."""
        loop = asyncio.get_running_loop()
        pipeline.active_at = began = loop.time()
        while True:
            idle_left = pipeline.active_at + self._config.idle_timeout - loop.time()
            age_left = began + self._config.max_duration - loop.time()
            if idle_left <= 0:
                raise Ended("idle: Nobody has said anything for a while, so the call was ended.")
            if age_left <= 0:
                raise Ended("expired: The call has reached its longest duration.")
            try:
                async with asyncio.timeout(min(idle_left, age_left)):
                    await hangup.wait()
            except TimeoutError:
                continue
            raise Ended("shutdown: The call was ended by the server.")

    async def _say_goodbye(self, transport: Transport, session: Session, reason: str) -> None:
        kind, _, words = reason.partition(": ")
        try:
            if words:
                for action in session.announce(Closing(reason=kind, message=words)):
                    if isinstance(action, Send):
                        transport.send(wire.encode(action.event))
        except PeerGone:
            pass  # nobody is there to be told
        async with asyncio.timeout(GOODBYE):
            await transport.close(reason)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
