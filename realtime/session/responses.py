"""The replies of a session: who may start one, what becomes of its tokens, and how it is cut.

                 start              Done / failed                PlayoutEnded
    (nothing) ─────────► RUNNING ──────────────────► SPEAKING ─────────────────► over
                            │        (its sound is            │
                            │         still being played)     │
                            └─────── interrupt, cancel ───────┘   StopReply → Cut → tell the client

One reply at a time belongs to the conversation; replies out of band run beside it and are never interrupted. On WebRTC
and phones the server owns playback, so it truncates by itself; on a WebSocket the client says what was heard.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vivavoce.model.dialogue import AudioToken, TextToken, ToolCall
from vivavoce.realtime.audio.playout import PlayoutFull
from vivavoce.realtime.events import Action, Replied, ReplyFailed, Send, StartReply, StopReply, ToolAnswered
from vivavoce.realtime.session.response import ActiveResponse, asks, total
from vivavoce.realtime.session.response_output import ResponseEmitter
from vivavoce.realtime.session.response_plan import Plan
from vivavoce.realtime.session.server_tools import ServerCalls
from vivavoce.realtime.session.state import State, sends
from vivavoce.realtime.session.truncation import Truncation
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.response_events import StatusDetails, StatusError

MAX_BESIDE: Final = 8
"""Replies out of band that may run at once."""


class Responses:
    """Everything the assistant says in one session."""

    def __init__(self, state: State, conversation_id: str) -> None:
        self._state = state
        self._conversation_id = conversation_id
        self._count = 0
        self._replies: dict[int, ActiveResponse] = {}
        self._calls = ServerCalls(state)
        self.endings = Truncation(state, self._replies, self._calls)
        self.spoke = False  # the voice cannot change any more

    @property
    def running(self) -> bool:
        """A reply of the conversation is being made."""
        return self.endings.default() is not None

    @property
    def busy(self) -> bool:
        """A reply of the conversation is being made, or can be heard."""
        return any(reply.plan.joins for reply in self._replies.values())

    @property
    def awaits_answer(self) -> bool:
        """What the user heard last is a question, or ends one. Nobody knows where the client plays."""
        number = self._state.playout.audible
        reply = self._replies.get(number) if number is not None and self._state.plays else None
        return reply is not None and asks(reply.ladder.text[: self._state.playout.heard(reply.number)[1]])

    def response_id(self, number: int) -> str | None:
        """The name on the wire of a reply that runs or speaks."""
        reply = self._replies.get(number)
        return reply.ladder.id if reply else None

    def item_id(self, number: int) -> str | None:
        """The item of a reply that runs or speaks."""
        reply = self._replies.get(number)
        return reply.item_id if reply and reply.ladder.opened else None

    def refuse_second(self, joins: bool) -> None:
        """Raises `Refused` when one more reply cannot begin now."""
        running = self.endings.default()
        if joins and running is not None:
            message = (
                "Conversation already has an active response in progress: "
                f"{running.ladder.id}. Wait until the response is finished before creating a new one."
            )
            raise Refused("conversation_already_has_active_response", message)
        beside = sum(reply.running and not reply.plan.joins for reply in self._replies.values())
        if not joins and beside >= MAX_BESIDE:
            raise Refused("too_many_responses", f"At most {MAX_BESIDE} responses can run out of band.")

    def claim(self) -> bool:
        """The response that runs was begun by the server itself, and is what a client now asks for."""
        reply = self.endings.default()
        claimed = reply is not None and reply.by_itself
        if reply is not None:
            reply.by_itself = False
        return claimed

    def start(self, plan: Plan, by_itself: bool = False) -> Iterator[Action]:
        """Begins a reply; `refuse_second` has been asked."""
        self._count += 1
        state = self._state
        opening = plan.opening(state.ids.new("resp"), self._conversation_id)
        ladder = ResponseEmitter(self._count, opening, plan, state.conversation, state.ids, deltas=not state.plays)
        reply = self._replies[self._count] = ActiveResponse(self._count, plan, ladder, by_itself=by_itself)
        if plan.joins and state.approved:
            approved, state.approved, reply.making = state.approved, [], False
            yield Send(ladder.create())
            for call in approved:
                yield from self._calls.approve(reply, call)
        else:
            yield StartReply(self._count, plan.spec)
            yield Send(ladder.create())

    def receive(self, fact: Replied) -> Iterator[Action]:
        """The next token; one of a reply that is not running any more is dropped."""
        reply = self._replies.get(fact.number)
        if reply is None or not reply.running:
            return
        match fact.token:
            case TextToken(text=text):
                if text:
                    yield from sends(reply.ladder.say(text))
            case AudioToken() as sound:
                yield from self._sound(reply, sound)
            case ToolCall() as call:
                yield from self._calls.piece(reply, call)
            case done:
                reply.making, reply.usage = False, total(reply.usage, done.usage)
                if done.reason == "length" and not reply.waiting and not reply.answered:
                    cut = StatusDetails(type="incomplete", reason="max_output_tokens")
                    yield from self.endings.close(reply, "incomplete", cut)
                else:
                    yield from self._go_on(reply)

    def answered(self, fact: ToolAnswered) -> Iterator[Action]:
        """A call that the server carried out for a reply has its outcome."""
        reply = self._replies.get(fact.number)
        if reply is not None and reply.running:
            yield from self._calls.answered(reply, fact)
            if not reply.making:
                yield from self._go_on(reply)

    def late(self, number: int) -> Iterator[Action]:
        """A reply has waited long for its calls."""
        reply = self._replies.get(number)
        if reply is not None and reply.running:
            yield from self._calls.late(reply)

    def fail(self, fact: ReplyFailed) -> Iterator[Action]:
        """The model could not go on."""
        reply = self._replies.get(fact.number)
        if reply is None or not reply.running:
            return
        fresh = reply.making and reply.ladder.empty and not (reply.again or reply.waiting or reply.answered)
        if fact.cause == "passing" and fresh:
            reply.again = True
            reply.pieces.clear()
            yield StartReply(reply.number, reply.plan.spec)
            return
        if fact.cause == "hung":
            yield from self._calls.stop(reply)
        error = StatusError(type="server_error", code="server_error", message=fact.message)
        reply.making = False
        yield from self.endings.close(reply, "failed", StatusDetails(type="failed", error=error))

    # --- how it is done ---

    def _sound(self, reply: ActiveResponse, token: AudioToken) -> Iterator[Action]:
        if not len(token.samples):
            return
        self.spoke |= reply.plan.joins
        yield from sends(reply.ladder.sound(token.samples))
        if not (self._state.plays or reply.plan.joins):
            return  # what a client does with sound out of band is its own business
        try:
            reply.pushed |= self._state.playout.push(reply.number, token)
        except PlayoutFull as full:
            yield StopReply(reply.number)
            yield from self.fail(ReplyFailed(reply.number, str(full)))

    def _go_on(self, reply: ActiveResponse) -> Iterator[Action]:
        """The model has stopped, or a call was answered while it stood still."""
        if reply.waiting:
            return
        if not self._calls.goes_on(reply):
            yield from self.endings.close(reply, "completed", None)
        elif self._calls.here(reply):
            yield from self._calls.go_on(reply)
        else:
            following = self._calls.follow_up(reply)
            yield from self.endings.close(reply, "completed", None)
            yield from self.start(following, by_itself=True)
