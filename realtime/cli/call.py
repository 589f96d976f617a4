"""`vivavoce call sip:...`: one phone call that we make; the assistant speaks when it is answered.

The models are loaded here, so no server need run; account, limits and words are those of the settings. One that runs is
not disturbed: this call has ports of its own, and registers nowhere.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime

from vivavoce.model.store import Store, catalog
from vivavoce.realtime.admission.admission import Admission
from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.call import Calls
from vivavoce.realtime.cli.models import prepare
from vivavoce.realtime.config import Config
from vivavoce.realtime.config.dial_rules import Dialling
from vivavoce.realtime.config.errors import NotAllowed
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.config.sip import split
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.session.opening import VOICE
from vivavoce.realtime.telephony.phones import CannotListen, Phones
from vivavoce.realtime.telephony.sip.calls import NotReached


def run(config: Config, target: str, greeting: str | None) -> int:
    """Calls `target`, a number or a SIP URI, and says `greeting` (None: what the settings say). Returns when the call
    is over. Raises `ModelError`."""
    try:
        target = Dialling(config.phone.outbound, config.phone.targets.values()).check(target)
    except NotAllowed as error:
        print(f"vivavoce: {error}", file=sys.stderr)
        return 2
    store = Store(config.home, catalog.load())
    prepare(store, config.model)
    engine = Engine(config.model, store.path)
    try:
        problem = asyncio.run(_call(replace(config, phone=_phone(config.phone, greeting)), engine, target))
    except CannotListen as error:
        problem = str(error)
    finally:
        engine.close()
    print(f"vivavoce: {problem}" if problem else "The call is over.", file=sys.stderr if problem else sys.stdout)
    return 1 if problem else 0


async def _call(config: Config, engine: Engine, target: str) -> str:
    """Returns why the call did not come about; "" when it did."""

    def clock() -> float:
        return datetime.now(UTC).timestamp()

    door = Admission(config.server, clock, config.model.voice or VOICE)
    phones = Phones(door, config.phone, clock)
    async with phones.listening(engine), Calls(engine, config.server) as calls:
        door.calls = calls
        assert phones.sip is not None
        print("Calling ...", flush=True)
        problem = ""
        try:
            await phones.sip.dial(target)
        except (NotReached, Denied, OSError) as error:
            problem = str(error)
        except asyncio.CancelledError:
            pass  # Ctrl-C: what follows says goodbye
        door.calls = None
    return problem


def _phone(phone: PhoneConfig, greeting: str | None) -> PhoneConfig:
    """The settings, for this one call."""
    host = split(phone.sip.listen, 0)[0] if phone.sip.listen else "0.0.0.0"
    sip = replace(phone.sip, listen=f"[{host}]:0" if ":" in host else f"{host}:0", register=False)
    words = (phone.outgoing_greeting or phone.greeting) if greeting is None else greeting
    return replace(phone, sip=sip, outgoing_greeting=words, audiosocket="", webhook="")
