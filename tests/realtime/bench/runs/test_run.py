"""realtime/bench/runs: whole calls over every transport, against a gateway with a scripted model, and the calibration.

Calls are in memory, on the virtual clock. The calibration and the pacing are measured in real time on a machine that
may be busy, so bounds on latency are one-sided: other work only adds to it."""

from __future__ import annotations

import asyncio
import os
import pickle
import time
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
import pytest

from harness import memory_network
from harness.fakes import Line, ScriptedDialogue, ScriptedEngine
from harness.gateway import gateway
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE
from vivavoce.model.dialogue import AudioToken, ReplySpec, ReplyToken
from vivavoce.realtime.bench.caller.caller import Clip
from vivavoce.realtime.bench.caller.impairments import Impairment
from vivavoce.realtime.bench.caller.link import CallBroken, CallRefused, Target
from vivavoce.realtime.bench.caller.prepare import PreparedOverlap, PreparedScenario, PreparedTurn
from vivavoce.realtime.bench.caller.scenario import Line as Words
from vivavoce.realtime.bench.caller.scenario import Scenario
from vivavoce.realtime.bench.report.report import describe_run
from vivavoce.realtime.bench.runs import punctuality as punctual
from vivavoce.realtime.bench.runs import soak as soaking
from vivavoce.realtime.bench.runs.calibration import EndOfTone, calibrate, tone
from vivavoce.realtime.bench.runs.long_call import LongCall, long_call
from vivavoce.realtime.bench.runs.run import TRANSPORTS, Calls, Plan, run_calls
from vivavoce.realtime.bench.runs.soak import Soak

HELLO = Clip("hello", tone(0.8, 300), 0, round(0.8 * SAMPLE_RATE))
STOP = Clip("stop", tone(0.6, 300), 0, round(0.6 * SAMPLE_RATE))
SCENARIO = Scenario("test", "A test", (Words(("hello",)),), per_call=2, turns=2)
INTERRUPTED = PreparedTurn(HELLO, (PreparedOverlap("interruption", 0.6, STOP),))
PLAY = PreparedScenario(SCENARIO, (PreparedTurn(HELLO, expect=("six",)), INTERRUPTED), None, 0.0)
ANSWER = Line("One two three four five six.", 2.0)


class Voice(ScriptedDialogue):
    """Replies with a tone: Opus does not carry the constant of other tests."""

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

    return memory_network.run(run())


@pytest.mark.slow
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_call_is_measured_over_every_transport(transport: str) -> None:
    made, plan = calls(transport)
    found = describe_run(PLAY, plan, made)
    assert found["failures"] == []
    assert [turn["outcome"] for turn in found["turns"]] == ["answered", "answered"]
    assert all(turn["v2v"] > 250 for turn in found["turns"])  # the scripted model takes 0.2 s
    marks = found["turns"][0]["marks"]
    assert 200 < marks["sent"] < found["turns"][0]["v2v"] + 150  # sent before it was audible, up to the VAD's error
    assert [over["reaction"] for over in found["overlaps"]] == ["yielded"]
    assert found["measures"]["expected"]["count"] == 1


@pytest.mark.slow
def test_a_long_call_has_turn_after_turn_and_samples_the_server() -> None:
    async def run() -> LongCall:
        async with gateway(Speaking()) as running:
            plan = Plan(Target(running.url, extras=True), "websocket")
            return await long_call(PLAY, plan, 0.15, os.getpid(), lambda sample: None, every=1.0)

    found = memory_network.run(run())
    assert not found.failure
    assert found.turns >= 2
    assert not found.missed
    assert found.late is not None
    assert found.late.p50.value > 250
    assert found.samples[-1].inner["calls"] == 1
    assert found.samples[-1].resident > 10_000_000


