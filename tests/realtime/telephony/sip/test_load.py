"""Twenty callers at once, and malformed INVITEs: SIPp against the gateway, the models scripted."""

from __future__ import annotations

import asyncio
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest

from harness import DATA
from harness.baresip_phone import free_port
from harness.fakes import Line, ScriptedEngine
from harness.gateway import gateway
from vivavoce.codecs import g711
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.config.sip import SipConfig

SCENARIOS = DATA / "sipp"
CALLS, SECONDS = 20, 5

pytestmark = [
    pytest.mark.sipp,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("sipp") is None, reason="no SIPp; enable with: sudo apt-get install sip-tester"),
]


async def sipp(port: int, scenario: str, calls: int, folder: Path) -> tuple[int, str]:
    """Runs `calls` calls at the same time; exit code 0: every call followed the scenario."""
    time = np.arange(8_000 * 2) / 8_000
    speech = np.where(time < 1, 0.3 * np.sin(2 * np.pi * 400 * time), 0).astype(np.float32)
    (folder / "question.ul").write_bytes(g711.encode(speech, "mu"))
    text = (SCENARIOS / f"{scenario}.xml").read_text().replace("[$question]", str(folder / "question.ul"))
    (folder / f"{scenario}.xml").write_text(text)
    process = await asyncio.create_subprocess_exec(
        *("sipp", f"127.0.0.1:{port}", "-sf", str(folder / f"{scenario}.xml"), "-i", "127.0.0.1"),
        *("-p", str(free_port()), "-m", str(calls), "-l", str(calls), "-r", str(calls), "-d", str(1000 * SECONDS)),
        *("-nostdin", "-timeout", "40s", "-timeout_error"),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace")


def test_twenty_callers_at_once_are_served_and_leave_nothing_behind(tmp_path: Path) -> None:
    async def load() -> None:
        port, engine = free_port(), ScriptedEngine(lines=[Line("Fine.", 1.0)])
        phone = PhoneConfig(sip=SipConfig(f"127.0.0.1:{port}"), calls_per_minute=100)
        async with gateway(engine, phone=phone, max_sessions=CALLS, sessions_per_minute=1000) as running:
            before = _cpu()
            code, output = await sipp(port, "caller", CALLS, tmp_path)
            used = (_cpu() - before) / (CALLS * SECONDS)
            assert code == 0, output[-3000:]
            await running.idle()
            heard = [dialogue.heard_samples for dialogue in engine.dialogues[-CALLS:]]
            assert np.median(heard) > 5_000, heard  # 0.2 s; test_endpoint.py hears all of them, on the virtual clock
            print(f"{used:.3f} of a core for each call")
            assert used < 0.25, "of a core for each call, without models"

    asyncio.run(load())


def test_a_malformed_invite_is_answered_with_400_and_calls_go_on(tmp_path: Path) -> None:
    async def load() -> None:
        port, engine = free_port(), ScriptedEngine()
        async with gateway(engine, phone=PhoneConfig(sip=SipConfig(f"127.0.0.1:{port}"))) as running:
            code, output = await sipp(port, "malformed", 5, tmp_path)
            assert code == 0, output[-3000:]
            code, output = await sipp(port, "caller", 1, tmp_path)
            assert code == 0, output[-3000:]
            await running.idle()

    asyncio.run(load())


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
