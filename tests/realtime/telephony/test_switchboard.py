"""Whole phone calls on a connection in memory: greeting, DTMF, tools, hang-up, transfer, busy. On the virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.fakes import Line, LinePeer, ScriptedEngine
from harness.phone import NOON, Telephone, call, open_switchboard
from harness.virtual_time import run
from vivavoce.model.dialogue import Message, ToolCall
from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.config.phone import PhoneConfig, PhoneTool
from vivavoce.realtime.telephony import PhoneCall
from vivavoce.realtime.telephony.switchboard import Switchboard
from vivavoce.realtime.transports import CloseReason, Ending

pytestmark = pytest.mark.integration

PHONE = PhoneConfig(greeting="Good morning here is the bakery", tools=("hang_up", "transfer", "keys"))
GREETING = 2.0  # seconds that the scripted TTS takes for it


async def during(switchboard: Switchboard, telephone: Telephone, caller: Coroutine[Any, Any, None]) -> None:
    """A call, and what the caller does in it."""
    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        tasks.create_task(switchboard.take(call(), telephone))
        tasks.create_task(caller)


def said(engine: ScriptedEngine) -> list[str]:
    """The messages of the model's context, in order."""
    return [item.text for item in engine.dialogues[-1].items if isinstance(item, Message)]


def test_the_greeting_begins_with_the_first_frame_after_the_opening() -> None:
    async def main() -> None:
        engine, telephone = ScriptedEngine(), Telephone()

        async def caller() -> None:
            await telephone.pause(4.0)
            telephone.hang_up()

        async with open_switchboard(engine, PHONE) as (switchboard, _):
            await during(switchboard, telephone, caller())
        began, ended = telephone.heard()
        assert began == pytest.approx(0.2), "prerecorded: it does not wait for the TTS"
        assert ended - began == pytest.approx(GREETING, abs=0.03), "whole, neither its first word clipped nor its last"
        assert said(engine) == [PHONE.greeting], "the model knows that it has greeted"
        assert engine.dialogues[-1].specs == [], "the model itself had nothing to do"

    run(main())


@pytest.mark.parametrize(("goodbye", "seconds"), [("I have to end this call", 2.0), ("", 0.0)])
def test_a_server_that_is_stopped_says_goodbye_on_the_telephone(goodbye: str, seconds: float) -> None:
    async def main() -> None:
        telephone, phone = Telephone(), replace(PHONE, greeting="", goodbye=goodbye)
        async with asyncio.TaskGroup() as tasks, open_switchboard(ScriptedEngine(), phone) as (switchboard, _):
            tasks.create_task(switchboard.take(call(), telephone))
            await telephone.pause(3.0)
            began = len(telephone.played) * 0.02
        assert telephone.closed == Ending(CloseReason.SHUTDOWN, "The server is being stopped.")
        first, last = telephone.heard()
        assert last - first == pytest.approx(seconds, abs=0.03)
        assert not seconds or first == pytest.approx(began, abs=0.05)

    run(main())


def test_a_caller_who_hangs_up_during_the_goodbye_stops_nothing() -> None:
    async def main() -> None:
        telephone = Telephone()
        async with asyncio.TaskGroup() as tasks, open_switchboard(ScriptedEngine(), PHONE) as (switchboard, _):
            tasks.create_task(switchboard.take(call(), telephone))
            await telephone.pause(3.0)
            asyncio.get_running_loop().call_later(0.5, telephone.hang_up)
        assert telephone.closed is not None

    run(main())


def test_a_question_after_the_greeting_is_answered() -> None:
    async def main() -> None:
        engine, telephone = ScriptedEngine(["Do you have bread?"], [Line("Yes we do.", 1.0)]), Telephone()

        async def caller() -> None:
            await telephone.pause(3.0)
            await telephone.say(1.0)
            await telephone.pause(3.0)
            telephone.hang_up()

        async with open_switchboard(engine, PHONE) as (switchboard, _):
            await during(switchboard, telephone, caller())
        (spec,) = engine.dialogues[-1].specs
        assert spec.instructions == PHONE.instructions
        assert telephone.closed

    run(main())


