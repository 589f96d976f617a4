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
from dataclasses import dataclass
from typing import Final, Literal

from vivavoce.model.dialogue import SAMPLE_RATE, AudioToken, Done, Heard, TextToken, ToolCall, Usage
from vivavoce.realtime.events import Action, Replied, ReplyFailed, Send, StartReply, StopReply
from vivavoce.realtime.playout import PlayoutFull
from vivavoce.realtime.protocol import server_events as ev
from vivavoce.realtime.protocol.client_events import ItemTruncate
from vivavoce.realtime.protocol.context import aim, read, roll_back, settle
from vivavoce.realtime.protocol.errors import Refused
from vivavoce.realtime.protocol.items import FunctionCallItem
from vivavoce.realtime.protocol.plan import Plan
from vivavoce.realtime.protocol.response_events import StatusDetails, StatusError
from vivavoce.realtime.protocol.responses import Ladder, Status
from vivavoce.realtime.protocol.state import State, sends

MAX_BESIDE: Final = 8
"""Replies out of band that may run at once."""

Reason = Literal["turn_detected", "client_cancelled"]


@dataclass(slots=True)
class _Reply:
    """One reply that runs or speaks. `short`: it was cancelled, and what it has said so far is all there will be.
    `heard`: samples, as told by a client that truncated while the reply was still running."""

    number: int
    plan: Plan
    ladder: Ladder
    running: bool = True
    pushed: bool = False
    started: bool = False
    short: bool = False
    heard: int | None = None

    @property
    def item_id(self) -> str:
        return self.plan.spec.id


