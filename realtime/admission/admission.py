"""Admit a request to a call: authentication, rate limits, the session it requests, a call slot.

    request ──allow──► session config of its secret ──session──► Session core ──reserve──► a call slot

Every refusal is a `Denied`, fit to be the answer to the request.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from msgspec import to_builtins

from vivavoce.realtime.admission import client_secrets
from vivavoce.realtime.admission.auth import Denied, check_session
from vivavoce.realtime.admission.client_secrets import ClientSecrets
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.call import Busy, Call, Calls
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.peers.resumable import Since
from vivavoce.realtime.session.opening import (
    VOICE,
    NewSession,
    SessionDefaults,
    SessionRequest,
    new_session,
    random_ids,
)
from vivavoce.realtime.session.rate_limit import Addresses, Bucket
from vivavoce.realtime.session.tool_settings import options as tools
from vivavoce.realtime.transports.tcp import network
from vivavoce.realtime.wire.errors import Refused


class Admission:
    """Admits the requests of one gateway. `calls` is None until the models are loaded; `failure`: why they cannot
    be. `leaving`: the server is being stopped."""

    def __init__(self, config: ServerConfig, clock: Callable[[], float], voice: str = VOICE) -> None:
        """`clock` gives unix seconds; `voice`: the default one."""
        self.calls: Calls | None = None
        self.failure = ""
        self.leaving = False
        self._config = config
        self._clock = clock
        notice = config.recording_notice if config.recordings else None
        self.defaults = SessionDefaults(tools(config), voice, notice, config.apology)
        self._secrets = ClientSecrets(lambda: secrets.token_urlsafe(24))
        self._addresses = Addresses(config.sessions_per_minute)

    def ready(self) -> Calls:
        """The calls. Raises `Denied` until the models are loaded, and once the server is being stopped."""
        if self.leaving:
            raise Denied(503, "server_stopping", "The server is being stopped. Please try again in a moment.")
        if self.calls is None:
            message = self.failure or "The models are still loading. Please try again in a moment."
            raise Denied(503, "models_failed" if self.failure else "models_loading", message)
        return self.calls

    def allow(self, headers: Mapping[str, str], subprotocols: Iterable[str] = ()) -> Mapping[str, Any] | None:
        """Authenticates a request. Returns the session config of its client secret, if it presents one. Raises
        `Denied`."""
        return check_session(self._config, headers, lambda key: self._secrets.find(key, self._clock()), subprotocols)

    def issue(self, body: bytes, owner: str = "") -> dict[str, Any]:
        """Issues a client secret to the holder of the key `owner`: the body of the answer. Raises `Denied`."""
        try:
            request = client_secrets.read_request(body)
        except Refused as refused:
            raise _denied(refused) from refused
        session = self.session(False, SessionRequest(config=request.config)).begin(Playout())
        value, expires_at = self._secrets.issue(request.config, request.seconds, self._clock(), owner)
        return {"value": value, "expires_at": expires_at, "session": to_builtins(session.view)}

    def session(self, plays: bool, request: SessionRequest, defaults: SessionDefaults | None = None) -> NewSession:
        """The session of a request; `defaults`: others than the gateway's. Raises `Denied`."""
        defaults = defaults or self.defaults
        if self.calls is not None:  # else they are not known yet, and a client secret is checked when it is used
            defaults = replace(defaults, abilities=self.calls.engine.cascade.abilities)
        expires_at = int(self._clock() + self._config.max_duration)
        responses = Bucket(self._config.responses_per_minute)
        try:
            return new_session(plays, request, random_ids(), expires_at, responses, defaults)
        except Refused as refused:
            raise _denied(refused) from refused

    def reserve(self, call_id: str, address: str, now: float) -> Calls:
        """Reserves a slot for a call from `address`, an IP address or another name of the caller; `now` on the event
        loop's clock. Raises `Denied`."""
        calls = self.ready()
        if wait := self._addresses.take(network(address), now):
            message = f"Too many new sessions: at most {self._config.sessions_per_minute} a minute from one address."
            raise Denied(429, "rate_limit_exceeded", message, retry_after=wait)
        try:
            calls.reserve(call_id)
        except Busy as busy:
            raise Denied(503, "server_full", str(busy)) from busy
        return calls

    def resumable(self, query: Mapping[str, str], plays: bool) -> tuple[Call, Since]:
        """The call of the request's resume token, and what the client has received. Raises `Denied`."""
        call = self.ready().resumable(query.get("resume", ""))
        if call is None:
            message = "No call waits for this token: it is over, or was resumed already. Begin a new one."
            raise Denied(404, "resume_token_unknown", message, "resume")
        transport = call.resumable
        if transport.plays != plays:
            message = "The call was begun over WebRTC." if transport.plays else "The call was begun over a WebSocket."
            raise Denied(409, "resume_other_transport", f"{message} It can only go on there.", "resume")
        played = query.get("played", "")
        if played and not re.fullmatch("[0-9]{1,10}", played):
            raise Denied(400, "invalid_value", "'played' must be an RTP timestamp, a whole number.", "played")
        since = Since(query.get("received") or None, int(played) if played else None)
        if not transport.can_replay(since.received):
            message = "The events after 'received' are not kept any more. Begin a new call."
            raise Denied(409, "resume_events_lost", message, "received")
        return call, since

    def find(self, call_id: str) -> Call:
        """A running call. Raises `Denied`."""
        call = self.ready().find(call_id)
        if call is None:
            raise no_call()
        return call


def no_call() -> Denied:
    """The refusal of requests about an unknown call."""
    return Denied(404, "call_not_found", "There is no call of this id.", "call_id")


def _denied(refused: Refused) -> Denied:
    return Denied(400, refused.code, refused.message, refused.param)
