"""One call, from the microphone to the loudspeaker. Start reading here.

    microphone ──► receive ──Sound──► ┌──────────┐ ──► front end ──► windows ──► floor ──► TurnStarted … ─┐
    camera ──────► receive ──Seen───► │          │ ──► dialogue.see                │                       │
    client ──────► receive ─Message─► │ converse │ ◄───────────────────────────────┼───────────────────────┘
    classifiers ─► opinions ────────► │          │                                 └─TurnSound─► dialogue.hear
    model ───────► Transcript ──────► │          │
    model ───────► respond ──Replied─►│          │ ──► session core ──► actions ──► perform ─┬► peers.tell
    watchdog ────► Tick ─────────────►│          │                                           ├► dialogue.turn, read, cut
    loudspeaker ◄─ speak ◄─ playout ◄─└──────────┘ ◄── PlayoutStarted, Ended, Cut            ├► playout.receive
                                                                                             └► start, cancel respond

`converse` is the only reader of the inbox, and so the only place of decisions: the session core takes one fact at a
time, in one order. Everything else moves data. Sound goes past the session, from the floor to the model; sound that a
client appends by message takes the path of the microphone. A message with attachments waits until they are decoded, and
so do those behind it. The pipeline owns the playout: it alone changes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal, assert_never

from msgspec import structs

from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.model.dialogue import Dialogue, Transcript
from vivavoce.model.errors import DialogueError, NotRecognized, ToolCallError
from vivavoce.realtime.audio.front_end import FrontEnd
from vivavoce.realtime.audio.playout import Playout, PlayoutFull
from vivavoce.realtime.decoding import AttachmentDecoder
from vivavoce.realtime.events import (
    Action,
    Anticipate,
    CallTool,
    Clean,
    CloseTurn,
    Cut,
    CutPlayout,
    DropPlayout,
    DropTurn,
    Fact,
    FinishPlayout,
    Forget,
    ListTools,
    Play,
    PlayoutAction,
    PlayoutEnded,
    PlayoutFact,
    PlayoutStarted,
    Read,
    Replied,
    ReplyFailed,
    Retune,
    Send,
    SetLoudness,
    StartReply,
    StopReply,
    StopTools,
    TurnSound,
)
from vivavoce.realtime.monitor.latency import ObservationReport, Report, TurnLatency
from vivavoce.realtime.monitor.watchdog import LOOK, Tick, TurnStuck, Watchdog
from vivavoce.realtime.peers.sideband import Peers
from vivavoce.realtime.session.attachments import Attachments, Decoded, is_heavy
from vivavoce.realtime.session.session import Session
from vivavoce.realtime.tools.runner import ToolRunner
from vivavoce.realtime.transports import Message, Seen, Sound
from vivavoce.realtime.transports.queues import Inbox
from vivavoce.realtime.turns.classifiers import Classified, Classifiers, EndpointClassified, OverlapRecognized
from vivavoce.realtime.turns.endpointing import AskEndpoint
from vivavoce.realtime.turns.floor import AskOverlap, FloorFact
from vivavoce.realtime.turns.windows import MicrophoneWindows
from vivavoce.realtime.wire import ClientEvent
from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire.client_events import AudioAppend, AudioCommit
from vivavoce.realtime.wire.errors import Refused, WireError
from vivavoce.realtime.wire.server_events import PictureSeen, SeenThing
from vivavoce.realtime.wire.server_events import TurnLatency as TurnLatencyEvent

log = logging.getLogger(__name__)

MAX_BEHIND = 8 << 20
"""Bytes of messages behind one whose attachments are being decoded; then the call waits for these."""

PIECE = 16_384
"""Bytes of appended sound that are decoded at once: 0.3 s, or 2 s of G.711 (2 ms)."""

NOT_RETRIED = (NotRecognized, ToolCallError)
"""Failures of a reply after which another try would fail alike."""

SLICE = SAMPLE_RATE // 10
"""Samples (0.1 s) of sound that are processed at once, so that other calls get their turn (about 1 ms each)."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a call; call.py builds and frees them."""

    peers: Peers
    dialogue: Dialogue
    session: Session
    playout: Playout
    windows: MicrophoneWindows
    classifiers: Classifiers
    latency: TurnLatency
    tools: ToolRunner
    watchdog: Watchdog
    front_end: FrontEnd = field(default_factory=FrontEnd)
    decoder: AttachmentDecoder = field(default_factory=AttachmentDecoder)
    attachments: Attachments = field(default_factory=Attachments)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A client's event whose attachments are decoded, or why it is refused."""

    event: ClientEvent
    outcome: Decoded | WireError


