"""SIP messages as peers write them: folded and compact headers, quoted names, IPv6, multipart bodies."""

from __future__ import annotations

import base64
import quopri
import re

import pytest
from aiosipua import SipMessage, SipRequest

from harness.sip_pair import Pair
from vivavoce.realtime.telephony.sip.body import session_description
from vivavoce.realtime.telephony.sip.dialog import State
from vivavoce.realtime.telephony.sip.headers import BadHeader, canonical_via, host_of, name_address, split_list
from vivavoce.realtime.telephony.sip.messages import Remote, contacts, parse, sender, target

SOURCE = Remote("10.0.0.1", 5060)
SDP = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 5004 RTP/AVP 0\r\n"


def invite(body: str | bytes = SDP, head: str = "", **headers: str) -> bytes:
    """An INVITE; `headers` replace those of a usual one, "" leaves one out, `head` comes behind them."""
    content = body.encode() if isinstance(body, str) else body
    usual = {
        "Via": "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport",
        "From": "<sip:anna@10.0.0.1>;tag=1",
        "To": "<sip:bob@10.0.0.2>",
        "Call-ID": "1",
        "CSeq": "1 INVITE",
        "Contact": "<sip:anna@10.0.0.1:5060>",
        "Content-Type": "application/sdp",
    }
    lines = [f"{name}: {value}\r\n" for name, value in (usual | headers).items() if value]
    start = "INVITE sip:bob@10.0.0.2 SIP/2.0\r\n"
    return (start + "".join(lines) + head + f"Content-Length: {len(content)}\r\n\r\n").encode() + content


def answered(data: bytes) -> SipMessage:
    """Bob's answer to an INVITE, once it was answered where it may be."""
    pair = Pair()
    bob = pair.bob.user_agent
    pair.bob.all_events += bob.receive(data, SOURCE, pair.now)
    if pair.bob.all_events:
        pair.bob.dialog.answer(pair.bob.local)
        assert pair.bob.dialog.state is State.CONFIRMED
    return SipMessage.parse(bob.to_send()[-1][0])


def status(data: bytes) -> int:
    return int(bytes(answered(data)).split()[1])


# --- headers -----------------------------------------------------------------------------------------------------

TORTURE = (  # RFC 4475 section 3.1.1.1, without the tag in To, with our offer
    "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n"
    "TO :\r\n sip:vivekg@chair-dnrc.example.com ;   x    = 1918181833n\r\n"
    'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n'
    "MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\nContent-Length   : {length}\r\n"
    "cseq: 0009\r\n  INVITE\r\nVia  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\n"
    "s :\r\nNewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
    "UnknownHeaderWithUnusualValue: ;;,,;;,;\r\nContent-Type: application/sdp\r\n"
    "Route:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\n"
    "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n"
    " SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n"
    'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n'
    "  secondparam ; q = 0.33\r\n\r\n"
)


def test_the_torturous_invite_of_rfc_4475_is_answered() -> None:
    data = (TORTURE.format(length=len(SDP)) + SDP).encode()
    message = parse(data, SOURCE)
    assert (sender(message).uri, sender(message).tag) == ("sip:jdrosen@example.com", "98asjd8")
    assert target(message).uri == "sip:vivekg@chair-dnrc.example.com"
    assert contacts(message)[0].parameters["q"] == "0.33"
    assert len(message.headers.get("via")) == 3
    assert message.headers.get_first("newfangledheader") == "newfangled value continued newfangled value"
    assert status(data) == 200


