"""Opens sessions: the request of a client that connects becomes a `Session` core."""

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
from vivavoce.realtime.session.attachments import Attachments
from vivavoce.realtime.session.ids import Ids
from vivavoce.realtime.session.images import decode_image
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
VOICE: Final = "heart"


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """The session that a client requests. `config`: the session object that it sent, or that its client secret holds,
    as JSON values. `model`: "" for the one in `config`. `extras`: the client understands our own `vivavoce.…` events;
    strict clients of the protocol refuse them."""

    model: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    extras: bool = False

    @classmethod
    def from_query(cls, query: Mapping[str, str], config: Mapping[str, Any] | None = None) -> SessionRequest:
        """Reads a URL's query; unknown keys are ignored."""
        if config is None:
            config = {"type": "transcription"} if query.get("intent") == "transcription" else {}
        return cls(query.get("model", ""), config, query.get("extras") == "true")


@dataclass(frozen=True, slots=True)
class SessionDefaults:
    """The server's settings for every session. `tools`: those that the server runs. `voice`: unless the client requests
    another one. `notice`, `apology`, `greeting`, `abilities`: see `Options`."""

    tools: ToolOptions = field(default_factory=ToolOptions)
    voice: str = VOICE
    notice: str | None = None
    apology: str = ""
    greeting: str = ""
    abilities: Abilities = field(default_factory=Abilities)


def random_ids() -> Ids:
    """Ids that no other session has."""
    return seeded_ids(secrets.token_hex(16))


def seeded_ids(seed: str) -> Ids:
    """Ids that follow from the seed alone, and cannot be guessed without it."""
    numbers = count()
    return Ids(lambda: blake2s(f"{seed}.{next(numbers)}".encode(), digest_size=12).hexdigest(), seed)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A checked session that has not begun. `plays`: the server paces the sound."""

    options: Options
    plays: bool
    ids: Ids

    def begin(self, ledger: Ledger, attachments: Attachments | None = None) -> Session:
        """The session core of a call with this playout. `attachments`: that are decoded ahead."""
        options = self.options
        if attachments is not None:
            options = replace(options, decode=attachments.image, decode_sound=attachments.sound)
        return Session(options, ledger, self.plays, self.ids)


def new_session(
    plays: bool,
    request: SessionRequest,
    ids: Ids,
    expires_at: int,
    responses: Bucket | None = None,
    defaults: SessionDefaults | None = None,
) -> NewSession:
    """Checks the session that a client requests. `expires_at`: unix seconds. `responses`: bounds the responses that the
    client requests. Raises `Refused`."""
    defaults = defaults or SessionDefaults()
    try:
        update = msgspec.json.encode({"type": "session.update", "session": {"type": "realtime", **request.config}})
    except (RecursionError, UnicodeError) as error:
        raise Refused("invalid_value", f"The session cannot be written as JSON: {error}.", "session") from error
    event = wire.parse(update)
    if isinstance(event, WireError):
        raise Refused(event.code, event.message, event.param)
    assert isinstance(event, SessionUpdate)
    model = event.session.model if isinstance(event.session, RealtimeSession) else None
    name = request.model or (model if isinstance(model, str) else MODEL)
    settings = begin(Defaults(name, "", defaults.voice), event.session)
    servers = Servers(defaults.tools)
    servers.check(settings.tools, "session.tools")
    servers.check_choice(settings.tool_choice, settings.tools, "session.tool_choice")
    check_session(event.session, settings, defaults.abilities)
    options = Options(
        settings,
        expires_at,
        decode_image,
        request.extras,
        responses,
        defaults.tools,
        notice=defaults.notice,
        apology=defaults.apology,
        greeting=defaults.greeting,
        abilities=defaults.abilities,
    )
    return NewSession(options, plays, ids)