@pytest.mark.slow
def test_pacing_jitter_is_measured_frame_by_frame() -> None:
    """A server whose event loop stands still for 0.1 s in every second."""

    async def run() -> punctual.Punctual:
        async with gateway(Speaking()) as running, asyncio.TaskGroup() as tasks:
            blocking = tasks.create_task(_block(0.1))
            target = Target(running.url, extras=True)
            found = await asyncio.to_thread(punctual.punctual, target, [2], os.getpid(), lambda level: None, 3.0)
            blocking.cancel()
            return found[0]

    found = asyncio.run(run())
    assert found.frames > 200  # of 300 in 3 s of two calls
    assert found.cpu is not None
    assert found.late[0] > 0.05
    assert found.late[1] > 0
    assert found.most > 60


def test_lateness_is_counted_from_the_most_punctual_frame() -> None:
    times = iter([1.0, 1.02, 1.07, 1.065])
    arrivals = punctual.Arrivals(lambda: next(times))
    for _ in range(4):
        arrivals.add(np.zeros(FRAME, np.float32), "")
    assert arrivals.lateness(0.0) == pytest.approx([0.0, 0.0, 0.03, 0.005])
    assert arrivals.lateness(1.05) == pytest.approx([0.025, 0.0])
    assert arrivals.lateness(9.0) == []


async def _block(seconds: float) -> None:
    while True:
        time.sleep(seconds)  # noqa: ASYNC251 - blocks the event loop on purpose
        await asyncio.sleep(1 - seconds)


@pytest.mark.slow
def test_a_soak_has_concurrent_callers_and_samples_after_they_hang_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaking, "EVERY", 3)

    async def run() -> Soak:
        async with gateway(Speaking(), max_sessions=2) as running:
            plan = Plan(Target(running.url, extras=True), "all")
            return await soaking.soak(PLAY, plan, 4, os.getpid(), lambda sample: None)

    found = memory_network.run(run())
    assert (found.calls, found.failed, found.silent) == (4, 0, 0)
    assert found.refused >= 1, "three callers, and a server for two calls: a refused caller calls again"
    assert [sample.calls for sample in found.samples] == [3, 4]
    assert [sample.inner["calls"] for sample in found.samples] == [0, 0]


@pytest.mark.slow
def test_packet_loss_affects_both_directions() -> None:
    made, _ = calls("webrtc", Impairment(loss=0.1, jitter=0.01))
    assert made.records[0].concealed > 0  # from the server
    assert not made.records[0].failure


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
def test_a_server_that_refuses_our_key_is_not_measured(transport: str) -> None:

    async def run() -> CallRefused:
        async with gateway(ScriptedEngine(), keys=("secret",)) as running:
            with pytest.raises(CallRefused) as refused:
                await run_calls(PLAY, Plan(Target(running.url), transport), lambda record: None)
        return refused.value

    refused = asyncio.run(run())
    assert (refused.status, refused.full) == (401, False)


def test_a_refusal_survives_the_way_from_one_process_to_another() -> None:
    refused = pickle.loads(pickle.dumps(CallRefused(503, "full", 2.0)))
    assert (str(refused), refused.status, refused.retry_after) == ("HTTP 503: full", 503, 2.0)


@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
def test_a_missing_server_is_reported_as_unreachable(transport: str) -> None:
    with pytest.raises(CallBroken, match="cannot be reached"):
        asyncio.run(run_calls(PLAY, Plan(Target("http://127.0.0.1:1"), transport), lambda record: None))


@pytest.mark.parametrize("chunk", [100, 480, 1000])
def test_the_end_of_a_tone_is_found_in_its_chunk(chunk: int) -> None:
    sound = np.concatenate([np.zeros(500, np.float32), tone(0.3), np.zeros(5000, np.float32)])
    finder = EndOfTone()
    found = [start for start in range(0, len(sound), chunk) if finder.receive(sound[start : start + chunk])]
    end = 500 + round(0.3 * SAMPLE_RATE)
    assert len(found) == 1
    assert end - chunk < found[0] <= end + 100


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["webrtc", "websocket"])
def test_the_instrument_measures_known_delays(transport: str) -> None:
    found = calibrate(Plan(Target(""), transport), tones=2)
    assert found.error.n >= 4
    assert found.error.least >= -5  # never less than the true delay; 45 ms at most on an idle machine
    assert found.way_there.least > 0
