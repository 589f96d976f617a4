"""New sessions of the protocol: what a client asks for while it connects, to a `Session` core."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2s
from itertools import count
from typing import Any, Final

import msgspec

from vivavoce.model.abilities import Abilities
from vivavoce.realtime.audio.playout import Ledger
from vivavoce.realtime.session.ids import Ids
from vivavoce.realtime.session.images import Decode, decode_image
from vivavoce.realtime.session.mcp_servers import Servers, ToolOptions
from vivavoce.realtime.session.rate_limit import Bucket
from vivavoce.realtime.session.session import Options, Session
from vivavoce.realtime.session.setting_checks import check_session
from vivavoce.realtime.session.settings import Defaults, begin
from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire.client_events import SessionUpdate
from vivavoce.realtime.wire.errors import Refused, WireError
from vivavoce.realtime.wire.session_config import RealtimeSession

MODEL: Final = "vivavoce"
VOICE: Final = "joe"


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """`config` is the session object a client sent along, or that its client secret brings along, as JSON values.
    `model` "" means: what `config` says. `extras`: the client understands our own `vivavoce.…` events, which strict
    clients of the protocol would trip over."""

    model: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    extras: bool = False

    @classmethod
    def from_query(cls, query: Mapping[str, str], config: Mapping[str, Any] | None = None) -> SessionRequest:
        """From a URL's query; keys we do not know are passed over."""
        if config is None:
            config = {"type": "transcription"} if query.get("intent") == "transcription" else {}
        return cls(query.get("model", ""), config, query.get("extras") == "true")


@dataclass(frozen=True, slots=True)
class SessionDefaults:
    """What the server's settings say of every session. `tools`: those that the server runs; `voice` speaks unless the
    client asks for another one; `notice`, `apology`, `greeting`, `abilities`: see `Options`."""

    tools: ToolOptions = field(default_factory=ToolOptions)
    voice: str = VOICE
    notice: str | None = None
    apology: str = ""
    greeting: str = ""
    abilities: Abilities = field(default_factory=Abilities)


def random_ids() -> Ids:
    """Names that no other session has."""
    return seeded_ids(secrets.token_hex(16))


def seeded_ids(seed: str) -> Ids:
    """Names that follow from the seed alone, and that nobody guesses without it."""
    numbers = count()
    return Ids(lambda: blake2s(f"{seed}.{next(numbers)}".encode(), digest_size=12).hexdigest(), seed)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that was checked and has not begun. `plays`: the server paces the sound."""

    options: Options
    plays: bool
    ids: Ids

    def begin(self, ledger: Ledger, decode: Decode | None = None) -> Session:
        """The session core of a call with this playout. `decode`: gives pictures that were decoded before."""
        options = self.options if decode is None else replace(self.options, decode=decode)
        return Session(options, ledger, self.plays, self.ids)


def new_session(
    plays: bool,
    wanted: SessionRequest,
    ids: Ids,
    expires_at: int,
    responses: Bucket | None = None,
    house: SessionDefaults | None = None,
) -> NewSession:
    """A session as its client requests it; `expires_at` in unix seconds; `responses` bounds how many it may ask for.

    Raises `Refused`."""
    house = house or SessionDefaults()
    try:
        update = msgspec.json.encode({"type": "session.update", "session": {"type": "realtime", **wanted.config}})
    except (RecursionError, UnicodeError) as error:
        raise Refused("invalid_value", f"The session cannot be written as JSON: {error}.", "session") from error
    asked = wire.parse(update)
    if isinstance(asked, WireError):
        raise Refused(asked.code, asked.message, asked.param)
    assert isinstance(asked, SessionUpdate)
    said = asked.session.model if isinstance(asked.session, RealtimeSession) else None
    model = wanted.model or (said if isinstance(said, str) else MODEL)
    settings = begin(Defaults(model, "", house.voice), asked.session)
    servers = Servers(house.tools)
    servers.check(settings.tools, "session.tools")
    servers.check_choice(settings.tool_choice, settings.tools, "session.tool_choice")
    check_session(asked.session, settings, house.abilities)
    options = Options(
        settings,
        expires_at,
        decode_image,
        wanted.extras,
        responses,
        house.tools,
        notice=house.notice,
        apology=house.apology,
        greeting=house.greeting,
        abilities=house.abilities,
    )
    return NewSession(options, plays, ids)
