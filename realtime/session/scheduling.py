"""Which replies begin, and when: those a client asks for, those that follow a turn, and those that are owed.

    response.create ──ask──────┐
    the end of a turn ─follow──┤──► plan ──► Replies.start
    a reply ended ──catch_up───┘      what was owed: a tool's answer, an answer to a turn, an apology

What becomes of a reply that has begun is decided in replies.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from msgspec import UNSET

from vivavoce.realtime.events import Action, Send
from vivavoce.realtime.session.images import Decode, look
from vivavoce.realtime.session.rate_limit import Bucket, take
from vivavoce.realtime.session.response_plan import Plan, plan, recital
from vivavoce.realtime.session.responses import Responses
from vivavoce.realtime.session.server_tools import ServerTools
from vivavoce.realtime.session.state import State
from vivavoce.realtime.wire.client_events import ResponseParams
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.server_events import RecordingStarted


class Scheduling:
    """Begins the replies of one session."""

    def __init__(
        self,
        state: State,
        replies: Responses,
        tools: ServerTools,
        decode: Decode,
        responses: Bucket | None,
        apology: str,
    ) -> None:
        """`decode`, `responses`, `apology`: see `session.Options`."""
        self._state = state
        self._replies = replies
        self._tools = tools
        self._decode = decode
        self._responses = responses
        self._apology = apology

    def follow(self, now: float) -> Iterator[Action]:
        """The answer that follows a turn without being asked for; after the reply that runs, if there is one."""
        self._state.owed.empty = -1 if self._replies.running else 0  # the one that runs says nothing of this turn
        if self._state.settings.creates_response and self._replies.running:
            self._state.owed.answer = True
        elif self._state.settings.creates_response:
            yield from self._start(ResponseParams(), now)

    def ask(self, params: ResponseParams, now: float) -> Iterator[Action]:
        """The client asks for a response. Raises `Refused`."""
        if self._state.settings.kind == "transcription":
            raise Refused("invalid_value", "A transcription session gives no responses.", "type")
        if params == ResponseParams() and self._replies.claim():
            return  # some clients ask for what follows a tool's answer; it has begun already
        joins = params.conversation != "none"
        self._replies.refuse_second(joins)
        if joins:
            self._state.require_room()
        yield from self._start(params, now)

    def catch_up(self, speaking: bool, now: float) -> Iterator[Action]:
        """What the assistant has to say by itself, as soon as nobody else speaks (the user: `speaking`)."""
        if self._replies.running or speaking:
            return
        answer, apology = self._state.owed.begin()
        by_itself = self._state.settings.creates_response
        if self._tools.owes:
            params = ResponseParams(tool_choice="none" if self._tools.rings else UNSET)
            yield from self._tools.settle()
            yield from self._replies.start(self._plan(params, now), by_itself=True)
        elif answer and by_itself:
            yield from self._start(ResponseParams(), now, by_itself=True)
        elif apology and by_itself and self._apology:
            yield from self._replies.start(recital(self._plan(ResponseParams(), now), self._apology), by_itself=True)

    def open(self, notice: str | None, greeting: str) -> Iterator[Action]:
        """What is said before anybody has spoken: that the call is recorded, beside the conversation, so that nothing
        cuts it short; then the greeting, which is the first thing in it."""
        settings = self._state.settings
        speaks = settings.kind == "realtime" and settings.modality == "audio"
        if notice is not None:
            yield Send(RecordingStarted())
        beside = ResponseParams(conversation="none", input=[])
        for words, params in ((notice, beside), (greeting, ResponseParams())):
            if words and speaks:
                yield from self._replies.start(recital(self._plan(params, 0.0), words))

    def _start(self, params: ResponseParams, now: float, by_itself: bool = False) -> Iterator[Action]:
        planned = self._plan(params, now)
        take(self._responses, now)
        if planned.joins:
            self._state.owed.begin()
        yield from self._replies.start(planned, by_itself)

    def _plan(self, params: ResponseParams, now: float) -> Plan:
        state = self._state
        sight = partial(look, decode=self._decode, now=now)
        return plan(state.settings, params, state.conversation, state.servers, state.ids, sight)
