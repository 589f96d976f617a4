"""`vivavoce call sip:...`: one outgoing phone call; the assistant speaks when it is answered.

The models are loaded in this process, so that no server is needed; account, limits and words are those of the settings.
A server that runs is not disturbed: the call has ports of its own, and registers nowhere.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from vivavoce.model.store import Store, catalog
from vivavoce.realtime.admission.admission import Admission
from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.call import Calls
from vivavoce.realtime.cli import CommandFailed
from vivavoce.realtime.cli.models import prepare
from vivavoce.realtime.config import Config
from vivavoce.realtime.config.dial_rules import Dialling
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.config.sip import split
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.session.opening import VOICE
from vivavoce.realtime.telephony.errors import CallNotAnswered, SetupError
from vivavoce.realtime.telephony.phones import Phones


def run(config: Config, target: str, greeting: str | None) -> int:
    """Calls `target`, a number or a SIP URI, and says `greeting` (None: as in the settings). Returns when the call is
    over. Raises `NotAllowed`, `CommandFailed`, `ModelError`."""
    target = Dialling(config.phone.outbound, config.phone.targets.values()).check(target)
    store = Store(config.home, catalog.load())
    prepare(store, config.model)
    engine = Engine(config.model, store.path)
    try:
        problem = asyncio.run(_call(replace(config, phone=_phone(config.phone, greeting)), engine, target))
    except SetupError as error:
        raise CommandFailed(str(error)) from error
    finally:
        engine.close()
    if problem:
        raise CommandFailed(problem)
    print("The call is over.")
    return 0


async def _call(config: Config, engine: Engine, target: str) -> str:
    """Returns why the call was not connected; "" after one that was."""

    def clock() -> float:
        return datetime.now(UTC).timestamp()

    admission = Admission(config.server, clock, config.model.voice or VOICE)
    phones = Phones(admission, config.phone, clock)
    async with phones.listening(engine), Calls(engine, config.server) as calls:
        admission.calls = calls
        assert phones.sip is not None
        print("Calling ...", flush=True)
        problem = ""
        try:
            await phones.sip.dial(target)
        except (CallNotAnswered, Denied, OSError) as error:
            problem = str(error)
        except asyncio.CancelledError:
            pass  # Ctrl-C: leaving the contexts ends the call
        admission.calls = None
    return problem


def _phone(phone: PhoneConfig, greeting: str | None) -> PhoneConfig:
    """The settings for this call: a free port, no registration, no other adapters."""
    host = split(phone.sip.listen, 0)[0] if phone.sip.listen else "0.0.0.0"
    sip = replace(phone.sip, listen=f"[{host}]:0" if ":" in host else f"{host}:0", register=False)
    words = (phone.outgoing_greeting or phone.greeting) if greeting is None else greeting
    return replace(phone, sip=sip, outgoing_greeting=words, audiosocket="", webhook="")
