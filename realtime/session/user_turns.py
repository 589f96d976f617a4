"""The user's turns: speech that becomes items, by the floor's decision or by the client's.

    turn detection    TurnStarted → keep* → TurnEnded          speech_started … speech_stopped, committed, item
    manual            keep* → commit                           committed, item
    silence           TurnIdle                                 timeout_triggered, committed, item

    Transcript        the words of an item, whenever they are recognized

Responses are started by scheduling.py and cut by responses.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vivavoce.codecs.audio import SAMPLE_RATE, Samples
from vivavoce.model.dialogue import Message, Transcript
from vivavoce.realtime.events import Action, CloseTurn, DropTurn, Read, Send, TurnIdle, TurnSound
from vivavoce.realtime.session.audio_buffer import MIN_COMMIT_MS, InputBuffer
from vivavoce.realtime.session.conversation import Entry, entry
from vivavoce.realtime.session.state import State
from vivavoce.realtime.wire import server_events as ev
from vivavoce.realtime.wire.errors import Refused
from vivavoce.realtime.wire.items import InputAudio, InputText, MessageItem

MAX_TRANSCRIPT: Final = 65_536  # characters


class UserTurns:
    """The user's turns in one session."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._buffer = InputBuffer(state.settings.input_format)
        self._item_id: str | None = None  # of the turn which the floor has opened

    @property
    def taken(self) -> bool:
        """Whether the user has the floor."""
        return self._item_id is not None

    @property
    def open(self) -> bool:
        """Whether sound waits to become an item."""
        return self._item_id is not None or self._buffer.ms > 0

    # --- from the client ---

    def decode(self, content: bytes) -> Samples:
        """Decodes appended sound for the floor. Raises `Refused`."""
        return self._buffer.decode(content)

    def commit(self) -> Iterator[Action]:
        """The client closes the turn. Raises `Refused`."""
        manual = self._state.settings.detection is None
        ms = self._buffer.ms_appended if manual else self._buffer.ms
        if ms < MIN_COMMIT_MS:
            message = (
                "Error committing input audio buffer: buffer too small. "
                f"Expected at least {MIN_COMMIT_MS}ms of audio, but buffer only has {ms:.2f}ms of audio."
            )
            raise Refused("input_audio_buffer_commit_empty", message)
        self._state.require_room()
        rest = None
        samples = self._buffer.rest()
        if manual and len(samples):
            self._buffer.keep(samples)
            rest = TurnSound(samples, voiced=False)
        yield from self._close(self._item_id or self._state.ids.new("item"), by_client=True, rest=rest)

    def clear(self) -> Iterator[Action]:
        """The client drops the turn."""
        self._buffer.rest()
        self._buffer.clear()
        self._item_id = None
        yield DropTurn()
        yield Send(ev.AudioCleared())

    def retune(self, was_manual: bool) -> Iterator[Action]:
        """Takes new settings. Sound that waits for a commit must not become part of a turn that the floor opens."""
        settings = self._state.settings
        if settings.input_format != self._buffer.form:
            self._buffer.retune(settings.input_format)
        if was_manual and settings.detection is not None and self.open:
            self._buffer.clear()
            self._item_id = None  # of a turn that began before turns were manual
            yield DropTurn()

    # --- from the floor ---

    def started(self, start: int) -> ev.SpeechStarted | None:
        """The user took the floor. Returns the event for the client, to be sent once a reply has been cut; None with
        manual turns."""
        if self._state.settings.detection is None or self._item_id is not None:
            return None
        self._item_id = self._state.ids.new("item")
        return ev.SpeechStarted(audio_start_ms=_ms(start), item_id=self._item_id)

    def keep(self, sound: TurnSound) -> bool:
        """Keeps more of the turn. Returns False for sound of a turn that was closed meanwhile."""
        kept = self._item_id is not None or self._state.settings.detection is None
        if kept:
            self._buffer.keep(sound.samples)
        return kept

    def ended(self, end: int) -> Iterator[Action]:
        """The user, who had the floor, released it. Raises `Refused`."""
        item_id = self._item_id
        assert item_id is not None
        yield Send(ev.SpeechStopped(audio_end_ms=_ms(end), item_id=item_id))
        try:
            self._state.require_room()
        except Refused:
            yield from self.clear()
            raise
        yield from self._close(item_id, by_client=False)

    def idle(self, fact: TurnIdle) -> Iterator[Action]:
        """Neither side has spoken for long: the silence becomes an item. Raises `Refused`."""
        self._state.require_room()
        item_id = self._state.ids.new("item")
        start, end = _ms(fact.start), _ms(fact.end)
        yield Send(ev.IdleTimeout(audio_start_ms=start, audio_end_ms=end, item_id=item_id))
        silence = Entry(_spoken(item_id), seconds=(fact.end - fact.start) / SAMPLE_RATE)
        yield from self._commit(silence, Read(Message(item_id, "user", ""), None))

    # --- from the telephone's keys ---

    def typed(self, keys: str) -> Iterator[Action]:
        """The caller typed this. Raises `Refused`."""
        self._state.require_room()
        part = InputText(text=f"[The caller pressed {' '.join(keys)} on the telephone.]")
        yield from self._state.insert(entry(MessageItem(role="user", content=[part]), self._state.ids.new("item")))

    # --- from the ASR ---

    def transcript(self, fact: Transcript) -> Iterator[Action]:
        """Takes the ASR's text of a turn. Text of an item that is gone, or has its text already, is dropped."""
        conversation = self._state.conversation
        entry = conversation.get(fact.turn)
        if not fact.final:
            if entry is None and not self.open:
                return  # late: the turn has been committed or dropped
            item_id = self._item_id if entry is None else entry.id
            yield Send(ev.PartialTranscript(item_id=item_id, stable=fact.stable, tail=fact.tail))
            return
        if entry is None or not entry.awaits_words:
            return
        requested = self._state.settings.transcription is not None or self._state.settings.kind == "transcription"
        if fact.error:
            if requested:
                fault = ev.TranscriptionFault(type="server_error", code="transcription_failed", message=fact.error)
                yield Send(ev.TranscriptionFailed(item_id=entry.id, content_index=0, error=fault))
            return
        text = fact.text[:MAX_TRANSCRIPT]
        conversation.transcribe(entry.id, text)
        if not requested:
            return
        if text:
            yield Send(ev.TranscriptionDelta(item_id=entry.id, content_index=0, delta=text))
        usage = ev.DurationUsage(seconds=entry.seconds)
        yield Send(ev.TranscriptionCompleted(item_id=entry.id, content_index=0, transcript=text, usage=usage))

    # --- both ---

    def _close(self, item_id: str, by_client: bool, rest: TurnSound | None = None) -> Iterator[Action]:
        sound, seconds = self._buffer.close()
        self._item_id = None
        yield from self._commit(
            Entry(_spoken(item_id), sound=sound, seconds=seconds), CloseTurn(item_id, by_client, rest)
        )

    def _commit(self, turn: Entry, model: Action) -> Iterator[Action]:
        before = self._state.conversation.last
        yield Send(ev.AudioCommitted(previous_item_id=before, item_id=turn.id))
        yield from self._state.insert(turn, model)


def _spoken(item_id: str) -> MessageItem:
    return MessageItem(id=item_id, object="realtime.item", status="completed", role="user", content=[InputAudio()])


def _ms(samples: int) -> int:
    return samples * 1000 // SAMPLE_RATE
