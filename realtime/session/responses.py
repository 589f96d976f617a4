"""The responses of a session: how one starts, where its tokens go, and how it ends.

    start ──► tokens ──► close     nothing more is generated; what was generated is still played
                    └──► cut       CutPlayout ──► PlayoutCut ──► StopReply → Cut → events for the client

One response at a time belongs to the conversation; responses out of band run beside it and are never interrupted. Over
WebRTC and phones the server owns playback, so it truncates by itself; over a WebSocket the client reports how much the
user heard. The life of one response is the table in response.py.

A cut takes two facts, because only the owner of the playout knows its position once the far end has dropped the sound
that it was sent: the first fact stops the sound, `PlayoutCut` reports how much was heard, and the rest follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.dialogue import AudioToken, Done, Heard, Observation, TextToken, ToolCall, Working
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
from vivavoce.realtime.session.model_context import roll_back, settle, truncation
from vivavoce.realtime.session.response import (
    ActiveResponse,
    Origin,
    Phase,
    Reason,
    Sound,
    Step,
    cancelled,
    invites_answer,
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
"""Samples (0.1 s) of an answer that the user does not notice: sound that leaves before the user goes on."""

REPLAYABLE: Final = 4
"""Responses that can sound again after they were played."""

BargeIn = ev.SpeechStarted | ev.DtmfReceived
"""The event for the client when the user interrupts."""


@dataclass(frozen=True, slots=True)
class _PendingCut:
    """A cut that waits for `PlayoutCut`. `event` is sent before the events of the response."""

    reason: Reason
    event: BargeIn | None


class Responses:
    """All responses of one session."""

    def __init__(self, state: State, conversation_id: str) -> None:
        self._state = state
        self._conversation_id = conversation_id
        self._count = 0
        self._active: dict[int, ActiveResponse] = {}
        self._played: dict[int, ActiveResponse] = {}  # the last ones that were played to their end
        self._pending_cut: _PendingCut | None = None
        self._calls = ServerCalls(state)
        self.spoke = False  # has sound: the voice cannot change any more

    # --- state -----------------------------------------------------------------------------------------------------

    @property
    def current(self) -> ActiveResponse | None:
        """The response of the conversation that is being generated."""
        return next((one for one in self._active.values() if one.open and one.plan.joins), None)

    @property
    def busy(self) -> bool:
        """Whether a response of the conversation is being generated or played."""
        return any(one.plan.joins for one in self._active.values())

    @property
    def cutting(self) -> bool:
        """Whether a cut waits for `PlayoutCut`; no response may begin."""
        return self._pending_cut is not None

    @property
    def cut_by_speech(self) -> bool:
        """Whether a cut waits for `PlayoutCut` because the user has begun to speak."""
        return self._pending_cut is not None and isinstance(self._pending_cut.event, ev.SpeechStarted)

    @property
    def awaits_answer(self) -> bool:
        """Whether the last words that the user heard are a question. Always False where the client plays."""
        number = self._state.ledger.audible
        response = self._active.get(number) if number is not None and self._state.plays else None
        if response is None:
            return False
        return invites_answer(response.emitter.text[: self._state.ledger.heard(response.number)[1]])

    def response_id(self, number: int) -> str | None:
        """The id on the wire of a response that is generated or played."""
        response = self._active.get(number)
        return response.emitter.id if response else None

    def item_id(self, number: int) -> str | None:
        """The id of the item of a response that is generated or played."""
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
        """Raises `Refused` once the assistant has spoken: the voice cannot change any more."""
        if self.spoke:
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise Refused("cannot_update_voice", message, param)

    def claim(self) -> bool:
        """Whether the server had begun the current response by itself; from now on it is the one that the client
        requested."""
        current = self.current
        claimed = current is not None and current.origin is Origin.SERVER
        if current is not None:
            current.origin = Origin.CLIENT
        return claimed

    def start(self, plan: Plan, origin: Origin = Origin.CLIENT) -> Iterator[Action]:
        """Begins a response. Call `refuse_second` first."""
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
        """Takes the next token; one of a response that has closed is dropped."""
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
            case Working() | Observation():
                pass  # the watchdog takes the one, `TurnLatency` the other
            case Done(reason=reason, usage=usage):
                response.pause()
                response.usage = total(response.usage, usage)
                if reason == "length" and not response.calls.waiting and not response.calls.answered:
                    cut = StatusDetails(type="incomplete", reason="max_output_tokens")
                    yield from self._close(response, "incomplete", cut)
                else:
                    yield from self._go_on(response)

    def answered(self, fact: ToolAnswered) -> Iterator[Action]:
        """Takes the outcome of a call that the server ran for a response."""
        response = self._open(fact.number)
        if response is not None:
            yield from self._calls.answered(response, fact)
            if response.phase is Phase.PAUSED:
                yield from self._go_on(response)

    def late(self, number: int) -> Iterator[Action]:
        """A response has waited long for its calls: the assistant may say so."""
        response = self._open(number)
        if response is not None:
            yield from self._calls.late(response)

    def fail(self, fact: ReplyFailed) -> Iterator[Action]:
        """The model failed: begins again where nothing was lost, else closes the response."""
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
            return  # where the client plays, it plays sound out of band, too
        if response.heard is None:  # else the client has truncated it, and plays no more of it
            if response.sound is Sound.NONE:
                response.sound = Sound.QUEUED
            yield Play(response.number, token)

    def _go_on(self, response: ActiveResponse) -> Iterator[Action]:
        """The model has stopped, or a call was answered after it had stopped."""
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

    # --- playout ---------------------------------------------------------------------------------------------------

    def playout_started(self, number: int) -> Iterator[Action]:
        """The first sound of reply `number` leaves; a second time where the end of it did not arrive."""
        if number in self._played:
            self._active[number] = self._played.pop(number)
            self._active[number].move(Step.REPLAY)
        response = self._active.get(number)
        if response is not None and self._state.plays and response.heard is None:
            response.sound = Sound.AUDIBLE
            yield Send(ev.OutputStarted(response_id=response.emitter.id))

    def playout_ended(self, number: int) -> Iterator[Action]:
        """The last sound of reply `number` has left, or the watchdog gives it up."""
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
        """The user interrupts, by speech or by a key: cuts the responses, if the settings say so."""
        interrupted = [one for one in self._active.values() if one.plan.joins]
        if self._state.settings.interrupts and interrupted:
            yield from self._cut(interrupted, "turn_detected", event)
        else:
            yield Send(event)

    def silence(self) -> Iterator[Action]:
        """Stops all sound, for `output_audio_buffer.clear`."""
        if self._active:
            yield from self._cut(self._active.values(), "client_cancelled")

    def cancel(self, response_id: str | None) -> Iterator[Action]:
        """Cancels a response; where the server plays, its sound so far is still played. Raises `Refused`."""
        named = (one for one in self._active.values() if one.open and one.emitter.id == response_id)
        response = self.current if response_id is None else next(named, None)
        if response is None:
            raise Refused("response_cancel_not_active", "Cancellation failed: no active response found")
        if self._state.plays and response.sound is not Sound.NONE:
            yield from self._calls.stop(response)
            yield from self._close(response, "cancelled", cancelled("client_cancelled"))
        else:
            yield from self._cut([response], "client_cancelled")

    def truncate(self, event: ItemTruncate) -> Iterator[Action]:
        """The client reports how much of an answer was heard. Raises `Refused`."""
        entry, number, samples = truncation(self._state.conversation, self._state.ledger, event)
        yield DropPlayout(number)
        response = self._active.get(number)
        if response is not None and response.open:
            response.heard = entry.whole = samples  # the model's context is cut once it has stopped
        else:
            if response is not None:
                self._remove(response, Step.CUT)
            heard = Heard(entry.id, samples, self._state.ledger.chars_at(number, samples))
            yield from roll_back(self._state.conversation, entry, heard)
        if response is not None and response.sound is Sound.AUDIBLE:
            response.sound = Sound.QUEUED
            yield Send(ev.OutputCleared(response_id=response.emitter.id))
        yield Send(ev.ItemTruncated(item_id=entry.id, content_index=0, audio_end_ms=event.audio_end_ms))

    def cut(self, fact: PlayoutCut) -> Iterator[Action]:
        """The sound has stopped: stops the model, cuts its context to what was heard, informs the client."""
        pending, self._pending_cut = self._pending_cut, None
        assert pending is not None, "no cut was requested"
        stopped: list[Action] = []
        events: list[Action] = []
        cut = unheard = False
        for position in fact.positions:
            response = self._active[position.number]
            if not response.open and position.samples == self._state.ledger.pushed(position.number):
                continue  # all of it was heard, and the playout is about to say so
            cut = True
            unheard |= pending.reason == "turn_detected" and not _noticed(response, position.samples)
            open_until_now = response.open
            if open_until_now:
                stopped += self._calls.stop(response)
                response.pause()
                events += sends(response.emitter.close("cancelled", cancelled(pending.reason), response.usage))
            context = list(self._context(response, open_until_now))
            self._remove(response, Step.CUT)
            stopped += [action for action in context if not isinstance(action, Send)]
            if response.sound is Sound.AUDIBLE:
                events.append(Send(ev.OutputCleared(response_id=response.emitter.id)))
            notes = [action for action in context if isinstance(action, Send)]
            if notes and self._state.plays:
                ms = position.samples * 1000 // SAMPLE_RATE
                events.append(Send(ev.ItemTruncated(item_id=response.item_id, content_index=0, audio_end_ms=ms)))
            events += notes
        if cut:  # (a client that plays by itself gets no event of a response that was complete)
            self._state.pending.unheard = unheard
        yield from [*stopped, *([Send(pending.event)] if pending.event is not None else []), *events]

    def _cut(
        self, responses: Iterable[ActiveResponse], reason: Reason, event: BargeIn | None = None
    ) -> Iterator[Action]:
        self._pending_cut = _PendingCut(reason, event)
        yield CutPlayout(tuple(response.number for response in responses))

    def _context(self, response: ActiveResponse, open_until_now: bool) -> Iterator[Action]:
        """Cuts the model's context after a response was cut."""
        conversation = self._state.conversation
        heard = response.cut_at(self._state)
        if open_until_now:
            yield from settle(conversation, response.plan, response.emitter, heard)
        elif heard is not None and response.plan.joins and (entry := conversation.get(response.item_id)):
            yield from roll_back(conversation, entry, heard)

    def _close(self, response: ActiveResponse, status: Status, details: StatusDetails | None) -> Iterator[Action]:
        """Ends the generation; what was generated is still played."""
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
    """Whether some of the response reached the user."""
    return samples > NOTICED if response.plan.modality == "audio" else response.emitter.opened
