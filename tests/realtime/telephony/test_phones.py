"""Phones: SIP is an extra, imported only when the settings ask for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


WITHOUT = """
import asyncio, sys
from vivavoce.realtime.admission.admission import Admission
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.config.sip import SipConfig
import vivavoce.realtime.gateway.app, vivavoce.realtime.cli.call
from harness.fakes import ScriptedEngine
from vivavoce.realtime.telephony.errors import SipNotInstalled
from vivavoce.realtime.telephony.phones import Phones

def loaded():
    return sorted(name for name in sys.modules if name.partition(".")[0] in ("aiosipua", "aiortp"))

async def listen(settings):
    async with Phones(Admission(ServerConfig(), lambda: 0.0), settings, lambda: 0.0).listening(ScriptedEngine()):
        pass

assert loaded() == [], loaded()
asyncio.run(listen(PhoneConfig(asterisk_password="open sesame", audiosocket="127.0.0.1:0")))
assert loaded() == [], loaded()
sys.modules["aiosipua"] = None  # as if it were not installed
try:
    asyncio.run(listen(PhoneConfig(sip=SipConfig(listen="127.0.0.1:0"))))
except SipNotInstalled as error:
    print(error)
"""


@pytest.mark.slow
def test_a_server_without_sip_loads_no_library_of_it_and_one_that_lacks_them_names_the_remedy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=120, cwd=ROOT / "tests", check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "phone.sip.listen" in done.stdout
    assert "pip install -e '.[sip]'" in done.stdout