class Pipeline:
    """The parts of one call, connected. `run` lasts as long as the call."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._inbox: Inbox[Fact | Classified | Tick | Prepared] = Inbox()
        self._preparing: asyncio.Task[None] | None = None
        self._behind: deque[str | bytes] = deque()  # messages behind one whose attachments are being decoded
        self._behind_size = 0
        self._replies: dict[int, asyncio.Task[None]] = {}
        self._began = 0.0
        self.active_at = 0.0  # when one side last spoke or wrote

    async def run(self) -> None:
        """Raises `PeerGone`, in an exception group, when the peer leaves."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._parts.peers.receive(self._inbox))
            tasks.create_task(self._parts.peers.speak(self._pull))
            tasks.create_task(self._transcribe())
            tasks.create_task(self._watch())
            self._parts.tools.attach(tasks, self._inbox.post)
            try:
                await self._converse()
            finally:
                self._parts.tools.detach()

    # --- towards the inbox -------------------------------------------------------------------------------------

    async def _transcribe(self) -> None:
        async for transcript in self._parts.dialogue.transcripts():
            self._inbox.post(transcript)

    async def _respond(self, action: StartReply) -> None:
        try:
            async with aclosing(self._parts.dialogue.reply(action.spec)) as tokens:
                async for token in tokens:
                    self._inbox.post(Replied(action.number, token))
        except DialogueError as error:
            cause: Literal["error", "passing"] = "error" if isinstance(error, NOT_RETRIED) else "passing"
            log.warning("reply failed", extra={"reply": action.number})
            self._inbox.post(ReplyFailed(action.number, str(error), cause))
        finally:
            if self._replies.get(action.number) is asyncio.current_task():  # not the next run for the same reply
                del self._replies[action.number]

    async def _watch(self) -> None:
        """Posts a `Tick` when a deadline of the watchdog has passed."""
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(LOOK)
            deadline = self._parts.watchdog.deadline
            if deadline is not None and deadline <= now():
                self._inbox.post(Tick())

    def _pull(self) -> Samples:
        frame = self._parts.playout.take(FRAME)
        for number in frame.started:
            self._inbox.post(PlayoutStarted(number))
        for number in frame.ended:
            self._inbox.post(PlayoutEnded(number))
        self._parts.front_end.play(frame.samples)
        return frame.samples

    # --- the one reader ----------------------------------------------------------------------------------------

    async def _converse(self) -> None:
        opening = self._parts.session.open()
        self._began = asyncio.get_running_loop().time()
        self._parts.watchdog.follow(opening, self._began)
        self._perform(opening)
        async for fact in self._inbox.facts():
            match fact:
                case Sound(samples=samples):
                    await self._listen(samples)
                case Seen(picture=picture):
                    self._parts.dialogue.see(picture)
                case Message(text=text):
                    await self._read(text)
                case Prepared():
                    await self._read_on(fact)
                case EndpointClassified() | OverlapRecognized():
                    self._classified(fact)
                case Tick():
                    self._rescue()
                case Transcript(whole=True, text=text, finished=finished):
                    self._decide(fact)
                    self._take_turns(self._parts.windows.floor.recognized(text, finished))
                case _:
                    self._decide(fact)

    async def _listen(self, samples: Samples) -> None:
        for start in range(0, len(samples), SLICE):
            audible = self._parts.playout.interruptible
            piece = self._parts.front_end.receive(samples[start : start + SLICE])
            self._take_turns(self._parts.windows.receive(piece, audible, self._busy))
            classifiers = self._parts.classifiers
            if classifiers.requests and (result := await classifiers.overdue()):
                self._classified(result)
            if start:
                await asyncio.sleep(0)

    def _take_turns(self, facts: list[FloorFact]) -> None:
        for fact in facts:
            match fact:
                case AskEndpoint() | AskOverlap():
                    self._parts.classifiers.start(fact, self._tasks, self._inbox.post)
                case TurnSound():
                    self._hear(fact)
                case _:
                    self._decide(fact)

    def _hear(self, sound: TurnSound) -> None:
        """Passes sound of the open turn to the model, past the session core."""
        if sound.voiced:
            self._touch()  # silence of an open microphone is no activity
        self._parts.watchdog.sound(asyncio.get_running_loop().time())
        if self._parts.session.keep(sound):
            self._parts.dialogue.hear(sound.samples, sound.voiced)

    def _classified(self, result: Classified) -> None:
        """Passes the result of a classifier to the floor."""
        floor = self._parts.windows.floor
        if isinstance(result, EndpointClassified):
            self._take_turns(floor.end_of_turn(result.at, result.probability))
        else:
            overlap, question = result.opinion, self._parts.session.awaits_answer
            facts = floor.overlap_recognized(result.at, result.age, overlap.text, overlap.interruption, question)
            self._take_turns(facts)

    async def _read(self, text: str | bytes) -> None:
        if self._preparing is not None:
            self._behind.append(text)
            self._behind_size += len(text)
            if self._behind_size > MAX_BEHIND:
                await asyncio.wait((self._preparing,))
            return
        message = wire.parse(text)
        if isinstance(message, AudioAppend):
            await self._append(message)
            return
        self._touch()
        if not isinstance(message, WireError):
            message = self._parts.session.check(message) or message
        if isinstance(message, WireError):
            self._perform(self._parts.session.reject(message))
            return
        if is_heavy(message):
            self._preparing = self._tasks.create_task(self._prepare(message))
            return
        if isinstance(message, AudioCommit):
            windows, rest = self._parts.windows, self._parts.front_end.flush()
            facts = windows.receive(rest, self._parts.playout.interruptible, self._busy)
            self._take_turns([*facts, *windows.flush()])
        self._decide(message)

    async def _append(self, event: AudioAppend) -> None:
        """Processes appended sound in pieces, so that other calls get their turn."""
        for start in range(0, max(len(event.audio), 1), PIECE):
            whole = len(event.audio) <= PIECE
            piece = event if whole else structs.replace(event, audio=event.audio[start : start + PIECE])
            appended = self._parts.session.decode(piece)
            if isinstance(appended, WireError):
                self._perform(self._parts.session.reject(appended))
                return
            await self._listen(appended)
            if not whole:
                await asyncio.sleep(0)

    async def _prepare(self, event: ClientEvent) -> None:
        """Decodes the attachments of an event. The conversation goes on meanwhile; later messages wait."""
        outcome: Decoded | WireError
        try:
            outcome = await self._parts.decoder.decode(event, self._parts.session.settings.input_format)
        except Refused as refused:
            outcome = WireError(refused.code, refused.message, refused.param, event.event_id)
        self._inbox.post(Prepared(event, outcome))

    async def _read_on(self, prepared: Prepared) -> None:
        self._preparing = None
        if isinstance(prepared.outcome, WireError):
            self._perform(self._parts.session.reject(prepared.outcome))
        else:
            self._parts.attachments.keep(prepared.outcome)
            self._decide(prepared.event)
            self._parts.attachments.keep(Decoded())
        behind, self._behind, self._behind_size = self._behind, deque(), 0
        for text in behind:
            await self._read(text)

    def _rescue(self) -> None:
        for overdue in self._parts.watchdog.expire(asyncio.get_running_loop().time()):
            log.warning("overdue", extra={"what": overdue.what})
            if isinstance(overdue.fact, TurnStuck):
                self._take_turns(self._parts.windows.floor.end_stuck_turn())
            else:
                self._decide(overdue.fact)

    def _decide(self, fact: Fact) -> None:
        """Decides one fact, and those that follow from its actions, before anything else is received."""
        self._touch()
        now = asyncio.get_running_loop().time()
        facts = deque([fact])
        while facts:
            fact = facts.popleft()
            actions = self._parts.session.receive(fact, now)
            report = self._parts.latency.receive(fact, actions, now)
            self._parts.watchdog.receive(fact, actions, now)
            facts.extend(self._perform(actions))
            if report is not None:
                self._perform(self._parts.session.announce(_event_of(report, self._began)))

    def _perform(self, actions: Iterable[Action]) -> list[Fact]:
        """Performs actions in their order; returns the playout's answers, which have to be decided next."""
        dialogue, floor = self._parts.dialogue, self._parts.windows.floor
        answers: list[Fact] = []
        for action in actions:
            match action:
                case Send(event=event):
                    self._parts.peers.tell(event)
                case Play() | FinishPlayout() | CutPlayout() | DropPlayout() | SetLoudness():
                    answers += self._play(action)
                case CloseTurn(item_id=item_id, by_client=by_client, rest=rest):
                    if rest is not None:
                        dialogue.hear(rest.samples, rest.voiced)
                    dialogue.turn(item_id)
                    if by_client:
                        floor.release()
                case DropTurn():
                    dialogue.discard_turn()
                    floor.release()
                case Read(item=item, after=after):
                    dialogue.read(item, after)
                case Forget(item_id=item_id):
                    dialogue.forget(item_id)
                case Anticipate(spec=spec):
                    dialogue.anticipate(spec)
                case StartReply(number=number):
                    self._replies[number] = self._tasks.create_task(self._respond(action))
                case StopReply(number=number):
                    if reply := self._replies.pop(number, None):
                        reply.cancel()
                case ListTools() | CallTool() | StopTools():
                    self._parts.tools.perform(action)
                case Cut(heard=heard):
                    dialogue.cut(heard)
                case Retune(detection=detection):
                    floor.retune(detection)
                case Clean(noise=noise):
                    self._parts.front_end.retune(noise)
                case _:
                    assert_never(action)
        return answers

    def _play(self, action: PlayoutAction) -> list[PlayoutFact | ReplyFailed]:
        """Changes the playout; the only place that does."""
        playout = self._parts.playout
        if isinstance(action, CutPlayout) and playout.audible in action.numbers:
            self._parts.peers.recall()  # before the cut, which depends on how much was heard
        try:
            cut = playout.receive(action)
        except PlayoutFull as full:
            assert isinstance(action, Play)
            return [ReplyFailed(action.number, str(full), "hung")]
        return [] if cut is None else [cut]

    @property
    def _busy(self) -> bool:
        """Whether the assistant is about to speak."""
        return bool(self._replies or self._parts.tools.calls)

    def _touch(self) -> None:
        self.active_at = asyncio.get_running_loop().time()


def _event_of(report: Report | ObservationReport, began: float) -> TurnLatencyEvent | PictureSeen:
    """Tells a report to the client. `began`: the beginning of the call, in seconds on its clock."""
    match report:
        case Report(response_id=response_id, marks=marks):
            return TurnLatencyEvent(response_id=response_id, marks=marks)
        case ObservationReport(response_id=response_id, age_ms=age_ms, seen=seen):
            return PictureSeen(
                response_id=response_id,
                source="camera" if seen.camera else "message",
                at_ms=round((seen.at - began) * 1000),
                age_ms=age_ms,
                report=seen.report,
                things=[SeenThing(name=thing.name, box=thing.box) for thing in seen.things],
            )