def test_what_was_sent_ahead_and_not_heard_is_not_in_the_history() -> None:
    cuts: dict[int, int] = {}

    async def main(lead: int) -> None:
        engine, telephone = (
            ScriptedEngine(["hello", "stop"], [Line("one two three four five six", 6.0)] * 2),
            Telephone(lead),
        )

        async def caller() -> None:
            await telephone.pause(3.0)
            await telephone.say(0.8)
            await telephone.pause(4.0)
            await telephone.say(1.0)
            await telephone.pause(1.0)
            telephone.hang_up()

        async with open_switchboard(engine, PHONE) as (switchboard, _):
            await during(switchboard, telephone, caller())
        (heard, *_) = engine.dialogues[-1].cuts
        cuts[lead] = heard.samples
        assert bool(telephone.recalled) == bool(lead)

    for lead in (0, 60):
        run(main(lead))
    assert cuts[0] - cuts[60] >= 24000, "1.2 s were ahead, and the word that was cut in two is taken off as well"


def test_sidebands_get_keys_one_by_one_and_the_model_gets_them_together() -> None:
    async def main() -> None:
        engine, telephone = ScriptedEngine(lines=[Line("Thank you.", 1.0)] * 2), Telephone()
        sideband = LinePeer(plays=False)

        async def caller() -> None:
            await telephone.pause(3.0)
            await telephone.type("12")
            await telephone.pause(3.0)
            await telephone.type("34#")
            await telephone.pause(3.0)
            telephone.hang_up()

        async with open_switchboard(engine, PHONE) as (switchboard, calls), asyncio.TaskGroup() as tasks:
            tasks.create_task(switchboard.take(call(), telephone))
            tasks.create_task(caller())
            await telephone.until_received()
            party = calls.find(call().id)
            assert party is not None
            tasks.create_task(party.join(sideband, extras=True))
        keys = [
            (event["event"], event["received_at"]) for event in sideband.of("input_audio_buffer.dtmf_event_received")
        ]
        assert keys == [(key, NOON) for key in "1234#"]
        entries = [text for text in said(engine) if "pressed" in text]
        assert entries == [
            "[The caller pressed 1 2 on the telephone.]",
            "[The caller pressed 3 4 # on the telephone.]",
        ]
        assert len(engine.dialogues[-1].specs) == 2, "each is answered"

    run(main())


def test_a_key_silences_the_assistant() -> None:
    async def main() -> None:
        engine, telephone = ScriptedEngine(), Telephone()

        async def caller() -> None:
            await telephone.pause(1.0)
            await telephone.type("0")
            await telephone.pause(1.0)
            telephone.hang_up()

        async with open_switchboard(engine, PHONE) as (switchboard, _):
            await during(switchboard, telephone, caller())
        assert telephone.heard()[1] == pytest.approx(1.0, abs=0.1)
        assert engine.dialogues[-1].cuts[0].chars < len(PHONE.greeting)

    run(main())


def tool(name: str, arguments: str = "{}") -> ToolCall:
    return ToolCall("call_1", name, arguments, final=True)


def asking(line: ToolCall, answer: str = "Goodbye then.") -> ScriptedEngine:
    return ScriptedEngine(["Bye"], [Line("", 0.0, calls=line), Line(answer, 1.0)])


async def talk(engine: ScriptedEngine, telephone: Telephone, phone: PhoneConfig = PHONE, after: float = 12.0) -> None:
    """A call in which the caller says one thing and listens."""

    async def caller() -> None:
        await telephone.pause(3.0)
        await telephone.say(0.8)
        await telephone.pause(after)
        telephone.hang_up()

    async with open_switchboard(engine, phone) as (switchboard, _):
        await during(switchboard, telephone, caller())


def test_the_assistant_hangs_up_when_it_has_said_goodbye() -> None:
    async def main() -> None:
        telephone = Telephone()
        await talk(asking(tool("hang_up")), telephone)
        _, ended = telephone.heard()
        assert telephone.closed is not None
        assert telephone.closed.reason is CloseReason.OVER
        assert len(telephone.played) * 0.02 - ended == pytest.approx(0.7, abs=0.1), "after its last word, and soon"
        assert ended > 4.8, "the goodbye was heard"

    run(main())


