"""How replies end: completed, cancelled, cut by the user's voice, or told by a client to have been heard only so far.

close      nothing more is made; what was made already is still heard
silence    nothing more is heard: StopReply → Cut → tell the client
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.dialogue import Heard
from vivavoce.realtime.events import Action, Send
from vivavoce.realtime.session.model_context import aim, roll_back, settle
from vivavoce.realtime.session.response import ActiveResponse, Reason, as_told, cancelled, cut_at
from vivavoce.realtime.session.response_output import Status
from vivavoce.realtime.session.server_tools import ServerCalls
from vivavoce.realtime.session.state import State, sends
from vivavoce.realtime.wire import server_events as ev
from vivavoce.realtime.wire.client_events import ItemTruncate
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.response_events import StatusDetails

NOTICED: Final = SAMPLE_RATE // 10
"""Samples (0.1 s) of an answer that nobody notices: what leaves before it is known that the user goes on."""

REMEMBERED: Final = 4
"""Replies that can begin again after they were played."""


class Truncation:
    """The ends of one session's replies; takes out of `replies` those that are over."""

    def __init__(self, state: State, replies: dict[int, ActiveResponse], calls: ServerCalls) -> None:
        self._state = state
        self._replies = replies
        self._calls = calls
        self._played: dict[int, ActiveResponse] = {}  # the last ones that were played to their end

    def default(self) -> ActiveResponse | None:
        """The reply of the conversation that is being made."""
        return next((r for r in self._replies.values() if r.running and r.plan.joins), None)

    def playout_started(self, number: int) -> Iterator[Action]:
        """The first of its sound leaves; once more, where the end of it did not arrive."""
        if number in self._played:
            self._replies[number] = self._played.pop(number)
        reply = self._replies.get(number)
        if reply is not None and self._state.plays and reply.heard is None:
            reply.started = True
            yield Send(ev.OutputStarted(response_id=reply.ladder.id))

    def playout_ended(self, number: int) -> Iterator[Action]:
        """The last of its sound has left, or the loudspeaker is given up."""
        reply = self._replies.get(number)
        if reply is None or reply.running:
            return
        del self._replies[number]
        if self._state.playout.left(number):
            self._state.playout.cut(number)
        else:
            self._played = {**dict(list(self._played.items())[1 - REMEMBERED :]), number: reply}
        if reply.started:
            yield Send(ev.OutputStopped(response_id=reply.ladder.id))
        entry = self._state.conversation.get(reply.item_id)
        if reply.short and entry is not None:
            heard = Heard(entry.id, *self._state.playout.heard(number))
            yield from roll_back(self._state.conversation, entry, heard)

    def interrupt(self) -> tuple[list[Action], list[Action]]:
        """The user cuts in: what is done at once, and what the client is told after it."""
        return self._silence([r for r in self._replies.values() if r.plan.joins], "turn_detected")

    def give_way(self, told: ev.SpeechStarted | ev.DtmfReceived) -> Iterator[Action]:
        """The user makes himself heard, as `told` says: that is a cut where the session wants it to be one."""
        done, after = self.interrupt() if self._state.settings.interrupts else ([], [])
        yield from [*done, Send(told), *after]

    def silence(self) -> list[Action]:
        """The client wants quiet, now."""
        done, told = self._silence(list(self._replies.values()), "client_cancelled")
        return [*done, *told]

    def cancel(self, response_id: str | None) -> Iterator[Action]:
        """The client wants no more of a reply; where the server plays, what was made already is still heard.

        Raises `Refused`."""
        running = (r for r in self._replies.values() if r.running and r.ladder.id == response_id)
        reply = self.default() if response_id is None else next(running, None)
        if reply is None:
            raise Refused("response_cancel_not_active", "Cancellation failed: no active response found")
        if self._state.plays and reply.pushed:
            reply.short = True
            yield from self._calls.stop(reply)
            yield from self.close(reply, "cancelled", cancelled("client_cancelled"))
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

    def close(self, reply: ActiveResponse, status: Status, details: StatusDetails | None) -> Iterator[Action]:
        """Nothing more is made; what has been made is still heard."""
        reply.running = False
        if reply.plan.joins:
            spoken = reply.plan.modality == "audio" and not reply.plan.spec.words
            self._state.owed.apology = status == "failed" and spoken
            self._state.owed.end(status == "completed", reply.ladder.empty)
        yield from self._calls.leave(reply)
        yield from sends(reply.ladder.close(status, details, reply.usage))
        if reply.pushed and reply.heard is None:
            self._state.playout.finish(reply.number, asks=reply.ladder.text.rstrip().endswith("?"))
        else:
            del self._replies[reply.number]
        yield from settle(self._state.conversation, reply.plan, reply.ladder, as_told(reply, self._state))
        yield from self._state.trim()

    def _silence(self, replies: list[ActiveResponse], reason: Reason) -> tuple[list[Action], list[Action]]:
        """Cuts replies: first what is done, then what is told."""
        done: list[Action] = []
        told: list[Action] = []
        cut = unheard = False
        for reply in replies:
            samples, _ = self._state.playout.heard(reply.number)
            if not reply.running and samples == self._state.playout.pushed(reply.number):
                continue  # all of it was heard, and the playout is about to say so
            self._state.playout.cut(reply.number)
            del self._replies[reply.number]
            cut = True
            unheard |= reason == "turn_detected" and not _noticed(reply, samples)
            if reply.running:
                done += self._calls.stop(reply)
                told += sends(reply.ladder.close("cancelled", cancelled(reason), reply.usage))
            context = list(self._context(reply))
            done += [action for action in context if not isinstance(action, Send)]
            if reply.started:
                told.append(Send(ev.OutputCleared(response_id=reply.ladder.id)))
            notes = [action for action in context if isinstance(action, Send)]
            if notes and self._state.plays:
                ms = samples * 1000 // SAMPLE_RATE
                told.append(Send(ev.ItemTruncated(item_id=reply.item_id, content_index=0, audio_end_ms=ms)))
            told += notes
        if cut:  # (a client that plays by itself is told nothing of a reply that had all been made)
            self._state.owed.unheard = unheard
        return done, told

    def _context(self, reply: ActiveResponse) -> Iterator[Action]:
        """The model's context after a reply was cut."""
        conversation = self._state.conversation
        heard = cut_at(reply, self._state)
        if reply.running:
            yield from settle(conversation, reply.plan, reply.ladder, heard)
        elif heard is not None and reply.plan.joins and (entry := conversation.get(reply.item_id)):
            yield from roll_back(conversation, entry, heard)


def _noticed(reply: ActiveResponse, samples: int) -> bool:
    """Some of the reply reached the user."""
    return samples > NOTICED if reply.plan.modality == "audio" else reply.ladder.opened
