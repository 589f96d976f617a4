"""Schedules responses: on request of the client, after a turn, and pending ones.

    response.create ────request──┐
    the end of a turn ──follow───┤──► plan ──► Responses.start
    a response ended ───catch_up─┘    pending: a tool's answer, an answer to a turn, an apology

A response that has begun belongs to responses.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from msgspec import UNSET

from vivavoce.realtime.events import Action, Send
from vivavoce.realtime.session.images import Decode, look
from vivavoce.realtime.session.rate_limit import Bucket, take
from vivavoce.realtime.session.response import Origin
from vivavoce.realtime.session.response_plan import Plan, plan, recital
from vivavoce.realtime.session.responses import Responses
from vivavoce.realtime.session.server_tools import ServerTools
from vivavoce.realtime.session.state import State
from vivavoce.realtime.wire.client_events import ResponseParams
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.server_events import RecordingStarted


class Scheduling:
    """Begins the responses of one session."""

    def __init__(
        self,
        state: State,
        responses: Responses,
        tools: ServerTools,
        decode: Decode,
        bucket: Bucket | None,
        apology: str,
    ) -> None:
        """`decode`, `bucket` (`responses`), `apology`: see `session.Options`."""
        self._state = state
        self._responses = responses
        self._tools = tools
        self._decode = decode
        self._bucket = bucket
        self._apology = apology

    def follow(self, now: float) -> Iterator[Action]:
        """Begins the answer that follows a turn by itself; after the current response, if there is one."""
        self._state.pending.empty = -1 if self._responses.current else 0  # the current one says nothing of this turn
        if self._state.settings.creates_response and self._responses.current:
            self._state.pending.answer = True
        elif self._state.settings.creates_response:
            yield from self._start(ResponseParams(), now)

    def request(self, params: ResponseParams, now: float) -> Iterator[Action]:
        """Begins a response that the client requests. Raises `Refused`."""
        if self._state.settings.kind == "transcription":
            raise Refused("invalid_value", "A transcription session gives no responses.", "type")
        if params == ResponseParams() and self._responses.claim():
            return  # some clients request the response to a tool's answer; it has begun already
        joins = params.conversation != "none"
        self._responses.refuse_second(joins)
        if joins:
            self._state.require_room()
        yield from self._start(params, now)

    def catch_up(self, speaking: bool, now: float) -> Iterator[Action]:
        """Begins a pending response, unless one is being generated or cut, or the user is `speaking`."""
        if self._responses.current or self._responses.cutting or speaking:
            return
        answer, apology = self._state.pending.begin()
        by_itself = self._state.settings.creates_response
        if self._tools.pending:
            params = ResponseParams(tool_choice="none" if self._tools.only_notices else UNSET)
            yield from self._tools.settle()
            yield from self._responses.start(self._plan(params, now), Origin.SERVER)
        elif answer and by_itself:
            yield from self._start(ResponseParams(), now, Origin.SERVER)
        elif apology and by_itself and self._apology:
            yield from self._responses.start(recital(self._plan(ResponseParams(), now), self._apology), Origin.SERVER)

    def open(self, notice: str | None, greeting: str) -> Iterator[Action]:
        """Begins the first responses of a call: the notice that it is recorded, out of band, so that nothing interrupts
        it; then the greeting, which is the first item of the conversation."""
        settings = self._state.settings
        speaks = settings.kind == "realtime" and settings.modality == "audio"
        if notice is not None:
            yield Send(RecordingStarted())
        out_of_band = ResponseParams(conversation="none", input=[])
        for words, params in ((notice, out_of_band), (greeting, ResponseParams())):
            if words and speaks:
                yield from self._responses.start(recital(self._plan(params, 0.0), words))

    def _start(self, params: ResponseParams, now: float, origin: Origin = Origin.CLIENT) -> Iterator[Action]:
        planned = self._plan(params, now)
        if planned.joins and planned.spec.voice != self._state.settings.voice_name:
            self._responses.check_voice_free("response.audio.output.voice")
        take(self._bucket, now)
        if planned.joins:
            self._state.pending.begin()
        yield from self._responses.start(planned, origin)

    def _plan(self, params: ResponseParams, now: float) -> Plan:
        state = self._state
        sight = partial(look, decode=self._decode, now=now)
        return plan(state.settings, params, state.conversation, state.servers, state.ids, sight)
