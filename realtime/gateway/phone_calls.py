"""REST requests about phone calls, as in the official Realtime API.

POST /v1/realtime/calls/{id}/accept    a session object: answers a ringing call, returns when it can be joined
POST /v1/realtime/calls/{id}/reject    {"status_code": 603}: declines it
POST /v1/realtime/calls/{id}/refer     {"target_uri": "tel:+49…"}: transfers the caller
POST /v1/realtime/calls/{id}/hangup    ends any call, by telephone or not
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vivavoce.realtime.admission import rest
from vivavoce.realtime.admission.admission import Admission, no_call
from vivavoce.realtime.admission.auth import Denied, check
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.config.errors import NotAllowed
from vivavoce.realtime.telephony.errors import ActionFailed
from vivavoce.realtime.telephony.phones import Phones
from vivavoce.realtime.telephony.webhooks.ringing import DECLINE
from vivavoce.realtime.wire import parsing as wire
from vivavoce.realtime.wire.errors import Refused

ANSWERED: Final = 10.0
"""Seconds within which an accepted call must begin: the caller's side has to confirm."""

T = TypeVar("T")


class _Reject(msgspec.Struct):
    status_code: Annotated[int, msgspec.Meta(ge=400, le=699)] = DECLINE


class _Refer(msgspec.Struct):
    target_uri: str


class CallRest:
    """The routes. Every refusal is a `Denied`."""

    def __init__(self, config: ServerConfig, admission: Admission, phones: Phones) -> None:
        self._config = config
        self._admission = admission
        self._phones = phones

    def routes(self) -> list[Route]:
        """Under /v1."""
        verbs = {"accept": self._accept, "reject": self._reject, "refer": self._refer, "hangup": self._hang_up}
        return [Route(f"/realtime/calls/{{call_id}}/{verb}", run, methods=["POST"]) for verb, run in verbs.items()]

    async def _accept(self, request: Request) -> Response:
        call_id = self._allowed(request)
        self._check_rings(call_id)
        config = _read(await rest.read_body(request), dict[str, Any])
        if config.get("type") != "realtime":
            raise Denied(400, "invalid_value", "A phone call is accepted with a session of type 'realtime'.", "type")
        self._phones.switchboard.check(config)
        self._check_rings(call_id)  # the body may have taken long
        self._phones.ringing.accept(call_id, config)
        if not await self._phones.switchboard.until_running(call_id, ANSWERED):
            raise Denied(409, "call_ended", "The call did not begin: the caller hung up, or all lines are taken.")
        return Response()

    async def _reject(self, request: Request) -> Response:
        call_id = self._allowed(request)
        self._check_rings(call_id)
        body = _read(await rest.read_body(request) or b"{}", _Reject)
        self._check_rings(call_id)
        self._phones.ringing.reject(call_id, body.status_code)
        return Response()

    async def _refer(self, request: Request) -> Response:
        call_id = self._allowed(request)
        line = self._phones.switchboard.find(call_id)
        if line is None:
            self._admission.find(call_id)
            raise _not_by_telephone()
        body = _read(await rest.read_body(request), _Refer)
        try:
            await line.transfer_now(self._phones.dialling.check(body.target_uri))
        except NotAllowed as error:
            raise Denied(403, "target_not_allowed", str(error), "target_uri") from error
        except ActionFailed as error:
            raise Denied(409, "transfer_failed", f"The call was not transferred: {error}.") from error
        self._admission.ready().hang_up(call_id)  # caller and target are connected now
        return Response()

    async def _hang_up(self, request: Request) -> Response:
        call_id = self._allowed(request)
        if not (self._phones.ringing.reject(call_id) or self._admission.ready().hang_up(call_id)):
            raise no_call()
        return Response()

    def _allowed(self, request: Request) -> str:
        """The call's id. Raises `Denied` for a client without permission."""
        check(self._config, request.headers)
        self._admission.ready()
        return str(request.path_params["call_id"])

    def _check_rings(self, call_id: str) -> None:
        """Raises `Denied` unless the call rings and is undecided."""
        if self._phones.ringing.is_ringing(call_id):
            return
        if self._phones.switchboard.find(call_id) is not None:
            raise Denied(409, "call_not_ringing", "The call was answered already.")
        self._admission.find(call_id)
        raise _not_by_telephone()


def _not_by_telephone() -> Denied:
    return Denied(400, "call_not_by_telephone", "The call is not a telephone call; it can only be hung up.")


def _read(body: bytes, kind: type[T]) -> T:
    """Raises `Denied`."""
    try:
        return wire.read_json(body, kind)
    except Refused as refused:
        raise Denied(400, refused.code, refused.message, refused.param) from refused
