"""New sessions of the protocol: what a client asks for while it connects, to a `Session` core."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from vivavoce.realtime import media
from vivavoce.realtime.playout import Playout
from vivavoce.realtime.protocol import wire
from vivavoce.realtime.protocol.client_events import SessionUpdate
from vivavoce.realtime.protocol.errors import Refused, WireError
from vivavoce.realtime.protocol.ids import Ids
from vivavoce.realtime.protocol.session import Options, Session
from vivavoce.realtime.protocol.settings import Defaults, begin

MODEL: Final = "vivavoce"
VOICE: Final = "joe"


@dataclass(frozen=True, slots=True)
class Wanted:
    """`config` is the session object a client sent along, as JSON values. `extras`: it understands our own
    `vivavoce.…` events, which strict clients of the protocol would trip over."""

    model: str = MODEL
    config: Mapping[str, Any] = field(default_factory=dict)
    extras: bool = False

    @classmethod
    def from_query(cls, query: Mapping[str, str], config: Mapping[str, Any] | None = None) -> Wanted:
        """From a URL's query; keys we do not know are passed over."""
        if config is None:
            config = {"type": "transcription"} if query.get("intent") == "transcription" else {}
        return cls(query.get("model") or MODEL, config, query.get("extras") == "true")


def random_ids() -> Ids:
    """Names that no other session has."""
    return Ids(lambda: secrets.token_hex(12))


def open_session(playout: Playout, plays: bool, wanted: Wanted, ids: Ids, expires_at: int) -> Session:
    """A session with what its client wanted; `expires_at` in unix seconds. Raises `Refused`."""
    asked = wire.parse(json.dumps({"type": "session.update", "session": {"type": "realtime", **wanted.config}}))
    if isinstance(asked, WireError):
        raise Refused(asked.code, asked.message, asked.param)
    assert isinstance(asked, SessionUpdate)
    settings = begin(Defaults(wanted.model, "", VOICE), asked.session)
    return Session(Options(settings, expires_at, media.decode_picture, wanted.extras), playout, plays, ids)
