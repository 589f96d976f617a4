"""realtime/admission/admission.py: which requests are refused, and how."""

from __future__ import annotations

import asyncio
import json

import pytest

from harness.fakes import ScriptedEngine
from vivavoce.realtime.admission.admission import Admission
from vivavoce.realtime.admission.auth import Denied
from vivavoce.realtime.admission.client_secrets import MAX_SECRETS
from vivavoce.realtime.call import Call, Calls
from vivavoce.realtime.config import ServerConfig


def make_admission() -> Admission:
    return Admission(ServerConfig(max_sessions=1), lambda: 0.0)


@pytest.mark.parametrize(
    ("failure", "code", "words"),
    [("", "models_loading", "still loading"), ("The disk is full.", "models_failed", "The disk is full")],
)
def test_requests_are_refused_until_the_models_are_loaded(failure: str, code: str, words: str) -> None:
    admission = make_admission()
    admission.failure = failure
    for ask in (admission.ready, lambda: admission.find("rtc_1"), lambda: admission.reserve("rtc_1", "a", 0)):
        with pytest.raises(Denied, match=words) as denied:
            ask()
        assert (denied.value.status, denied.value.code) == (503, code)


def test_a_call_beyond_the_limit_is_refused() -> None:
    async def main() -> None:
        admission = make_admission()
        async with Calls(ScriptedEngine(), ServerConfig(max_sessions=1)) as calls:  # type: ignore[arg-type]  # the used part of it
            admission.calls = calls
            assert admission.reserve("rtc_1", "a", 0) is calls
            with pytest.raises(Denied, match="taken") as denied:
                admission.reserve("rtc_2", "b", 0)
            assert (denied.value.status, denied.value.code) == (503, "server_full")
            calls.release("rtc_1")

    asyncio.run(main())


def test_a_call_that_would_make_the_others_wait_is_refused_but_never_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        admission, engine = make_admission(), ScriptedEngine()
        engine.lateness = 2.0
        async with Calls(engine, ServerConfig(max_sessions=3)) as calls:  # type: ignore[arg-type]  # the used part of it
            admission.calls = calls
            admission.reserve("rtc_1", "a", 0)
            monkeypatch.setattr(Call, "busy", lambda call, now: call.id == "rtc_1")
            with pytest.raises(Denied, match="need all of this machine") as denied:
                admission.reserve("rtc_2", "b", 0)
            assert (denied.value.status, denied.value.code) == (503, "server_full")
            engine.lateness = 0.1
            admission.reserve("rtc_2", "b", 0)
            calls.release("rtc_1")
            calls.release("rtc_2")

    asyncio.run(main())


def test_secrets_have_a_bound() -> None:
    admission = make_admission()
    for _ in range(MAX_SECRETS):
        admission.issue(b"")
    with pytest.raises(Denied, match=f"{MAX_SECRETS}") as denied:
        admission.issue(b"")
    assert (denied.value.status, denied.value.code, denied.value.retry_after) == (429, "rate_limit_exceeded", 60)


def test_the_voice_of_the_settings_is_the_default() -> None:
    admission = Admission(ServerConfig(), lambda: 0.0, "af_heart")
    for body, voice in ((b"", "af_heart"), (b'{"session": {"audio": {"output": {"voice": "ash"}}}}', "ash")):
        assert admission.issue(body)["session"]["audio"]["output"]["voice"] == voice


@pytest.mark.parametrize("key", ["metadata", "x"])
def test_a_session_nested_too_deeply_is_refused(key: str) -> None:
    deep: object = 1
    for _ in range(400):
        deep = {key: deep}
    body = {"session": {"tracing": {"metadata": deep}}}
    with pytest.raises(Denied, match="nested") as denied:
        make_admission().issue(json.dumps(body).encode())
    assert denied.value.status == 400