def test_a_caller_is_transferred_to_a_known_name_only() -> None:
    phone = PhoneConfig(tools=("transfer",), transfers=("sales=+49301", "support = sip:help@example.org"))

    async def main(name: str, transferred: str) -> None:
        telephone = Telephone()
        engine = asking(tool("transfer_call", f'{{"to": "{name}"}}'), "I connect you.")
        await talk(engine, telephone, phone)
        assert telephone.transferred == transferred
        first = engine.dialogues[-1].specs[0]
        assert "+49301" not in repr(first), "the model knows names, not numbers"

    run(main("sales", "+49301"))
    run(main("support", "sip:help@example.org"))
    run(main("the police", ""))


def test_the_model_learns_of_a_failed_transfer_and_the_call_goes_on() -> None:
    phone = PhoneConfig(tools=("transfer",), transfers=("sales=+49301",))

    async def main() -> None:
        telephone = Telephone()
        telephone.refuses = "nobody answers there"
        engine = ScriptedEngine(
            ["Sales please"],
            [
                Line("", 0.0, calls=tool("transfer_call", '{"to": "sales"}')),
                Line("One moment.", 1.0),
                Line("Sorry.", 1.0),
            ],
        )
        await talk(engine, telephone, phone)
        assert any("nobody answers there" in text for text in said(engine))
        assert len(engine.dialogues[-1].specs) == 3
        assert telephone.closed is None or telephone.closed.reason is not CloseReason.ERROR

    run(main())


def test_the_assistant_can_press_keys() -> None:
    async def main(arguments: str, pressed: str) -> None:
        telephone = Telephone()
        await talk(asking(tool("press_keys", arguments)), telephone)
        assert telephone.dtmf == pressed

    run(main('{"keys": "1 2 #"}', "12#"))
    run(main('{"keys": "hello"}', ""))
    run(main('{"keys": 12}', ""))


def test_tools_that_are_not_in_the_settings_are_not_offered() -> None:
    async def main(tools: tuple[PhoneTool, ...], names: set[str]) -> None:
        engine = ScriptedEngine(["hello"], [Line("Hello.", 0.5)])
        await talk(engine, Telephone(), PhoneConfig(tools=tools, transfers=("a=+1",)), after=2.0)
        assert {one.name for one in engine.dialogues[-1].specs[0].tools} == names

    run(main((), set()))
    run(main(("hang_up",), {"hang_up"}))
    run(main(("hang_up", "transfer", "keys"), {"hang_up", "transfer_call", "press_keys"}))


def test_without_a_call_slot_the_caller_hears_the_busy_prompt() -> None:
    async def main() -> None:
        engine, first, second = ScriptedEngine(), Telephone(), Telephone()
        async with open_switchboard(engine, PHONE, max_sessions=1) as (switchboard, _), asyncio.TaskGroup() as tasks:
            tasks.create_task(switchboard.take(call("+1"), first))
            await first.pause(1.0)
            await switchboard.take(call("+2"), second)
            assert second.closed == Ending(CloseReason.BUSY)
            assert second.heard()[1] - second.heard()[0] == pytest.approx(2.0, abs=0.05), "the busy prompt, whole"
            assert not first.closed
            first.hang_up()
        assert len(engine.dialogues) == 1, "it cost no dialogue"

    run(main())


