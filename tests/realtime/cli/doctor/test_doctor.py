"""Findings of the doctor."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError

import aioice
import pytest
from aiortc import RTCIceServer

from harness import tidy
from vivavoce.realtime.cli.doctor import machine, network, speed
from vivavoce.realtime.cli.doctor.findings import Finding, sentence
from vivavoce.realtime.config import ServerConfig


@contextmanager
def stun_server(answers: bool) -> Iterator[str]:
    """A STUN server (RFC 8489) that answers every binding request, or none. (ICE does not ask from loopback.)"""
    own = aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=False)
    if not own:
        pytest.skip("needs a network interface besides loopback")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((own[0], 0))

        def serve() -> None:
            while (received := listening.recvfrom(2048))[0]:
                data, address = received
                asked = aioice.stun.parse_message(data)
                told = aioice.stun.Message(asked.message_method, aioice.stun.Class.RESPONSE, asked.transaction_id)
                told.attributes["XOR-MAPPED-ADDRESS"] = ("203.0.113.7", address[1])
                if answers:
                    listening.sendto(bytes(told), address)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"stun:{own[0]}:{listening.getsockname()[1]}"
        listening.sendto(b"", listening.getsockname())
        thread.join()


def test_a_finding_is_a_row_and_its_advice_a_second_one() -> None:
    assert Finding("ok", "port", "free").row.split() == ["ok", "port", "free"]
    first, second = Finding("slow", "asr", "1 s", "Buy a faster one.").row.splitlines()
    assert first.split() == ["slow", "asr", "1", "s"]
    assert second.strip() == "-> Buy a faster one."


def test_an_error_becomes_a_sentence() -> None:
    assert sentence(ValueError("the file is gone")) == "The file is gone."
    assert sentence(ValueError("Gone.")) == "Gone."


@pytest.mark.parametrize(
    ("first", "rate", "gigabytes", "cores", "carried"),
    [
        (90, 33, 24, 2, True),
        (150, 24, 6, 2, True),
        (160, 33, 24, 2, False),
        (90, 23, 24, 2, False),
        (90, 33, 5, 2, False),
        (90, 33, 24, 1, False),
    ],
)
def test_a_larger_model_is_named_where_it_stays_within_its_budgets(
    first: float, rate: float, gigabytes: int, cores: int, carried: bool
) -> None:
    assert speed.carries_larger(first, rate, gigabytes * 10**9, cores) == carried


@pytest.mark.parametrize(
    ("budget", "figure", "state"),
    [
        (speed.ASR, 299.0, "ok"),
        (speed.ASR, 301.0, "slow"),
        (speed.TOKENS, 12.1, "ok"),
        (speed.TOKENS, 11.9, "slow"),
    ],
)
def test_a_figure_is_compared_with_its_budget(budget: speed.Budget, figure: float, state: str) -> None:
    finding = budget.compare(figure)
    assert finding.state == state
    assert bool(finding.advice) == (state == "slow")


def without(*missing: str) -> Callable[[str], str]:
    """`importlib.metadata.version` on a machine that has all packages but these."""

    def version(name: str) -> str:
        if name in missing:
            raise PackageNotFoundError(name)
        return f"1 of {name}"

    return version


def test_onnxruntime_for_gpus_counts_as_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "version", without("onnxruntime"))
    assert machine._packages().state == "ok"
    monkeypatch.setattr(machine, "version", without("onnxruntime", "onnxruntime-gpu"))
    assert (machine._packages().state, machine._packages().value) == ("missing", "onnxruntime")


def test_training_packages_may_be_missing_and_the_doctor_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "version", without())
    assert machine._training().value == "torch 1 of torch"
    monkeypatch.setattr(machine, "version", without("torch"))
    assert machine._training().state == "ok"
    assert "pip install -e '.[train]'" in machine._training().value
    assert machine._packages().state == "ok"


@pytest.mark.slow
def test_a_call_to_oneself_connects_and_leaves_nothing() -> None:
    async def main() -> None:
        assert (await network._connection(ServerConfig())).state == "ok"

    tidy.run(main())


@pytest.mark.parametrize(
    ("host", "addresses", "state"),
    [("127.0.0.1", ["127.0.0.1"], "ok"), ("0.0.0.0", ["127.0.0.1"], "broken"), ("0.0.0.0", ["10.0.0.1"], "ok")],
)
def test_others_need_an_address_to_come_to(host: str, addresses: list[str], state: str) -> None:
    assert network._rate(ServerConfig(host=host, keys=("k",)), addresses, 0.1).state == state


@pytest.mark.parametrize(
    ("config", "state"),
    [
        (ServerConfig(), "ok"),
        (ServerConfig(host="0.0.0.0", keys=("k",)), "note"),
        (ServerConfig(host="0.0.0.0", keys=("k",), tls_certificate="c", tls_key="k"), "ok"),
    ],
)
def test_browsers_want_encryption_from_elsewhere(config: ServerConfig, state: str) -> None:
    finding = network._tls(config)
    assert finding.state == state
    assert ("tls_certificate" in finding.advice) == (state == "note")


@pytest.mark.slow
@pytest.mark.parametrize(("answers", "state"), [(True, "ok"), (False, "broken")])
def test_a_stun_server_answers_or_is_named(monkeypatch: pytest.MonkeyPatch, answers: bool, state: str) -> None:
    monkeypatch.setattr(network, "ANSWER", 0.5)
    with stun_server(answers) as url:
        finding = asyncio.run(network._ice_server(RTCIceServer(url)))
    assert (finding.state, finding.subject) == (state, url)
    assert bool(finding.advice) == (state == "broken")


@pytest.mark.parametrize("url", ["stun:", "stuns:127.0.0.1", "turn:127.0.0.1?transport=sctp"])
def test_a_server_that_cannot_be_used_is_named(url: str) -> None:
    finding = asyncio.run(network._ice_server(RTCIceServer(url)))
    assert finding.state == "broken"
    assert "server.ice_servers" in finding.advice