class Replies:
    """Everything the assistant says in one session."""

    def __init__(self, state: State, conversation_id: str) -> None:
        self._state = state
        self._conversation_id = conversation_id
        self._count = 0
        self._replies: dict[int, _Reply] = {}
        self.spoke = False  # the voice cannot change any more

    @property
    def running(self) -> bool:
        """A reply of the conversation is being made."""
        return self._default() is not None

    @property
    def busy(self) -> bool:
        """A reply of the conversation is being made, or can be heard."""
        return any(reply.plan.joins for reply in self._replies.values())

    def response_id(self, number: int) -> str | None:
        """The name on the wire of a reply that runs or speaks."""
        reply = self._replies.get(number)
        return reply.ladder.id if reply else None

    def refuse_second(self, joins: bool) -> None:
        """Raises `Refused` when one more reply cannot begin now."""
        running = self._default()
        if joins and running is not None:
            message = (
                "Conversation already has an active response in progress: "
                f"{running.ladder.id}. Wait until the response is finished before creating a new one."
            )
            raise Refused("conversation_already_has_active_response", message)
        beside = sum(reply.running and not reply.plan.joins for reply in self._replies.values())
        if not joins and beside >= MAX_BESIDE:
            raise Refused("too_many_responses", f"At most {MAX_BESIDE} responses can run out of band.")

    def start(self, plan: Plan) -> Iterator[Action]:
        """Begins a reply; `refuse_second` has been asked."""
        self._count += 1
        state = self._state
        opening = plan.opening(state.ids.new("resp"), self._conversation_id)
        ladder = Ladder(self._count, opening, plan, state.conversation, state.ids, deltas=not state.plays)
        self._replies[self._count] = _Reply(self._count, plan, ladder)
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
                for event in reply.ladder.tool(call):
                    yield Send(event)
                    match event:
                        case ev.ItemDone(item=FunctionCallItem(id=str(call_item), status="completed")):
                            yield read(self._state.conversation, call_item)
            case Done(reason="length", usage=usage):
                cut = StatusDetails(type="incomplete", reason="max_output_tokens")
                yield from self._close(reply, "incomplete", cut, usage)
            case done:
                yield from self._close(reply, "completed", None, done.usage)

    def fail(self, fact: ReplyFailed) -> Iterator[Action]:
        """The model could not go on."""
        reply = self._replies.get(fact.number)
        if reply is not None and reply.running:
            error = StatusError(type="server_error", code="server_error", message=fact.message)
            yield from self._close(reply, "failed", StatusDetails(type="failed", error=error), Usage())

    def playout_started(self, number: int) -> Iterator[Action]:
        """The first of its sound leaves."""
        reply = self._replies.get(number)
        if reply is not None and self._state.plays and reply.heard is None:
            reply.started = True
            yield Send(ev.OutputStarted(response_id=reply.ladder.id))

    def playout_ended(self, number: int) -> Iterator[Action]:
        """The last of its sound has left."""
        reply = self._replies.pop(number, None)
        if reply is None:
            return
        if reply.started:
            yield Send(ev.OutputStopped(response_id=reply.ladder.id))
        entry = self._state.conversation.get(reply.item_id)
        if reply.short and entry is not None:
            heard = Heard(entry.id, *self._state.playout.heard(number))
            yield from roll_back(self._state.conversation, entry, heard)

    def interrupt(self) -> tuple[list[Action], list[Action]]:
        """The user cuts in: what is done at once, and what the client is told after it."""
        return self._silence([r for r in self._replies.values() if r.plan.joins], "turn_detected")

    def silence(self) -> list[Action]:
        """The client wants quiet, now."""
        done, told = self._silence(list(self._replies.values()), "client_cancelled")
        return [*done, *told]

    def cancel(self, response_id: str | None) -> Iterator[Action]:
        """The client wants no more of a reply; where the server plays, what was made already is still heard.

        Raises `Refused`."""
        running = (r for r in self._replies.values() if r.running and r.ladder.id == response_id)
        reply = self._default() if response_id is None else next(running, None)
        if reply is None:
            raise Refused("response_cancel_not_active", "Cancellation failed: no active response found")
        if self._state.plays and reply.pushed:
            reply.short = True
            yield StopReply(reply.number)
            yield from self._close(reply, "cancelled", _cancelled("client_cancelled"), Usage())
        else:
            done, told = self._silence([reply], "client_cancelled")
            yield from [*done, *told]

    def truncate(self, asked: ItemTruncate) -> Iterator[Action]:
        """The client tells how much of an answer was heard. Raises `Refused`."""
        entry, number, samples = aim(self._state.conversation, self._state.playout, asked)
        self._state.playout.cut(number)
        reply = self._replies.get(number)
        if reply is not None and reply.running:
            reply.heard = entry.whole = samples  # the model is still at it, and is told when it has stopped
        else:
            self._replies.pop(number, None)
            heard = Heard(entry.id, samples, self._state.playout.chars_at(number, samples))
            yield from roll_back(self._state.conversation, entry, heard)
        if reply is not None and reply.started:
            reply.started = False
            yield Send(ev.OutputCleared(response_id=reply.ladder.id))
        yield Send(ev.ItemTruncated(item_id=entry.id, content_index=0, audio_end_ms=asked.audio_end_ms))

    # --- how it is done ---

    def _default(self) -> _Reply | None:
        return next((r for r in self._replies.values() if r.running and r.plan.joins), None)

    def _sound(self, reply: _Reply, token: AudioToken) -> Iterator[Action]:
        if not len(token.samples):
            return
        self.spoke = True
        yield from sends(reply.ladder.sound(token.samples))
        if not (self._state.plays or reply.plan.joins):
            return  # what a client does with sound out of band is its own business
        try:
            reply.pushed |= self._state.playout.push(reply.number, token)
        except PlayoutFull as full:
            yield StopReply(reply.number)
            yield from self.fail(ReplyFailed(reply.number, str(full)))

    def _close(self, reply: _Reply, status: Status, details: StatusDetails | None, usage: Usage) -> Iterator[Action]:
        """Nothing more is made; what has been made is still heard."""
        reply.running = False
        yield from sends(reply.ladder.close(status, details, usage))
        if reply.pushed and reply.heard is None:
            self._state.playout.finish(reply.number)
        else:
            del self._replies[reply.number]
        yield from settle(self._state.conversation, reply.plan, reply.ladder, _as_told(reply, self._state))
        yield from self._state.trim()

    def _silence(self, replies: list[_Reply], reason: Reason) -> tuple[list[Action], list[Action]]:
        """Cuts replies: first what is done, then what is told."""
        done: list[Action] = []
        told: list[Action] = []
        for reply in replies:
            samples, _ = self._state.playout.heard(reply.number)
            if not reply.running and samples == self._state.playout.pushed(reply.number):
                continue  # all of it was heard, and the playout is about to say so
            self._state.playout.cut(reply.number)
            del self._replies[reply.number]
            if reply.running:
                done.append(StopReply(reply.number))
                told += sends(reply.ladder.close("cancelled", _cancelled(reason), Usage()))
            context = list(self._context(reply))
            done += [action for action in context if not isinstance(action, Send)]
            if reply.started:
                told.append(Send(ev.OutputCleared(response_id=reply.ladder.id)))
            notes = [action for action in context if isinstance(action, Send)]
            if notes and self._state.plays:
                ms = samples * 1000 // SAMPLE_RATE
                told.append(Send(ev.ItemTruncated(item_id=reply.item_id, content_index=0, audio_end_ms=ms)))
            told += notes
        return done, told

    def _context(self, reply: _Reply) -> Iterator[Action]:
        """The model's context after a reply was cut."""
        conversation = self._state.conversation
        heard = _cut_at(reply, self._state)
        if reply.running:
            yield from settle(conversation, reply.plan, reply.ladder, heard)
        elif heard is not None and reply.plan.joins and (entry := conversation.get(reply.item_id)):
            yield from roll_back(conversation, entry, heard)


def _cut_at(reply: _Reply, state: State) -> Heard | None:
    """Where a reply ends that is cut now; None when that is the client's to tell."""
    if not reply.ladder.opened:
        return Heard(reply.item_id, 0, 0)
    if reply.plan.modality == "text":
        return Heard(reply.item_id, 0, len(reply.ladder.text))
    if state.plays:
        return Heard(reply.item_id, *state.playout.heard(reply.number))
    return _as_told(reply, state)


def _as_told(reply: _Reply, state: State) -> Heard | None:
    """What the client said was heard, while the reply was still running."""
    if reply.heard is None:
        return None
    return Heard(reply.item_id, reply.heard, state.playout.chars_at(reply.number, reply.heard))


def _cancelled(reason: Reason) -> StatusDetails:
    return StatusDetails(type="cancelled", reason=reason)
