"""A call that never ends, on a clock of its own: a user, a client and a model who do everything at any time, driven
through the real cores (session, floor, playout, watchdog) without an event loop.

    user ──windows──► Floor ──┐                        ┌──► model: answers, fails, hangs, breaks off
    client ──messages────────►├─► Session ──► actions ─┤──► tools: answer late or never
    loudspeaker ──take──► Playout facts lost, twice    └──► Floor
                                  └── Watchdog: every half second

`Watch` listens in. It fails when the user said words, nobody speaks, and no answer is being made; when whatever makes
one gives no sign of life; when a turn does not end, or its words stay away; when the ledger goes back; when anything
piles up.

    PYTHONPATH=tests python -m harness.endless_call HOURS [SEED]
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np

from harness.tools import ERASE, LOOK_UP
from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.dialogue import AudioToken, Done, ReplySpec, ReplyToken, TextToken, ToolCall, Transcript, WordEnd
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.events import (
    Action,
    Answer,
    CallTool,
    CloseTurn,
    CutPlayout,
    DropPlayout,
    DropTurn,
    Fact,
    Failure,
    FinishPlayout,
    ListTools,
    Play,
    PlayoutAction,
    PlayoutEnded,
    PlayoutStarted,
    Replied,
    ReplyFailed,
    Retune,
    Send,
    SetLoudness,
    StartReply,
    StopReply,
    StopTools,
    TimerFired,
    ToolAnswered,
    ToolsLate,
    ToolsListed,
    TurnEnded,
    TurnSound,
    TurnStarted,
)
from vivavoce.realtime.monitor.watchdog import LINE, LONGEST_TURN, LOOK, PATIENCE, TOOLS, WORDS, TurnStuck, Watchdog
from vivavoce.realtime.session.mcp_servers import ToolOptions
from vivavoce.realtime.session.opening import SessionDefaults, SessionRequest, new_session, seeded_ids
from vivavoce.realtime.tools.builtin import listed
from vivavoce.realtime.turns.endpointing import AskEndpoint
from vivavoce.realtime.turns.floor import Floor
from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire import response_events as ev
from vivavoce.realtime.wire.errors import WireError
from vivavoce.realtime.wire.items import FunctionCallItem, McpApprovalRequestItem

HOUR: Final = 3600.0
WINDOW: Final = 768
TAKEN: Final = 4 * WINDOW  # samples of a window while a turn is open, where only its end is looked for
SILENT: Final = 10 * WINDOW  # and of one in which nothing can happen
EARS: Final = 10.0
"""Seconds after which a model gives up waiting for the words of a turn, as the cascade does."""
AT_ONCE: Final = 2.0
"""Seconds in which an answer that is owed must begin to be made when nobody speaks and nothing sounds."""
LIFE: Final = max(PATIENCE, TOOLS) + 2 * LOOK
"""Seconds in which whatever makes an answer must give a sign of life, or be given up."""
PAUSE: Final = 8.0
"""Seconds of silence in which every turn must have ended."""
SERVER: Final = {"type": "mcp", "server_label": "web", "server_url": "https://tools.example/mcp"}
SOUND: Final = {
    (n, loud): np.full(n, 0.1 if loud else 1e-4, np.float32) for n in (WINDOW, TAKEN, SILENT) for loud in (False, True)
}


class Stuck(AssertionError):
    """What must never happen, with the last things that did."""


@dataclass(frozen=True)
class Nature:
    """How often what goes wrong, as probabilities."""

    wordless: float = 0.12  # a turn without words: a cough, a door
    ears_lost: float = 0.03
    ears_late: float = 0.05
    ears_failed: float = 0.02
    hangs: float = 0.04
    breaks_off: float = 0.04  # hangs after some words
    fails: float = 0.08
    without_end: float = 0.02  # `Done` never comes
    says_nothing: float = 0.02
    calls: float = 0.15
    tool_lost: float = 0.1
    end_lost: float = 0.03  # PlayoutEnded
    end_twice: float = 0.03
    loudspeaker_stuck: float = 0.01
    line_dead: float = 0.03  # in the middle of a turn
    stuck_voice: float = 0.01  # a fan that the VAD takes for speech
    judge_lost: float = 0.1


@dataclass
class Debt:
    """Words of the user's that have no answer yet; `since` they were said, and nobody has been heard."""

    since: float
    silent_since: float


