"""The responses of a session: how one starts, what becomes of its tokens, and how it ends.

    start ──► tokens ──► close     nothing more is made; what was made is still played
                    └──► cut       CutPlayout ──► PlayoutCut ──► StopReply → Cut → tell the client

One response at a time belongs to the conversation; responses out of band run beside it and are never interrupted. Over
WebRTC and phones the server owns playback, so it truncates by itself; over a WebSocket the client reports what was
heard. The life of one response is the table in response.py.

A cut takes two facts, because only the owner of the playout knows where it stands once the far end has dropped what it
was sent: the first one asks for silence, `PlayoutCut` says what was heard, and the rest follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.dialogue import AudioToken, Heard, TextToken, ToolCall, Working
from vivavoce.realtime.events import (
    Action,
    CutPlayout,
    DropPlayout,
    FinishPlayout,
    Play,
    PlayoutCut,
    Replied,
    ReplyFailed,
    Send,
    StartReply,
    ToolAnswered,
)
from vivavoce.realtime.session.model_context import aim, roll_back, settle
from vivavoce.realtime.session.response import (
    ActiveResponse,
    Origin,
    Phase,
    Reason,
    Sound,
    Step,
    asks,
    cancelled,
    total,
)
from vivavoce.realtime.session.response_output import ResponseEmitter, Status
from vivavoce.realtime.session.response_plan import Plan
from vivavoce.realtime.session.server_tools import ServerCalls
from vivavoce.realtime.session.state import State, sends
from vivavoce.realtime.wire import server_events as ev
from vivavoce.realtime.wire.client_events import ItemTruncate
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.response_events import StatusDetails, StatusError

MAX_OUT_OF_BAND: Final = 8
"""Responses out of band that may run at once."""

NOTICED: Final = SAMPLE_RATE // 10
"""Samples (0.1 s) of an answer that nobody notices: what leaves before it is known that the user goes on."""

REPLAYABLE: Final = 4
"""Responses that can sound again after they were played."""

BargeIn = ev.SpeechStarted | ev.DtmfReceived
"""What the client is told of a user who interrupts."""


@dataclass(frozen=True, slots=True)
class _PendingCut:
    """A cut that waits for `PlayoutCut`; `event` is told between what is done and what is told of it."""

    reason: Reason
    event: BargeIn | None


class Responses:
    """Everything the assistant says in one session."""

    def __init__(self, state: State, conversation_id: str) -> None:
        self._state = state
        self._conversation_id = conversation_id
        self._count = 0
        self._active: dict[int, ActiveResponse] = {}
        self._played: dict[int, ActiveResponse] = {}  # the last ones that were played to their end
        self._pending_cut: _PendingCut | None = None
        self._calls = ServerCalls(state)
        self.spoke = False  # the voice cannot change any more

    # --- what there is -------------------------------------------------------------------------------------------

    @property
    def current(self) -> ActiveResponse | None:
        """The response of the conversation that is being made."""
        return next((one for one in self._active.values() if one.open and one.plan.joins), None)

    @property
    def busy(self) -> bool:
        """A response of the conversation is being made, or can be heard."""
        return any(one.plan.joins for one in self._active.values())

    @property
    def cutting(self) -> bool:
        """A cut waits for `PlayoutCut`; nothing may begin."""
        return self._pending_cut is not None

    @property
    def cut_by_speech(self) -> bool:
        """A cut waits for `PlayoutCut` because the user has begun to speak."""
        return self._pending_cut is not None and isinstance(self._pending_cut.event, ev.SpeechStarted)

    @property
    def awaits_answer(self) -> bool:
        """The last words that the user heard are a question. Unknown where the client plays."""
        number = self._state.ledger.audible
        response = self._active.get(number) if number is not None and self._state.plays else None
        if response is None:
            return False
        return asks(response.emitter.text[: self._state.ledger.heard(response.number)[1]])

    def response_id(self, number: int) -> str | None:
        """The name on the wire of a response that is made or played."""
        response = self._active.get(number)
        return response.emitter.id if response else None

    def item_id(self, number: int) -> str | None:
        """The item of a response that is made or played."""
        response = self._active.get(number)
        return response.item_id if response and response.emitter.opened else None

    # --- beginning -----------------------------------------------------------------------------------------------

    def refuse_second(self, joins: bool) -> None:
        """Raises `Refused` when one more response cannot begin now."""
        current = self.current
        if joins and current is not None:
            message = (
                "Conversation already has an active response in progress: "
                f"{current.emitter.id}. Wait until the response is finished before creating a new one."
            )
            raise Refused("conversation_already_has_active_response", message)
        out_of_band = sum(one.open and not one.plan.joins for one in self._active.values())
        if not joins and out_of_band >= MAX_OUT_OF_BAND:
            raise Refused("too_many_responses", f"At most {MAX_OUT_OF_BAND} responses can run out of band.")

    def check_voice_free(self, param: str | None) -> None:
        """Raises `Refused` when the user knows the assistant's voice: it cannot change any more."""
        if self.spoke:
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise Refused("cannot_update_voice", message, param)

    def claim(self) -> bool:
        """The current response was begun by the server itself, and is what a client asks for now."""
        current = self.current
        claimed = current is not None and current.origin is Origin.SERVER
        if current is not None:
            current.origin = Origin.CLIENT
        return claimed

    def start(self, plan: Plan, origin: Origin = Origin.CLIENT) -> Iterator[Action]:
        """Begins a response; `refuse_second` has been asked."""
        self._count += 1
        state, number = self._state, self._count
        opening = plan.opening(state.ids.new("resp"), self._conversation_id)
        emitter = ResponseEmitter(number, opening, plan, state.conversation, state.ids, deltas=not state.plays)
        response = self._active[number] = ActiveResponse(number, plan, emitter, origin)
        if plan.joins and state.approved:
            approved, state.approved = state.approved, []
            response.move(Step.PAUSE)
            yield Send(emitter.create())
            for call in approved:
                yield from self._calls.approve(response, call)
        else:
            yield StartReply(number, plan.spec)
            yield Send(emitter.create())

    # --- going on ------------------------------------------------------------------------------------------------

    def receive(self, fact: Replied) -> Iterator[Action]:
        """The next token; one of a response that has closed is dropped."""
        response = self._open(fact.number)
        if response is None:
            return
        match fact.token:
            case TextToken(text=text):
                if text:
                    yield from sends(response.emitter.say(text))
            case AudioToken() as token:
                yield from self._sound(response, token)
            case ToolCall() as call:
                yield from self._calls.piece(response, call)
            case Working():
                pass  # the watchdog takes it
            case done:
                response.pause()
                response.usage = total(response.usage, done.usage)
                if done.reason == "length" and not response.calls.waiting and not response.calls.answered:
                    cut = StatusDetails(type="incomplete", reason="max_output_tokens")
                    yield from self._close(response, "incomplete", cut)
                else:
                    yield from self._go_on(response)

    def answered(self, fact: ToolAnswered) -> Iterator[Action]:
        """A call that the server carried out for a response has its outcome."""
        response = self._open(fact.number)
        if response is not None:
            yield from self._calls.answered(response, fact)
            if response.phase is Phase.PAUSED:
                yield from self._go_on(response)

    def late(self, number: int) -> Iterator[Action]:
        """A response has waited long for its calls."""
        response = self._open(number)
        if response is not None:
            yield from self._calls.late(response)

    def fail(self, fact: ReplyFailed) -> Iterator[Action]:
        """The model could not go on."""
        response = self._open(fact.number)
        if response is None:
            return
        calls = response.calls
        untouched = response.emitter.empty and not (calls.waiting or calls.answered)
        fresh = response.phase is Phase.GENERATING and untouched and response.attempts == 1
        if fact.cause == "passing" and fresh:
            response.attempts += 1
            calls.pieces.clear()
            yield StartReply(response.number, response.plan.spec)
            return
        if fact.cause == "hung":
            yield from self._calls.stop(response)
        error = StatusError(type="server_error", code="server_error", message=fact.message)
        response.pause()
        yield from self._close(response, "failed", StatusDetails(type="failed", error=error))

    def _open(self, number: int) -> ActiveResponse | None:
        response = self._active.get(number)
        return response if response is not None and response.open else None

    def _sound(self, response: ActiveResponse, token: AudioToken) -> Iterator[Action]:
        if not len(token.samples):
            return
        self.spoke |= response.plan.joins
        yield from sends(response.emitter.sound(token.samples))
        if not (self._state.plays or response.plan.joins):
            return  # sound out of band is the client's business where the client plays
        if response.heard is None:  # else the client has stopped it, and plays nothing more of it
            if response.sound is Sound.NONE:
                response.sound = Sound.QUEUED
            yield Play(response.number, token)

    def _go_on(self, response: ActiveResponse) -> Iterator[Action]:
        """The model has stopped, or a call was answered while it stood still."""
        if response.calls.waiting:
            return
        if not self._calls.goes_on(response):
            yield from self._close(response, "completed", None)
        elif self._calls.here(response):
            yield from self._calls.go_on(response)
        else:
            following = self._calls.follow_up(response)
            yield from self._close(response, "completed", None)
            yield from self.start(following, Origin.SERVER)

    # --- the loudspeaker -------------------------------------------------------------------------------------------

    def playout_started(self, number: int) -> Iterator[Action]:
        """The first of its sound leaves; once more, where the end of it did not arrive."""
        if number in self._played:
            self._active[number] = self._played.pop(number)
            self._active[number].move(Step.REPLAY)
        response = self._active.get(number)
        if response is not None and self._state.plays and response.heard is None:
            response.sound = Sound.AUDIBLE
            yield Send(ev.OutputStarted(response_id=response.emitter.id))

    def playout_ended(self, number: int) -> Iterator[Action]:
        """The last of its sound has left, or the loudspeaker is given up."""
        response = self._active.get(number)
        if response is None or response.open:
            return
        self._remove(response, Step.END)
        if self._state.ledger.left(number):
            yield DropPlayout(number)
        else:
            self._played = {**dict(list(self._played.items())[1 - REPLAYABLE :]), number: response}
        if response.sound is Sound.AUDIBLE:
            yield Send(ev.OutputStopped(response_id=response.emitter.id))
        entry = self._state.conversation.get(response.item_id)
        if response.status == "cancelled" and entry is not None:
            heard = Heard(entry.id, *self._state.ledger.heard(number))
            yield from roll_back(self._state.conversation, entry, heard)

    # --- ending ----------------------------------------------------------------------------------------------------

    def barge_in(self, event: BargeIn) -> Iterator[Action]:
        """The user interrupts, by speech or by a key: a cut where the session's settings want one."""
        interrupted = [one for one in self._active.values() if one.plan.joins]
        if self._state.settings.interrupts and interrupted:
            yield from self._cut(interrupted, "turn_detected", event)
        else:
            yield Send(event)

    def silence(self) -> Iterator[Action]:
        """The client wants quiet, now."""
        if self._active:
            yield from self._cut(self._active.values(), "client_cancelled")

    def cancel(self, response_id: str | None) -> Iterator[Action]:
        """The client wants no more of a response; where the server plays, the sound that was made is still heard.

        Raises `Refused`."""
        named = (one for one in self._active.values() if one.open and one.emitter.id == response_id)
        response = self.current if response_id is None else next(named, None)
        if response is None:
            raise Refused("response_cancel_not_active", "Cancellation failed: no active response found")
        if self._state.plays and response.sound is not Sound.NONE:
            yield from self._calls.stop(response)
            yield from self._close(response, "cancelled", cancelled("client_cancelled"))
        else:
            yield from self._cut([response], "client_cancelled")

    def truncate(self, asked: ItemTruncate) -> Iterator[Action]:
        """The client reports how much of an answer was heard. Raises `Refused`."""
        entry, number, samples = aim(self._state.conversation, self._state.ledger, asked)
        yield DropPlayout(number)
        response = self._active.get(number)
        if response is not None and response.open:
            response.heard = entry.whole = samples  # the model is still at it, and is told when it has stopped
        else:
            if response is not None:
                self._remove(response, Step.CUT)
            heard = Heard(entry.id, samples, self._state.ledger.chars_at(number, samples))
            yield from roll_back(self._state.conversation, entry, heard)
        if response is not None and response.sound is Sound.AUDIBLE:
            response.sound = Sound.QUEUED
            yield Send(ev.OutputCleared(response_id=response.emitter.id))
        yield Send(ev.ItemTruncated(item_id=entry.id, content_index=0, audio_end_ms=asked.audio_end_ms))

    def cut(self, fact: PlayoutCut) -> Iterator[Action]:
        """The sound has stopped: the model is stopped, the context is cut to what was heard, the client is told."""
        pending, self._pending_cut = self._pending_cut, None
        assert pending is not None, "nothing was to be cut"
        done: list[Action] = []
        told: list[Action] = []
        cut = unheard = False
        for position in fact.positions:
            response = self._active[position.number]
            if not response.open and position.samples == self._state.ledger.pushed(position.number):
                continue  # all of it was heard, and the playout is about to say so
            cut = True
            unheard |= pending.reason == "turn_detected" and not _noticed(response, position.samples)
            open_until_now = response.open
            if open_until_now:
                done += self._calls.stop(response)
                response.pause()
                told += sends(response.emitter.close("cancelled", cancelled(pending.reason), response.usage))
            context = list(self._context(response, open_until_now))
            self._remove(response, Step.CUT)
            done += [action for action in context if not isinstance(action, Send)]
            if response.sound is Sound.AUDIBLE:
                told.append(Send(ev.OutputCleared(response_id=response.emitter.id)))
            notes = [action for action in context if isinstance(action, Send)]
            if notes and self._state.plays:
                ms = position.samples * 1000 // SAMPLE_RATE
                told.append(Send(ev.ItemTruncated(item_id=response.item_id, content_index=0, audio_end_ms=ms)))
            told += notes
        if cut:  # (a client that plays by itself is told nothing of a response that had all been made)
            self._state.pending.unheard = unheard
        yield from [*done, *([Send(pending.event)] if pending.event is not None else []), *told]

    def _cut(
        self, responses: Iterable[ActiveResponse], reason: Reason, event: BargeIn | None = None
    ) -> Iterator[Action]:
        self._pending_cut = _PendingCut(reason, event)
        yield CutPlayout(tuple(response.number for response in responses))

    def _context(self, response: ActiveResponse, open_until_now: bool) -> Iterator[Action]:
        """The model's context after a response was cut."""
        conversation = self._state.conversation
        heard = response.cut_at(self._state)
        if open_until_now:
            yield from settle(conversation, response.plan, response.emitter, heard)
        elif heard is not None and response.plan.joins and (entry := conversation.get(response.item_id)):
            yield from roll_back(conversation, entry, heard)

    def _close(self, response: ActiveResponse, status: Status, details: StatusDetails | None) -> Iterator[Action]:
        """Nothing more is made; what has been made is still heard."""
        response.status = status
        if response.plan.joins:
            spoken = response.plan.modality == "audio" and not response.plan.spec.words
            self._state.pending.apology = status == "failed" and spoken
            self._state.pending.end(status == "completed", response.emitter.empty)
        yield from self._calls.leave(response)
        yield from sends(response.emitter.close(status, details, response.usage))
        if response.sound is not Sound.NONE and response.heard is None:
            response.move(Step.CLOSE)
            yield FinishPlayout(response.number, asks=response.emitter.text.rstrip().endswith("?"))
        else:
            self._remove(response, Step.END)
        heard = response.truncated_at(self._state)
        yield from settle(self._state.conversation, response.plan, response.emitter, heard)
        yield from self._state.trim()

    def _remove(self, response: ActiveResponse, step: Step) -> None:
        del self._active[response.number]
        response.move(step)


def _noticed(response: ActiveResponse, samples: int) -> bool:
    """Some of the response reached the user."""
    return samples > NOTICED if response.plan.modality == "audio" else response.emitter.opened