@pytest.mark.parametrize(
    "value",
    [
        "<sip:anna@10.0.0.1>;tag=1",
        "sip:anna@10.0.0.1;tag=1",
        "SIP:anna@10.0.0.1 ; tag = 1",
        "Anna Berg <sip:anna@10.0.0.1>;tag=1",
        '"Anna" <sip:anna@10.0.0.1>;tag=1',
        '"Anna, Berlin" <sip:anna@10.0.0.1>;tag=1',
        '"Anna <work>" <sip:anna@10.0.0.1>;tag=1',
        '"<sip:eve@10.0.0.9>;tag=2" <sip:anna@10.0.0.1>;tag=1',
        '"Anna;tag=2" <sip:anna@10.0.0.1>;tag=1',
        r'"Anna \"the <boss>\"" <sip:anna@10.0.0.1>;tag=1',
        r'"Anna \\" <sip:anna@10.0.0.1>;tag=1',
        '"" <sip:anna@10.0.0.1>;tag=1',
        '"Ännä 安娜" < sip:anna@10.0.0.1 >;tag=1',
        '<sip:anna@10.0.0.1>;x="a;tag=2;b";tag=1',
        "<sip:anna@10.0.0.1;user=phone>;tag=1",
        "<sip:anna;phone-context=+49@10.0.0.1?Subject=hi>;tag=1",
        "<sip:anna@[2001:db8::1]:5060>;tag=1",
        "<tel:+49301234;phone-context=x>;tag=1",
        "<sips:anna@10.0.0.1>;TAG=1",
    ],
)
def test_a_caller_is_read_in_every_notation(value: str) -> None:
    assert sender(parse(invite(From=value), SOURCE)).tag == "1"
    without_tag = re.sub(" *; *tag *= *1$", "", value, flags=re.IGNORECASE)
    answer = answered(invite(From=value, To=without_tag, Contact=without_tag))
    assert bytes(answer).startswith(b"SIP/2.0 200")
    assert answer.headers.get_first("from") == value, "as it was written"
    to = answer.headers.get_first("to") or ""
    assert to.startswith(f"{without_tag};tag=")
    assert len(name_address(to).tag) == 16


@pytest.mark.parametrize(
    "value", ["anna", "<sip:>", "<anna>;tag=1", "<sip:anna@10.0.0.1", '"Anna <sip:a@b>;tag=1', "<sip:a@b> x"]
)
def test_a_caller_that_cannot_be_read_is_refused_in_words(value: str) -> None:
    with pytest.raises(BadHeader):
        name_address(value)
    refused = answered(invite(From=value))
    assert bytes(refused).startswith(b"SIP/2.0 400 Bad Request\r\n")
    assert "From, To or Contact is malformed: " in (refused.headers.get_first("warning") or "")


def test_uris_of_a_dialog_are_as_they_were_written() -> None:
    pair = Pair()
    data = invite(From='"A <b>" <tel:+4930;x=y>;tag=1', Contact="<sip:a;b=c@[2001:db8::1]:5070;transport=udp>")
    pair.bob.all_events += pair.bob.user_agent.receive(data, SOURCE, pair.now)
    pair.bob.dialog.answer(pair.bob.local)
    pair.bob.dialog.hang_up()
    bye = SipMessage.parse(pair.bob.user_agent.to_send()[-1][0])
    assert isinstance(bye, SipRequest)
    assert bye.uri == "sip:a;b=c@[2001:db8::1]:5070;transport=udp"
    assert bye.headers.get("to") == ["<tel:+4930;x=y>;tag=1"]


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("sip:10.0.0.1", ("10.0.0.1", None)),
        ("sip:a@[::1]:5070;lr", ("[::1]", 5070)),
        ("sip:a:secret@x.example.org:5060?h=v", ("x.example.org", 5060)),
        (
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@x.org",
            ("x.org", None),
        ),
        ("sip:a@", ("", None)),
        ("sip:a@[::1", ("", None)),
        ("x", ("", None)),
    ],
)
def test_the_host_of_a_uri_is_found(uri: str, host: tuple[str, int | None]) -> None:
    assert host_of(uri) == host


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        ("SIP/2.0/UDP [2001:db8::9]:5060;branch=x", "SIP/2.0/UDP [2001:db8::9]:5060;branch=x"),
        ("SIP / 2.0 / udp  [2001:db8::9] ;branch = x ; rport", "SIP/2.0/UDP [2001:db8::9];branch=x;rport"),
        ("SIP/2.0/TCP pbx.example.org: 5060;branch=x", "SIP/2.0/TCP pbx.example.org:5060;branch=x"),
    ],
)
def test_via_is_read_in_every_notation(value: str, canonical: str) -> None:
    assert canonical_via(value) == canonical
    (via, *_) = answered(invite(Via=value)).headers.get("via")
    assert via.startswith(canonical.removesuffix(";rport"))
    assert via.endswith("received=10.0.0.1")


def test_compact_names_are_read() -> None:
    names = {
        "Via": "v",
        "From": "f",
        "To": "t",
        "Call-ID": "i",
        "Contact": "m",
        "Content-Type": "c",
        "Content-Length": "L",
    }
    data = invite(head="x: 60\r\n").decode()
    for name, compact in names.items():
        data = data.replace(f"{name}: ", f"{compact}:\t")
    assert status(data.encode()) == 422, "x is Session-Expires"
    assert status(data.replace("x: 60", "x: 600").encode()) == 200