def test_a_caller_may_hang_up_during_the_busy_prompt() -> None:
    async def main() -> None:
        first, second = Telephone(), Telephone()

        async def impatient() -> None:
            await second.pause(0.5)
            second.hang_up()

        async with (
            open_switchboard(ScriptedEngine(), PHONE, max_sessions=1) as (switchboard, _),
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(switchboard.take(call("+1"), first))
            await first.pause(1.0)
            tasks.create_task(impatient())
            await switchboard.take(call("+2"), second)
            assert len(second.played) < 40
            first.hang_up()

    run(main())


def test_a_call_that_was_never_answered_gives_its_slot_back() -> None:
    async def main() -> None:
        async with open_switchboard(ScriptedEngine(), PHONE, max_sessions=1) as (switchboard, _):
            switchboard.admit(call("+1"))
            with pytest.raises(Denied, match="lines are taken"):
                switchboard.admit(call("+2"))
            switchboard.dismiss(call("+1"))
            switchboard.admit(call("+2"))
            switchboard.dismiss(call("+2"))

    run(main())


class Strict:
    """A guard that denies calls of +666."""

    def __init__(self) -> None:
        self.inside: list[str] = []

    def admit(self, call: PhoneCall, now: float) -> None:
        if call.caller == "+666":
            raise Denied(429, "caller_refused", "Not you.")
        self.inside.append(call.caller)

    def release(self, call: PhoneCall) -> None:
        self.inside.remove(call.caller)


def test_the_guard_counts_calls_in_and_out_whatever_their_end() -> None:
    async def main() -> None:
        guard, telephone, refused = Strict(), Telephone(), Telephone()
        async with (
            open_switchboard(ScriptedEngine(), PHONE, guard, max_sessions=1) as (switchboard, _),
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(switchboard.take(call("+1"), telephone))
            await telephone.pause(1.0)
            assert guard.inside == ["+1"]
            with pytest.raises(Denied):
                switchboard.admit(call("+2"))
            assert guard.inside == ["+1"], "a denied call is not counted"
            await switchboard.take(call("+666"), refused)
            assert refused.closed == Ending(CloseReason.BUSY)
            telephone.hang_up()
        assert guard.inside == []

    run(main())


def test_a_call_accepted_by_an_application_has_its_own_settings_and_no_greeting() -> None:
    async def main() -> None:
        engine, telephone = ScriptedEngine(["hi"], [Line("Hi.", 0.5)]), Telephone()
        config = {"type": "realtime", "instructions": "You are a pirate."}

        async def caller() -> None:
            await telephone.pause(2.0)
            await telephone.say(0.8)
            await telephone.pause(2.0)
            telephone.hang_up()

        async with open_switchboard(engine, PHONE) as (switchboard, _), asyncio.TaskGroup() as tasks:
            switchboard.check(config)
            switchboard.admit(call())
            tasks.create_task(caller())
            await switchboard.connect(call(), telephone, config)
        (spec,) = engine.dialogues[-1].specs
        assert spec.instructions == "You are a pirate."
        assert spec.tools == ()
        assert telephone.heard()[0] > 2.0

    run(main())


def test_an_invalid_configuration_is_denied_and_leaves_nothing_behind() -> None:
    async def main() -> None:
        async with open_switchboard(ScriptedEngine(), PHONE, max_sessions=1) as (switchboard, _):
            wrong = {"type": "realtime", "tool_choice": 5}
            with pytest.raises(Denied):
                switchboard.check(wrong)
            telephone = Telephone()
            switchboard.admit(call())
            with pytest.raises(Denied):
                await switchboard.connect(call(), telephone, wrong)
            assert telephone.closed
            switchboard.admit(call("+2"))
            switchboard.dismiss(call("+2"))

    run(main())


def test_in_an_outgoing_call_the_callee_speaks_first() -> None:
    async def main() -> None:
        telephone = Telephone()

        async def callee() -> None:
            await telephone.pause(3.0)
            telephone.hang_up()

        async with open_switchboard(ScriptedEngine(), PHONE) as (switchboard, _), asyncio.TaskGroup() as tasks:
            tasks.create_task(callee())
            await switchboard.take(call(direction="outgoing"), telephone)
        assert telephone.heard() == (0.0, 0.0)

    run(main())


def test_comfort_noise_fills_the_pauses_and_nothing_else() -> None:
    async def main() -> None:
        telephone = Telephone()

        async def caller() -> None:
            await telephone.pause(4.0)
            telephone.hang_up()

        async with open_switchboard(ScriptedEngine(), PhoneConfig(comfort_noise=-60.0)) as (switchboard, _):
            await during(switchboard, telephone, caller())
        quiet = np.concatenate(telephone.played[130:])
        assert 20 * np.log10(np.sqrt((quiet**2).mean())) == pytest.approx(-60, abs=1)

    run(main())


def test_nothing_is_left_of_a_call() -> None:
    async def main() -> None:
        telephone = Telephone()

        async def caller() -> None:
            await telephone.pause(1.0)
            telephone.hang_up()

        async with open_switchboard(ScriptedEngine(), PHONE) as (switchboard, calls):
            before = asyncio.all_tasks()
            await during(switchboard, telephone, caller())
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == before
            assert switchboard.find(call().id) is None
            assert len(calls) == 0

    run(main())
