"""One session of the protocol, without I/O: takes facts, returns actions.

    client events ─┐                          ┌─► Send                       to the client
    floor's facts ─┼─► Session.receive(fact) ─┼─► CloseTurn … Cut            to the model
    model's facts ─┤                          ├─► Play, CutPlayout …         to the playout (the session reads it)
    playout facts ─┘                          └─► Retune, CallTool …         to the floor and the tools

The same class serves WebSockets (`plays` False: sound is sent in messages, the client plays and truncates) and WebRTC
or phones (`plays` True: the server paces the sound and truncates by itself). It keeps no clock and does not wait. A
message that is refused is answered with an `error` event and changes nothing.

Sound does not pass through `receive`: `decode` turns the client's appended bytes into samples for the floor, and `keep`
stores the sound of the open turn, which goes from the floor to the model.

Parts: settings.py the settings in force     item_requests.py the client's items
       user_turns.py the user's turns        scheduling.py, responses.py, response.py the assistant's responses
       server_tools.py tools that the server runs
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from msgspec import structs

from vivavoce.codecs.audio import Samples
from vivavoce.model.abilities import Abilities
from vivavoce.model.dialogue import Transcript
from vivavoce.realtime.audio.playout import Ledger
from vivavoce.realtime.events import (
    Action,
    Anticipate,
    Fact,
    Overlapped,
    PlayoutCut,
    PlayoutEnded,
    PlayoutStarted,
    Replied,
    ReplyFailed,
    Send,
    SetLoudness,
    TimerFired,
    ToolAnswered,
    ToolsLate,
    ToolsListed,
    TurnEnded,
    TurnIdle,
    TurnSound,
    TurnStarted,
)
from vivavoce.realtime.session.conversation import Conversation
from vivavoce.realtime.session.ids import Ids
from vivavoce.realtime.session.images import Decode
from vivavoce.realtime.session.item_requests import ItemRequests
from vivavoce.realtime.session.item_sound import DecodeSound, decode_sound
from vivavoce.realtime.session.mcp_servers import Servers, ToolOptions
from vivavoce.realtime.session.rate_limit import Bucket, report
from vivavoce.realtime.session.response_plan import likely
from vivavoce.realtime.session.responses import Responses
from vivavoce.realtime.session.scheduling import Scheduling
from vivavoce.realtime.session.server_tools import ServerTools
from vivavoce.realtime.session.setting_checks import check
from vivavoce.realtime.session.settings import Settings, merge, retunings, view
from vivavoce.realtime.session.state import State
from vivavoce.realtime.session.user_turns import UserTurns
from vivavoce.realtime.transports import Keys
from vivavoce.realtime.wire import ClientEvent, ServerEvent
from vivavoce.realtime.wire import client_events as client
from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire import server_events as ev
from vivavoce.realtime.wire.errors import Refused, WireError
from vivavoce.realtime.wire.items import McpApprovalResponseItem
from vivavoce.realtime.wire.session_config import ServerVad, SessionView


@dataclass(frozen=True, slots=True)
class Options:
    """How a session begins.

    `settings`: from `settings.begin`. `expires_at`: unix seconds. `decode`, `decode_sound`: give the pictures of an
    event's images, and the sound of a message.
    `extras`: the client understands our own `vivavoce.…` events; strict clients refuse them.
    `responses`: bounds the responses that the client requests. `tools`: tools that the server runs.
    `apology`: spoken when a spoken response failed that followed a turn by itself; "" for none.
    `notice`: the call is recorded, and begins with these words ("" for none). `greeting`: the assistant's first words
    ("" for none). `abilities`: of the models."""

    settings: Settings
    expires_at: int
    decode: Decode
    extras: bool = True
    responses: Bucket | None = None
    tools: ToolOptions = field(default_factory=ToolOptions)
    apology: str = ""
    notice: str | None = None
    greeting: str = ""
    abilities: Abilities = field(default_factory=Abilities)
    decode_sound: DecodeSound = decode_sound


class Session:
    """One session. Its caller performs the actions in their order, before it passes the next fact."""

    def __init__(self, options: Options, ledger: Ledger, plays: bool, ids: Ids) -> None:
        """Raises `Refused` for settings with MCP servers that cannot be used."""
        self._options = options
        self._ids = ids
        servers = Servers(options.tools)
        servers.check(options.settings.tools, "session.tools")
        self._state = State(options.settings, Conversation(), ledger, plays, ids, servers)
        self._turns = UserTurns(self._state)
        self._items = ItemRequests(self._state, self._turns, options.decode, options.decode_sound)
        self._responses = Responses(self._state, ids.new("conv"))
        self._tools = ServerTools(self._state)
        self._scheduling = Scheduling(
            self._state, self._responses, self._tools, options.decode, options.responses, options.apology
        )
        self.id = ids.new("sess")

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._state.settings

    def response_id(self, number: int) -> str | None:
        """The response's id on the wire, while the reply is generated or played."""
        return self._responses.response_id(number)

    def item_id(self, number: int) -> str | None:
        """The id of the reply's item, while it is generated or played."""
        return self._responses.item_id(number)

    @property
    def awaits_answer(self) -> bool:
        """Whether the user has just heard a question: "yes" is an answer then."""
        return self._responses.awaits_answer

    @property
    def last_sound(self) -> bytes:
        """The sound of the user's last turn, 16-bit at 24 kHz; empty when none is kept."""
        return self._state.conversation.last_sound

    @property
    def extras(self) -> bool:
        """Whether the client understands our own events."""
        return self._options.extras

    def open(self) -> list[Action]:
        """Begins the session: the first events, and the first settings of floor and front end."""
        created = ev.SessionCreated(session=self.view)
        first = self._scheduling.open(self._options.notice, self._options.greeting)
        return self._stamped([*retunings(None, self.settings), Send(created), *first, *self._tools.list_new()])

    @property
    def view(self) -> SessionView:
        """The whole session, as the client sees it."""
        return view(self.settings, self.id, self._options.expires_at)

    def receive(self, fact: Fact, now: float) -> list[Action]:
        """Takes a fact; returns the actions that follow. `now`: seconds on the call's clock."""
        actions: list[Action] = []
        try:
            actions.extend(self._follow(fact, now))
            speaking = self._turns.open and self.settings.detection is not None
            actions.extend(self._scheduling.catch_up(speaking, now))
        except Refused as refused:
            event_id = fact.event_id if isinstance(fact, ClientEvent) else None
            actions.append(_error(refused.code, refused.message, refused.param, event_id))
        return self._stamped(report(actions, self._options.responses, now))

    def check(self, event: ClientEvent) -> WireError | None:
        """Returns an error for `reject` when the event requests what the models cannot do; None when `receive` takes
        it."""
        try:
            check(event, self.settings, self._options.abilities)
        except Refused as refused:
            return WireError(refused.code, refused.message, refused.param, event.event_id)
        return None

    def decode(self, event: client.AudioAppend) -> Samples | WireError:
        """Decodes appended sound to 24 kHz, for the floor; returns an error for `reject` when its format is another."""
        try:
            return self._turns.decode(event.audio)
        except Refused as refused:
            return WireError(refused.code, refused.message, refused.param, event.event_id)

    def keep(self, sound: TurnSound) -> bool:
        """Keeps sound of the open turn, for `conversation.item.retrieve`. Returns False when no turn is open: then the
        model must not get it either."""
        return self._turns.keep(sound)

    def reject(self, error: WireError) -> list[Action]:
        """Answers a message that was refused before it came here."""
        return self._stamped([_error(error.code, error.message, error.param, error.event_id)])

    def announce(self, event: ServerEvent) -> list[Send]:
        """Prepares an event from outside the session, such as `vivavoce.turn.latency`, to be sent."""
        understood = self._options.extras or not wire.is_extra(event)
        return [self._named(Send(event))] if understood else []

    def _follow(self, fact: Fact, now: float) -> Iterator[Action]:
        match fact:
            case Replied():
                yield from self._responses.receive(fact)
            case TurnStarted(start=start):
                yield from self._started(start)
            case TurnEnded(end=end) if self._turns.taken:
                yield from self._turns.ended(end)
                yield from self._scheduling.follow(now)
            case TurnIdle() if self._idles():
                yield from self._turns.idle(fact)
                yield from self._scheduling.follow(now)
            case Overlapped(loudness=loudness):
                if self._state.plays and self.settings.interrupts:
                    yield SetLoudness(loudness)
            case TurnEnded() | TurnIdle():
                pass  # late: the turn is closed, or the user has spoken
            case Keys(keys=keys, whole=True):
                yield from self._turns.typed(keys)
                if not self._turns.open:  # else the answer follows the open turn
                    yield from self._scheduling.follow(now)
            case Keys(keys=key, at=at):  # interrupts the assistant, as speech does
                yield from self._responses.barge_in(ev.DtmfReceived(event=key, received_at=at))
            case Transcript():
                yield from self._turns.transcript(fact)
            case ReplyFailed():
                yield from self._responses.fail(fact)
            case PlayoutStarted(number=number):
                yield from self._responses.playout_started(number)
            case PlayoutEnded(number=number):
                yield from self._responses.playout_ended(number)
            case PlayoutCut():
                yield from self._cut(fact)
            case ToolsListed():
                yield from self._tools.listed(fact)
            case ToolAnswered():
                yield from self._responses.answered(fact)
            case ToolsLate(number=number):
                yield from self._responses.late(number)
            case TimerFired():
                self._tools.timer_fired(fact)
            case _:
                yield from self._obey(fact, now)

    def _obey(self, event: ClientEvent, now: float) -> Iterator[Action]:
        match event:
            case client.AudioCommit():
                yield from self._turns.commit()
            case client.AudioClear():
                yield from self._turns.clear()
            case client.SessionUpdate():
                yield from self._update(event)
            case client.ItemCreate(item=McpApprovalResponseItem() as item, previous_item_id=after):
                yield from self._tools.decide(item, after)
            case client.ItemCreate():
                yield from self._items.create(event, now)
            case client.ItemDelete(item_id=item_id):
                yield from self._items.delete(item_id)
            case client.ItemRetrieve(item_id=item_id):
                yield from self._items.retrieve(item_id)
            case client.ItemTruncate():
                yield from self._responses.truncate(event)
            case client.ResponseCreate(response=params):
                yield from self._scheduling.request(params or client.ResponseParams(), now)
            case client.ResponseCancel(response_id=response_id):
                yield from self._responses.cancel(response_id)
            case client.AudioAppend():
                raise AssertionError("appended sound goes through `decode`")
            case client.OutputClear():
                if not self._state.plays:
                    raise Refused("invalid_value", "On a WebSocket the client itself owns the output buffer.", "type")
                yield from self._responses.silence()

    # --- turns and answers ---

    def _started(self, start: int) -> Iterator[Action]:
        event = self._turns.started(start)
        if event is None:
            return
        self._state.pending.apology = False  # the answer to this turn stands for it
        yield from self._responses.barge_in(event)
        if not self._responses.cutting:
            yield from self._anticipate()

    def _cut(self, fact: PlayoutCut) -> Iterator[Action]:
        by_speech = self._responses.cut_by_speech
        yield from self._responses.cut(fact)
        if by_speech:
            yield from self._anticipate()

    def _anticipate(self) -> Iterator[Action]:
        if self.settings.creates_response and not self._responses.current:
            yield Anticipate(likely(self.settings, self._state.servers))

    def _idles(self) -> bool:
        """Whether silence counts: the settings have an idle timeout, and neither side is speaking."""
        detection = self.settings.detection
        limited = isinstance(detection, ServerVad) and detection.idle_timeout_ms is not None
        return limited and not self._turns.open and not self._responses.busy

    # --- settings ---

    def _update(self, event: client.SessionUpdate) -> Iterator[Action]:
        before = self.settings
        after = merge(before, event.session)
        if after.voice_name != before.voice_name:
            self._responses.check_voice_free(None)
        self._state.servers.check(after.tools, "session.tools")
        self._state.servers.check_choice(after.tool_choice, after.tools, "session.tool_choice")
        self._state.settings = after
        yield from self._turns.retune(was_manual=before.detection is None)
        yield from retunings(before, after)
        yield Send(ev.SessionUpdated(session=self.view))
        yield from self._tools.list_new()

    # --- events ---

    def _stamped(self, actions: Iterable[Action]) -> list[Action]:
        """The actions, with an id for each event; without our own events where the client does not understand them."""
        announced = (self.announce(one.event) if isinstance(one, Send) else [one] for one in actions)
        return [action for some in announced for action in some]

    def _named(self, sent: Send) -> Send:
        if isinstance(sent.event, ev.DtmfReceived):
            return sent
        return Send(structs.replace(sent.event, event_id=self._ids.event()))


def _error(code: str, message: str, param: str | None, event_id: str | None) -> Send:
    fault = ev.Fault(type="invalid_request_error", code=code, message=message, param=param, event_id=event_id)
    return Send(ev.Error(error=fault))