@dataclass
class Watch:
    """See the module."""

    debt: Debt | None = None
    turns: int = 0
    spoken: int = 0  # turns with words
    waits: list[float] = field(default_factory=list)
    rescues: Counter[str] = field(default_factory=Counter)
    running: dict[str, float] = field(default_factory=dict)  # response -> its last sign of life
    heard: dict[int, int] = field(default_factory=dict)
    words: dict[str, float] = field(default_factory=dict)  # turns that were closed, until it is told what was said
    open_since: float = 0.0

    def pay(self, now: float) -> None:
        if self.debt is not None:
            self.waits.append(now - self.debt.since)
            self.debt = None


class Call:
    """One call of `seed`; `run` lets it last."""

    def __init__(self, seed: int, nature: Nature = Nature()) -> None:
        self.chance = random.Random(seed)
        self.nature = nature
        self.now = 0.0
        self.plays = self.chance.random() < 0.7
        self.playout = Playout()
        self.floor = Floor(None)
        self.watchdog = Watchdog(self.playout)
        self.watch = Watch()
        defaults = SessionDefaults(ToolOptions(offered=listed(["time"])), apology="Sorry.")
        wanted = SessionRequest(config={"tools": [SERVER] if self.chance.random() < 0.3 else []}, extras=True)
        self.session = new_session(self.plays, wanted, seeded_ids(str(seed)), 1_000, None, defaults).begin(self.playout)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._runs: dict[int, int] = {}  # reply -> the run of it that is alive
        self._run_count = itertools.count(1)
        self._said_of: dict[int, int] = {}  # characters
        self._words: dict[str, Transcript | None] = {}  # turn -> its words, None until they are known
        self._last_turn = ""
        self._tools: dict[str, int] = {}
        self._voice_until = self._noise_until = self._dead_until = self._speaker_dead_until = 0.0
        self._said = ""  # what the user says now, if they say anything
        self._heard = ""  # what there was to hear in the last turn
        self._quiet = self._sounding = self._audible = False
        self._log: list[str] = []
        self._newest = self._begun = 0  # replies: the newest one before this fact, and before the turn that waits
        opening = self.session.open()
        self.watchdog.follow(opening, 0.0)
        self._perform(opening)
        self._tell("session.update", session={"type": "realtime", "audio": {"input": self._detection()}})
        for step in (self._microphone, self._loudspeaker, self._user, self._client, self._guard):
            self._later(0.0, step)

    def run(self, seconds: float) -> None:
        """Lets so much time pass. Raises `Stuck`."""
        while self._agenda and self._agenda[0][0] <= seconds:
            self.now, _, step = heapq.heappop(self._agenda)
            step()

    def settle(self) -> None:
        """User and client fall silent; then nothing may be left that waits, runs or sounds."""
        self._quiet = True
        self._voice_until = self._noise_until = self._dead_until = self._speaker_dead_until = 0.0
        self.nature = Nature(*[0.0] * len(Nature.__dataclass_fields__))
        self._detection_off()
        self.run(self.now + 900)
        left = (self.watchdog.waits, len(self._replies), self.playout.waiting, len(self.watch.running))
        if any(left):
            raise self._stuck(f"at rest, but {left} are left: waits, replies, samples, responses")

    # --- time ----------------------------------------------------------------------------------------------------

    def _later(self, seconds: float, step: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.now + seconds, next(self._order), step))

    def _happens(self, probability: float) -> bool:
        return self.chance.random() < probability

    def _stuck(self, what: str) -> Stuck:
        return Stuck("\n".join([f"{self.now:.2f} s: {what}", *self._log[-40:]]))

    def _note(self, what: object) -> None:
        self._log.append(f"{self.now:9.2f}  {what!s:.160}")
        if len(self._log) > 400:
            del self._log[:200]

    # --- the core ------------------------------------------------------------------------------------------------

    def _fact(self, fact: Fact) -> None:
        if type(fact).__name__ not in ("Replied",):
            self._note(fact)
        self._before(fact)
        actions = self.session.receive(fact, self.now)
        self.watchdog.receive(fact, actions, self.now)
        self._perform(actions)
        self._after(fact)

    def _play(self, action: PlayoutAction) -> None:
        """The playout answers a cut with where it stands, and the session goes on from there."""
        answer = self.playout.receive(action)
        if answer is not None:
            actions = self.session.receive(answer, self.now)
            self.watchdog.receive(answer, actions, self.now)
            self._perform(actions)

    def _perform(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Send(event=event):
                    self._see(event)
                case Play() | FinishPlayout() | CutPlayout() | DropPlayout() | SetLoudness():
                    self._play(action)
                case CloseTurn(item_id=item_id, by_client=by_client):
                    self._close_turn(item_id)
                    if by_client:
                        self.floor.release()
                case DropTurn():
                    self.floor.release()
                case Retune(detection=detection):
                    self.floor.retune(detection)
                case StartReply(number=number, spec=spec):
                    self._make(number, spec)
                case StopReply(number=number):
                    self._runs.pop(number, None)
                case CallTool(number=number, call_id=call_id):
                    self._call_tool(number, call_id)
                case StopTools(number=number):
                    self._tools = {known: other for known, other in self._tools.items() if other != number}
                case ListTools(item_id=item_id):
                    self._list_tools(item_id)

    # --- the microphone and the floor ----------------------------------------------------------------------------

    def _microphone(self) -> None:
        voice_end = max(self._voice_until, self._noise_until)
        n = TAKEN if self.floor.taken else WINDOW if self.now < voice_end + 1 else SILENT
        self._later(n / SAMPLE_RATE, self._microphone)
        if self.now < self._dead_until:
            return
        loud, waiting = self.now < voice_end, bool(self._runs or self._tools)
        for fact in self.floor.receive(SOUND[n, loud], 0.99 if loud else 0.01, self._audible, waiting):
            self._turn_fact(fact)

    def _turn_fact(self, fact: Any) -> None:
        if isinstance(fact, TurnSound):
            self.watchdog.sound(self.now)
            self.session.keep(fact)
        elif not isinstance(fact, AskEndpoint):
            self._fact(fact)
        elif not self._happens(self.nature.judge_lost):
            self._later(self.chance.choice((0.05, 0.05, 0.3)), lambda: self._judged(fact.at))

    def _judged(self, at: int) -> None:
        for fact in self.floor.end_of_turn(at, self.chance.random()):
            self._turn_fact(fact)

    # --- the user ------------------------------------------------------------------------------------------------

    def _user(self) -> None:
        if self._quiet:
            return
        kind = self.chance.random()
        self._said = "" if self._happens(self.nature.wordless) else "some words"
        if self._happens(self.nature.stuck_voice):
            self._noise_until = self.now + self.chance.uniform(60, 500)
        length = 0.15 if kind < 0.15 else self.chance.uniform(0.3, 6.0)
        self._voice_until = self.now + length
        if self._happens(self.nature.line_dead):
            self._dead_until = self.now + self.chance.uniform(0, length) + self.chance.choice((0.5, 4.0, 40.0))
        waits = self.chance.choice((0.3, 0.8, 2.0, 5.0, 15.0, 40.0, 150.0))
        self._later(length + self.chance.uniform(0.1, waits), self._user)

    # --- the model -----------------------------------------------------------------------------------------------

    def _close_turn(self, item_id: str) -> None:
        self._last_turn, self._heard, words = item_id, self._said, self._said
        self._words[item_id], self.watch.words[item_id] = None, self.now
        nature, delay = self.nature, self.chance.uniform(0.05, 0.8)
        if self._happens(nature.ears_lost):
            return
        if self._happens(nature.ears_late):
            delay = self.chance.uniform(5, 2 * WORDS)
        error = "The ears failed." if self._happens(nature.ears_failed) else ""
        self._later(delay, lambda: self._hear(Transcript(item_id, "" if error else words, "", True, error)))

    def _hear(self, transcript: Transcript) -> None:
        self._words[transcript.turn] = transcript
        self._fact(transcript)

    def _make(self, number: int, spec: ReplySpec) -> None:
        run = self._runs[number] = next(self._run_count)
        turn = "" if spec.words or spec.context is not None else self._last_turn
        self._later(0.01, lambda: self._await_words(number, run, spec, turn, self.now))

    def _await_words(self, number: int, run: int, spec: ReplySpec, turn: str, since: float) -> None:
        """As the cascade: without the words there is nothing to answer."""
        if self._runs.get(number) != run:
            return
        words = self._words.get(turn) if turn else Transcript("", "typed", "", True)
        if words is None and self.now < since + EARS:
            self._later(0.1, lambda: self._await_words(number, run, spec, turn, since))
            return
        self._last_turn = "" if self._last_turn == turn else self._last_turn
        if words is None or words.error:
            self._fail(number, run, "error")
        elif words.text:
            self._script(number, run, spec)
        else:
            self._token(number, run, Done("stop"))

    def _script(self, number: int, run: int, spec: ReplySpec) -> None:
        """All that this run of the model will do, with its times."""
        nature, chance = self.nature, self.chance
        at = chance.choice((0.05, 0.3, 0.8, 2.0, 8.0))
        if self._happens(nature.hangs):
            return
        if self._happens(nature.fails):
            self._later(at, lambda: self._fail(number, run, "passing"))
            return
        if spec.tools and not spec.words and self._happens(nature.calls):
            call = ToolCall(f"call_{run}", chance.choice(spec.tools).name, "{}", final=True)
            self._later(at, lambda: self._token(number, run, call))
        elif self._happens(nature.says_nothing):
            self.watch.pay(self.now)  # its answer is to say nothing, as it may have been told to
        else:
            for _ in range(chance.randint(1, 12)):
                at += chance.uniform(0.01, 0.6)
                self._later(at, lambda: self._token(number, run, TextToken("word ")))
                if spec.audio:
                    seconds = chance.uniform(0.1, 1.2)
                    self._later(at + 0.05, partial(self._speak, number, run, seconds))
                if self._happens(nature.breaks_off / 6):
                    return
                if self._happens(nature.fails / 12):
                    self._later(at + 0.06, lambda: self._fail(number, run, "passing"))
                    return
        if not self._happens(nature.without_end):
            self._later(at + 0.1, lambda: self._token(number, run, Done("stop")))

    def _sound(self, number: int, seconds: float) -> AudioToken:
        n, self._sounding = int(seconds * SAMPLE_RATE), True
        self._said_of[number] = self._said_of.get(number, 0) + 5
        end = WordEnd(self._said_of[number], self.playout.pushed(number) + n)
        return AudioToken(np.full(n, 0.1, np.float32), (end,))

    def _speak(self, number: int, run: int, seconds: float) -> None:
        self._token(number, run, self._sound(number, seconds))

    def _token(self, number: int, run: int, token: ReplyToken) -> None:
        if self._runs.get(number) == run:
            if isinstance(token, Done):
                del self._runs[number]
            self._fact(Replied(number, token))

    def _fail(self, number: int, run: int, cause: Any) -> None:
        if self._runs.get(number) == run:
            del self._runs[number]
            self._fact(ReplyFailed(number, "The model failed.", cause))

    # --- tools ---------------------------------------------------------------------------------------------------

    def _call_tool(self, number: int, call_id: str) -> None:
        self._tools[call_id] = number
        self._later(1.0, lambda: self._late(number))
        if not self._happens(self.nature.tool_lost):
            self._later(self.chance.choice((0.05, 0.5, 3.0, 30.0)), lambda: self._answer_tool(call_id))

    def _late(self, number: int) -> None:
        if number in self._tools.values():
            self._fact(ToolsLate(number))

    def _answer_tool(self, call_id: str) -> None:
        number = self._tools.pop(call_id, 0)
        if number:
            outcome = Answer("42") if self._happens(0.7) else Failure("tool_execution_error", "no")
            self._fact(ToolAnswered(number, call_id, outcome))

    def _list_tools(self, item_id: str) -> None:
        if not self._happens(self.nature.tool_lost):
            self._later(self.chance.uniform(0.1, 40), lambda: self._fact(ToolsListed(item_id, (LOOK_UP, ERASE))))

    # --- the loudspeaker -----------------------------------------------------------------------------------------

    def _loudspeaker(self) -> None:
        if self._sounding:
            self._sounding, self._audible = self.playout.audible is not None, self.playout.interruptible
        self._later(0.1 if self._sounding else 0.4, self._loudspeaker)
        if self.now < self._speaker_dead_until or not self._sounding:
            return
        if self._happens(self.nature.loudspeaker_stuck / 50):
            self._speaker_dead_until = self.now + self.chance.uniform(1, 60)
        frame = self.playout.take(SAMPLE_RATE // 10)
        for number in frame.started:
            self._fact(PlayoutStarted(number))
        for number in frame.ended:
            if not self._happens(self.nature.end_lost):
                self._fact(PlayoutEnded(number))
            if self._happens(self.nature.end_twice):
                self._later(self.chance.uniform(0, 5), partial(self._fact, PlayoutEnded(number)))

    # --- the client ----------------------------------------------------------------------------------------------

    def _detection(self) -> dict[str, Any]:
        kind = self.chance.choice(("server_vad", "server_vad", "semantic_vad"))
        detection: dict[str, Any] = {"type": kind}
        if kind == "server_vad" and self._happens(0.2):
            detection["idle_timeout_ms"] = 6000
        if self._happens(0.25):
            detection["interrupt_response"] = False
        if self._happens(0.1):
            detection["create_response"] = False
        return {"turn_detection": None if self._happens(0.05) else detection, "transcription": {"model": "whisper-1"}}

    def _detection_off(self) -> None:
        plain = {"turn_detection": {"type": "server_vad", "create_response": False}}
        self._tell("session.update", session={"type": "realtime", "audio": {"input": plain}})

    def _client(self) -> None:
        if self._quiet:
            return
        self._later(self.chance.choice((0.5, 5.0, 30.0, 120.0, 600.0)), self._client)
        items = self.session._state.conversation.ids or ("none",)
        item, ms = self.chance.choice(items), self.chance.randint(0, 5000)
        message: dict[str, Any] = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
        self.chance.choice(
            (
                lambda: self._tell("response.cancel"),
                lambda: self._tell("response.create"),
                lambda: self._tell("response.create", response={"conversation": "none"}),
                lambda: self._tell("response.create", response={"output_modalities": ["text"]}),
                lambda: self._tell("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=ms),
                lambda: self._tell("conversation.item.delete", item_id=item),
                lambda: self._tell("conversation.item.create", item=message),
                lambda: self._tell("output_audio_buffer.clear"),
                lambda: self._tell("input_audio_buffer.clear"),
                lambda: self._tell("input_audio_buffer.commit"),
                lambda: self._tell(
                    "session.update", session={"type": "realtime", "audio": {"input": self._detection()}}
                ),
                lambda: self._fact(TimerFired("A timer is over.")),
            )
        )()

    def _tell(self, kind: str, **fields: Any) -> None:
        message = wire.parse(json.dumps({"type": kind, **fields}))
        assert not isinstance(message, WireError), message
        if kind not in ("response.create", "conversation.item.create"):
            self.watch.debt = None  # what the client does is its own business
        self._fact(message)

    # --- who looks after it, and who looks on ----------------------------------------------------------------------

    def _guard(self) -> None:
        self._later(LOOK, self._guard)
        deadline = self.watchdog.deadline
        if deadline is not None and deadline <= self.now:
            for overdue in self.watchdog.expire(self.now):
                self.watch.rescues[overdue.what] += 1
                self._note(f"overdue: {overdue.what}")
                if isinstance(overdue.fact, PlayoutEnded):
                    self.watch.debt = None  # the loudspeaker is broken: nothing could be heard
                if isinstance(overdue.fact, TurnStuck):
                    for fact in self.floor.end_stuck_turn():
                        self._turn_fact(fact)
                else:
                    self._fact(overdue.fact)
        self._check()

    @property
    def _replies(self) -> dict[int, Any]:
        return self.session._responses._active

    def _before(self, fact: Fact) -> None:
        watch, self._newest = self.watch, self.session._responses._count
        self._taken = self.session._turns.taken
        match fact:
            case Transcript(turn=item_id, final=True):
                watch.words.pop(item_id, None)
            case TurnStarted():
                watch.turns += 1
                watch.open_since = self.now if not self._taken else watch.open_since
            case Replied(number=number, token=token):
                self._alive(number)
                self._begin_to_pay(number, token)
            case ToolAnswered(number=number):
                self._alive(number)
            case PlayoutStarted(number=number):
                self._begin_to_pay(number, None)

    def _after(self, fact: Fact) -> None:
        watch = self.watch
        if isinstance(fact, TurnEnded) and self._taken and self.session.settings.creates_response and self._heard:
            watch.spoken += 1
            watch.debt, self._begun = Debt(self.now, self.now), self._newest

    def _alive(self, number: int) -> None:
        if (response := self.session.response_id(number)) in self.watch.running:
            self.watch.running[response] = self.now

    def _begin_to_pay(self, number: int, token: ReplyToken | None) -> None:
        """A reply to the turn can be heard, or read."""
        reply = self._replies.get(number)
        if self.watch.debt is None or number <= self._begun or reply is None or not reply.plan.joins:
            return
        if self.playout.heard(number)[0] or (isinstance(token, TextToken) and reply.plan.modality == "text"):
            self.watch.pay(self.now)

    def _see(self, event: Any) -> None:
        watch = self.watch
        match event:
            case ev.ResponseCreated(response=response):
                watch.running[response.id] = self.now
            case ev.ResponseDone(response=response):
                watch.running.pop(response.id, None)
                handed = any(isinstance(item, FunctionCallItem | McpApprovalRequestItem) for item in response.output)
                if response.conversation_id is not None and (response.status == "failed" or handed):
                    watch.pay(self.now)  # or it is the client's turn

    def _check(self) -> None:
        watch = self.watch
        ends = max(self._voice_until, self._noise_until, self._dead_until, self._speaker_dead_until)
        if watch.debt is not None:
            if self.session._turns.taken or self.now < ends or self.playout.waiting or self.session._responses.current:
                watch.debt.silent_since = self.now
            elif self.now - watch.debt.silent_since > AT_ONCE:
                raise self._stuck("silence that should have been an answer")
        if not self.session._turns.taken or self.session.settings.detection is None:
            watch.open_since = self.now
        elif self.now - max(watch.open_since, ends) > PAUSE or self.now - watch.open_since > LONGEST_TURN + LINE:
            raise self._stuck("a turn that does not end")
        for response, alive in watch.running.items():
            if self.now - alive > LIFE:
                raise self._stuck(f"{response} runs without a sign of life")
        if any(self.now - closed > WORDS + 2 * LOOK for closed in watch.words.values()):
            raise self._stuck("a turn whose words are not known")
        if len(self._replies) > 24 or self.watchdog.waits > 60 or len(watch.running) > 12:
            raise self._stuck(f"{len(self._replies)} replies, {self.watchdog.waits} waits")
        for number in self._replies:
            heard = self.playout.heard(number)[0]
            if heard < watch.heard.get(number, 0):
                raise self._stuck("the ledger went back")
            watch.heard[number] = heard


def main(hours: int, seed: int) -> int:
    """Lets calls of an hour each go by, and says what happened in them; how many got stuck."""
    began, total, stuck = time.process_time(), Watch(), 0
    for done in range(1, hours + 1):
        call = Call(seed + done)
        try:
            call.run(HOUR)
            call.settle()
        except Stuck as what:
            stuck += 1
            print(f"call {seed + done}: {what}", flush=True)
        total.turns, total.spoken = total.turns + call.watch.turns, total.spoken + call.watch.spoken
        total.waits += call.watch.waits
        total.rescues += call.watch.rescues
        if done % 50 == 0 or done == hours:
            waits = ", ".join(f"{wait:.1f}" for wait in np.percentile(total.waits, (50, 95, 99, 100)))
            print(
                f"{done} h, {stuck} stuck: {total.turns} turns, {total.spoken} with words; {len(total.waits)} answered"
            )
            print(f"  after {waits} s (p50, p95, p99, longest); rescued {dict(total.rescues)};")
            print(f"  {time.process_time() - began:.0f} s of CPU", flush=True)
    return stuck


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0) > 0)
