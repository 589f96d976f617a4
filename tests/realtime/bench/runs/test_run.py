"""realtime/bench: whole calls over real transports, against a gateway with a scripted model, and against the beeper."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest

from harness.fakes import Line, ScriptedDialogue, ScriptedEngine
from harness.gateway import gateway
from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.dialogue import AudioToken, ReplySpec, ReplyToken
from vivavoce.realtime.bench.caller.calibration import EndOfTone, calibrate, tone
from vivavoce.realtime.bench.caller.caller import Clip
from vivavoce.realtime.bench.caller.impairments import Impairment
from vivavoce.realtime.bench.caller.link import Broken, Refused, Target
from vivavoce.realtime.bench.caller.prepare import Act, Over, Play
from vivavoce.realtime.bench.caller.scenario import Line as Words
from vivavoce.realtime.bench.caller.scenario import Scenario
from vivavoce.realtime.bench.report.report import describe_run
from vivavoce.realtime.bench.runs import punctuality as punctual
from vivavoce.realtime.bench.runs import soak as soaking
from vivavoce.realtime.bench.runs.long_call import LongCall, long_call
from vivavoce.realtime.bench.runs.run import TRANSPORTS, Calls, Plan, run_calls
from vivavoce.realtime.bench.runs.soak import Soak

HELLO = Clip("hello", tone(0.8, 300), 0, round(0.8 * SAMPLE_RATE))
STOP = Clip("stop", tone(0.6, 300), 0, round(0.6 * SAMPLE_RATE))
SCENARIO = Scenario("test", "A test", (Words(("hello",)),), per_call=2, turns=2)
PLAY = Play(SCENARIO, (Act(HELLO, expect=("six",)), Act(HELLO, (Over("interruption", 0.6, STOP),))), None, 0.0)
ANSWER = Line("One two three four five six.", 2.0)


class Voice(ScriptedDialogue):
    """Answers with a tone: Opus does not carry the constant that will do elsewhere."""

    async def reply(self, spec: ReplySpec) -> AsyncGenerator[ReplyToken]:
        async for token in super().reply(spec):
            if isinstance(token, AudioToken):
                yield AudioToken(tone(len(token.samples) / SAMPLE_RATE, 400), token.words)
            else:
                yield token


class Speaking(ScriptedEngine):
    def open(self) -> ScriptedDialogue:
        self.dialogues.append(Voice((), [ANSWER] * 5))
        return self.dialogues[-1]


def calls(transport: str, impairment: Impairment | None = None, **settings: Any) -> tuple[Calls, Plan]:
    """Two turns, the second of which is interrupted."""

    async def run() -> tuple[Calls, Plan]:
        async with gateway(Speaking(), **settings) as running:
            plan = Plan(Target(running.url, extras=True), transport, impairment or Impairment())
            return await run_calls(PLAY, plan, lambda record: None), plan

    return asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_call_is_measured_over_every_transport(transport: str) -> None:
    made, plan = calls(transport)
    found = describe_run(PLAY, plan, made)
    assert found["failures"] == []
    assert [turn["outcome"] for turn in found["turns"]] == ["answered", "answered"]
    assert all(250 < turn["v2v"] < 4000 for turn in found["turns"])  # the script thinks for 0.2 s
    marks = found["turns"][0]["marks"]
    assert abs(found["turns"][0]["v2v"] - marks["sent"]) < 500  # the server's own account is about the same
    assert [over["reaction"] for over in found["overlaps"]] == ["yielded"]
    assert found["measures"]["expected"]["count"] == 1


@pytest.mark.slow
def test_a_long_call_goes_on_turn_after_turn_and_says_what_the_server_holds() -> None:
    async def run() -> LongCall:
        async with gateway(Speaking()) as running:
            plan = Plan(Target(running.url, extras=True), "websocket")
            return await long_call(PLAY, plan, 0.15, os.getpid(), lambda sample: None, every=1.0)

    found = asyncio.run(run())
    assert not found.failure
    assert found.turns >= 2
    assert not found.missed
    assert found.late is not None
    assert 250 < found.late.p50.value < 4000
    assert found.samples[-1].inner["calls"] == 1
    assert found.samples[-1].resident > 10_000_000


@pytest.mark.slow
def test_quiet_calls_are_listened_to_frame_by_frame() -> None:
    """The same server once as it is, and once held up for 0.1 s in every second."""

    async def run(held_up: float) -> punctual.Punctual:
        async with gateway(Speaking()) as running, asyncio.TaskGroup() as tasks:
            holding = tasks.create_task(_hold_up(held_up))
            target = Target(running.url, extras=True)
            found = await asyncio.to_thread(punctual.punctual, target, [2], os.getpid(), lambda level: None, 3.0)
            holding.cancel()
            return found[0]

    fine, bad = asyncio.run(run(0)), asyncio.run(run(0.1))
    assert fine.frames == pytest.approx(300, abs=10)
    assert fine.cpu is not None
    assert fine.late[1] <= bad.late[1]
    assert bad.late[0] > 0.05
    assert bad.most > 60


async def _hold_up(seconds: float) -> None:
    while True:
        time.sleep(seconds)  # noqa: ASYNC251 - on purpose: the event loop stands still
        await asyncio.sleep(1 - seconds)


@pytest.mark.slow
def test_a_soak_has_callers_side_by_side_and_looks_when_all_have_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaking, "EVERY", 3)

    async def run() -> Soak:
        async with gateway(Speaking(), max_sessions=2) as running:
            plan = Plan(Target(running.url, extras=True), "all")
            return await soaking.soak(PLAY, plan, 4, os.getpid(), lambda sample: None)

    found = asyncio.run(run())
    assert (found.calls, found.failed, found.silent) == (4, 0, 0)
    assert found.refused >= 1, "three lines, and a server for two calls: who is refused calls again"
    assert [sample.calls for sample in found.samples] == [3, 4]
    assert [sample.inner["calls"] for sample in found.samples] == [0, 0]


@pytest.mark.slow
def test_a_line_that_loses_packets_loses_them_both_ways() -> None:
    made, _ = calls("webrtc", Impairment(loss=0.1, jitter=0.01))
    assert made.records[0].concealed > 0  # towards us
    assert not made.records[0].failure


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
def test_a_server_without_our_key_refuses_and_is_not_measured(transport: str) -> None:

    async def run() -> Refused:
        async with gateway(ScriptedEngine(), keys=("secret",)) as running:
            with pytest.raises(Refused) as refused:
                await run_calls(PLAY, Plan(Target(running.url), transport), lambda record: None)
        return refused.value

    refused = asyncio.run(run())
    assert (refused.status, refused.full) == (401, False)


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
def test_a_server_that_is_not_there_is_said_to_be_unreachable(transport: str) -> None:
    with pytest.raises(Broken, match="cannot be reached"):
        asyncio.run(run_calls(PLAY, Plan(Target("http://127.0.0.1:1"), transport), lambda record: None))


@pytest.mark.parametrize("chunk", [100, 480, 1000])
def test_the_end_of_a_tone_is_found_in_its_piece(chunk: int) -> None:
    sound = np.concatenate([np.zeros(500, np.float32), tone(0.3), np.zeros(5000, np.float32)])
    finder = EndOfTone()
    found = [start for start in range(0, len(sound), chunk) if finder.receive(sound[start : start + chunk])]
    end = 500 + round(0.3 * SAMPLE_RATE)
    assert len(found) == 1
    assert end - chunk < found[0] <= end + 100


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
def test_the_instrument_measures_known_delays(transport: str) -> None:
    """On a quiet machine the error is within 45 ms, frames included; this holds on a busy one too."""
    found = calibrate(Plan(Target(""), transport), tones=2)
    assert found.error.n >= 4
    assert found.error.least >= -5
    assert found.error.p50.value < 250