def test_lists_are_not_taken_apart_within_quotes_and_brackets() -> None:
    assert split_list(r'"a, \"b" <sip:a,b@c>, d ,, e') == [r'"a, \"b" <sip:a,b@c>', "d", "e"]


@pytest.mark.parametrize(
    "text", ['"' * 4000, '"\\' * 2000, "<" * 4000, " " * 4000, ";" * 4000, "a<" * 2000, "\\" * 4000]
)
def test_hostile_values_are_read_or_refused(text: str) -> None:
    assert len(split_list(text)) <= 1
    with pytest.raises(BadHeader):
        name_address(text)
    with pytest.raises(BadHeader):
        canonical_via(f"SIP/2.0/UDP{text}")


# --- bodies ------------------------------------------------------------------------------------------------------

OFFER = f"--b1\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n"
ISUP = (
    "--b1\r\nContent-Type: application/isup;version=itu-t92+\r\n"
    "Content-Disposition: signal;handling=optional\r\n\r\n\x01\x02\r\n"
)
MIXED = 'multipart/mixed; boundary="b1"'

NESTED = (
    "--b1\r\nContent-Type: multipart/alternative;boundary=b1x\r\n\r\n"
    "--b1x\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
    f"--b1x\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--b1x--\r\n"
)
CODED = "--b1\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: {}\r\n\r\n{}\r\n--b1--"

BODIES: dict[str, tuple[str, str]] = {
    "alone, with a parameter": ("Application/SDP ; charset=utf-8", SDP),
    "without a type": ("", SDP),
    "without quotation marks": ("multipart/mixed;boundary=b1", OFFER + ISUP + "--b1--\r\n"),
    "with quotation marks": (MIXED, ISUP + OFFER + "--b1--"),
    "with spaces and case": ('Multipart/Mixed ;  Boundary = "b1" ; x=y', OFFER + "--b1--"),
    "a boundary of signs": ('multipart/mixed;boundary="a (b)+_,-./:=?\'"', OFFER.replace("--b1", "--a (b)+_,-./:=?'")),
    "preamble and epilogue": (MIXED, f"This is MIME.\r\n\r\n{OFFER}--b1--\r\n{OFFER.replace('audio', 'video')}"),
    "a boundary in a line": (MIXED, f"x --b1 y\r\n--b1x\r\n{OFFER}--b1--"),
    "padding behind delimiters": (MIXED, OFFER.replace("--b1", "--b1 \t") + "--b1-- "),
    "header in any case": (MIXED, OFFER.replace("Content-Type", "CONTENT-type  ") + "--b1--"),
    "folded header": (MIXED, OFFER.replace("Content-Type: ", "Content-Type:\r\n ") + "--b1--"),
    "bare line feeds": (MIXED, (OFFER + "--b1--").replace("\r\n", "\n")),
    "not closed": (MIXED, OFFER),
    "nested": (MIXED, ISUP + NESTED + "--b1--"),
    "a nested one that cannot be read": (
        MIXED,
        "--b1\r\nContent-Type: multipart/mixed\r\n\r\nx\r\n" + OFFER + "--b1--",
    ),
    "related": ("multipart/related;boundary=b1;type=application/sdp", OFFER + ISUP + "--b1--"),
    "a part without headers": (MIXED, "--b1\r\n\r\ntext\r\n" + OFFER + "--b1--"),
    "an early session": (
        MIXED,
        OFFER.replace("sdp\r\n", "sdp\r\nContent-Disposition: early-session\r\n").replace("5004", "6004") + OFFER,
    ),
    "a disposition": (MIXED, OFFER.replace("sdp\r\n", "sdp\r\nContent-Disposition: Session;handling=required\r\n")),
    "base64": (MIXED, CODED.format("base64", base64.encodebytes(SDP.encode()).decode())),
    "quoted-printable": (MIXED, CODED.format("Quoted-Printable", quopri.encodestring(SDP.encode()).decode())),
}


@pytest.mark.parametrize("case", BODIES)
def test_the_offer_is_found_in_a_body(case: str) -> None:
    kind, body = BODIES[case]
    data = invite(body, **{"Content-Type": kind})
    found = session_description(parse(data, SOURCE))
    assert found is not None
    assert found.split() == SDP.split()
    assert "m=audio 40000 RTP/AVP 0" in answered(data).text


def test_the_last_alternative_is_the_best() -> None:
    body = (OFFER.replace("5004", "6004") + OFFER + "--b1--").replace("\r\n\r\n", "\r\n\r\n")
    found = session_description(parse(invite(body, **{"Content-Type": "multipart/alternative;boundary=b1"}), SOURCE))
    assert found is not None
    assert "5004" in found


@pytest.mark.parametrize("kind", ["application/isup", "multipart/mixed;boundary=b1"])
def test_without_an_offer_we_make_one(kind: str) -> None:
    body = ISUP + "--b1--"
    data = invite(body, head="Content-Disposition: signal;handling=optional\r\n", **{"Content-Type": kind})
    assert "opus/48000" in answered(data).text


@pytest.mark.parametrize(
    ("kind", "body", "head"),
    [
        ("application/isup", "x", ""),
        (MIXED, OFFER + ISUP.replace("optional", "Required") + "--b1--", ""),
        ("multipart/mixed", OFFER, ""),
        ("multipart/mixed;boundary=" + "b" * 71, OFFER, ""),
        ("multipart/mixed;boundary=other", OFFER, ""),
        (MIXED, OFFER.replace("\r\n\r\n", "\r\nContent-Transfer-Encoding: zip\r\n\r\n", 1), ""),
        (MIXED, CODED.format("base64", "***"), ""),
        (MIXED, ISUP * 40, ""),
        ("application/sdp", SDP, "Content-Encoding: gzip\r\n"),
    ],
)
def test_a_body_that_is_not_supported_is_refused_with_what_is(kind: str, body: str, head: str) -> None:
    refused = answered(invite(body, head, **{"Content-Type": kind}))
    assert bytes(refused).startswith(b"SIP/2.0 415")
    assert refused.headers.get("accept") == ["application/sdp", "multipart/mixed"]
    assert (refused.headers.get_first("warning") or "").startswith("399 10.0.0.2 ")


def test_an_offer_that_cannot_be_had_is_refused_in_words() -> None:
    refused = answered(invite(SDP.replace("RTP/AVP", "RTP/SAVP")))
    assert bytes(refused).startswith(b"SIP/2.0 488")
    assert refused.headers.get("warning") == ['399 10.0.0.2 "no audio over plain RTP"']


def test_multipart_bodies_within_a_call_are_read() -> None:
    pair = Pair()
    ours, theirs = pair.talk()
    sender_ = pair.anna.user_agent.sender
    for method in ("INVITE", "UPDATE"):
        request = sender_.create_request(ours.ids, method, pair.bob.at, ISUP + OFFER, MIXED)
        sender_.send(request, pair.bob.at)
        pair.settle()
        assert pair.count(f"200 {method}") >= 1
        assert theirs.media is not None
        assert (theirs.media.host, theirs.media.port) == ("10.0.0.1", 5004)
        pair.later(0)
    bad = sender_.create_request(ours.ids, "UPDATE", pair.bob.at, "x", "application/isup")
    sender_.send(bad, pair.bob.at)
    pair.settle()
    assert pair.count("415 UPDATE") == 1
    assert theirs.state is State.CONFIRMED


def test_an_answer_in_a_multipart_body_is_taken() -> None:
    pair = Pair()
    ours = pair.call()
    pair.bob.dialog.answer(pair.bob.local)
    for data, _ in pair.bob.user_agent.to_send():
        message = SipMessage.parse(data)
        if message.body:
            message.text = ISUP + f"--b1\r\nContent-Type: application/sdp\r\n\r\n{message.text}\r\n--b1--"
            message.headers.set_single("Content-Type", MIXED)
        pair.anna.all_events += pair.anna.user_agent.receive(bytes(message), pair.bob.at, pair.now)
    assert ours.media is not None
    assert ours.media.port == 40_000


def test_deeply_nested_bodies_end() -> None:
    body = SDP
    for depth in range(200):
        body = f"--b{depth}\r\nContent-Type: multipart/mixed;boundary=b{depth - 1}\r\n\r\n{body}\r\n--b{depth}--"
    message = parse(invite(body, **{"Content-Type": "multipart/mixed;boundary=b199"}), SOURCE)
    assert session_description(message) is None
