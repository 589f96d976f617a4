"""Five providers, one language behind theirs."""

import base64
import json
from typing import Any

import pytest

from vivavoce.realtime.telephony.providers import BadFrame, Dialect, Left, Marked, Media, Pressed
from vivavoce.realtime.telephony.providers import routes as answers
from vivavoce.realtime.telephony.providers.dialects import MAX_FRAME, detect

MULAW = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
STARTS: dict[str, dict[str, Any]] = {
    "twilio": {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": "MZ1",
        "start": {
            "streamSid": "MZ1",
            "accountSid": "AC1",
            "callSid": "CA1",
            "tracks": ["inbound"],
            "mediaFormat": MULAW,
            "customParameters": {"shop": "berlin"},
        },
    },
    "telnyx": {
        "event": "start",
        "sequence_number": "1",
        "stream_id": "S1",
        "start": {
            "call_control_id": "v3:1",
            "from": "+1555",
            "to": "+1666",
            "media_format": {"encoding": "PCMA", "sample_rate": 8000, "channels": 1},
        },
    },
    "plivo": {"event": "start", "start": {"callId": "c1", "streamId": "s1", "mediaFormat": MULAW}},
    "exotel": {
        "event": "start",
        "stream_sid": "e1",
        "start": {
            "stream_sid": "e1",
            "call_sid": "ec1",
            "account_sid": "ea1",
            "from": "0800",
            "to": "0900",
            "media_format": {"encoding": "base64", "sample_rate": "8000"},
        },
    },
    "vonage": {"event": "websocket:connected", "content-type": "audio/l16;rate=16000", "shop": "berlin"},
}


def started(name: str) -> Dialect:
    dialect = detect(json.dumps(STARTS[name]))
    assert dialect is not None
    return dialect


@pytest.mark.parametrize(
    ("name", "encoding", "rate", "call"),
    [
        ("twilio", "pcmu", 8000, "CA1"),
        ("telnyx", "pcma", 8000, "v3:1"),
        ("plivo", "pcmu", 8000, "c1"),
        ("exotel", "l16", 8000, "ec1"),
        ("vonage", "l16", 16000, ""),
    ],
)
def test_a_provider_is_known_by_its_first_message(name: str, encoding: str, rate: int, call: str) -> None:
    assert detect('{"event": "connected", "protocol": "Call", "version": "1.0.0"}') is None
    dialect = started(name)
    assert (dialect.name, dialect.encoding, dialect.rate, dialect.opened.call) == (name, encoding, rate, call)


def test_numbers_and_parameters_come_along_where_the_provider_tells_them() -> None:
    assert started("twilio").opened.parameters == (("shop", "berlin"),)
    assert started("vonage").opened.parameters == (("shop", "berlin"),)
    assert (started("telnyx").opened.caller, started("telnyx").opened.called) == ("+1555", "+1666")
    assert started("exotel").opened.caller == "0800"
    assert "0800" not in repr(started("exotel").opened), "numbers are not for logs"


PAYLOAD = base64.b64encode(b"\xff" * 160).decode()


@pytest.mark.parametrize(
    ("name", "said", "meant"),
    [
        (
            "twilio",
            {"event": "media", "media": {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": PAYLOAD}},
            Media(b"\xff" * 160, 20),
        ),
        ("twilio", {"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": "#"}}, Pressed("#")),
        ("twilio", {"event": "mark", "mark": {"name": "0.5"}}, Marked("0.5")),
        ("twilio", {"event": "stop", "stop": {"callSid": "CA1"}}, Left()),
        ("twilio", {"event": "something new"}, None),
        ("telnyx", {"event": "media", "media": {"payload": PAYLOAD}}, Media(b"\xff" * 160, None)),
        ("telnyx", {"event": "media", "media": {"track": "outbound", "payload": PAYLOAD}}, None),
        ("telnyx", {"event": "error", "payload": {"code": 100}}, None),
        ("telnyx", {"event": "dtmf", "dtmf": {"digit": "a"}}, Pressed("A")),
        ("plivo", {"event": "playedStream", "streamId": "s1", "name": "0.5"}, Marked("0.5")),
        ("plivo", {"event": "clearedAudio", "streamId": "s1"}, None),
        ("plivo", {"event": "dtmf", "dtmf": {"digit": "1", "track": "inbound"}}, Pressed("1")),
        ("exotel", {"event": "mark", "mark": {"name": "1.2"}}, Marked("1.2")),
        ("exotel", {"event": "dtmf", "dtmf": {"digit": "5", "duration": "100"}}, Pressed("5")),
        ("vonage", {"event": "websocket:dtmf", "digit": "5", "duration": 260}, Pressed("5")),
        ("vonage", {"event": "websocket:notify", "payload": {"name": "0.5"}}, Marked("0.5")),
        ("vonage", {"event": "websocket:cleared"}, None),
    ],
)
def test_what_providers_say_is_understood(name: str, said: dict[str, Any], meant: object) -> None:
    assert started(name).read(json.dumps(said)) == meant


def test_vonages_sound_is_binary() -> None:
    assert started("vonage").read(b"\x00\x01" * 320) == Media(b"\x00\x01" * 320)
    assert started("vonage").media(b"\x00\x01") == b"\x00\x01"


def said(text: str | bytes) -> Any:
    return json.loads(text)


def test_each_provider_is_told_in_its_own_words() -> None:
    sound = base64.b64encode(b"ab").decode()
    twilio, telnyx, plivo, exotel, vonage = (started(name) for name in STARTS)
    assert said(twilio.media(b"ab")) == {"event": "media", "streamSid": "MZ1", "media": {"payload": sound}}
    assert said(twilio.mark("m")) == {"event": "mark", "streamSid": "MZ1", "mark": {"name": "m"}}
    assert said(twilio.clear()) == {"event": "clear", "streamSid": "MZ1"}
    assert said(telnyx.media(b"ab")) == {"event": "media", "media": {"payload": sound}}
    assert said(telnyx.clear()) == {"event": "clear"}
    kind = {"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": sound}
    assert said(plivo.media(b"ab")) == {"event": "playAudio", "streamId": "s1", "media": kind}
    assert said(plivo.mark("m")) == {"event": "checkpoint", "streamId": "s1", "name": "m"}
    assert said(plivo.clear()) == {"event": "clearAudio", "streamId": "s1"}
    assert said(exotel.media(b"ab")) == {"event": "media", "stream_sid": "e1", "media": {"payload": sound}}
    assert said(exotel.clear()) == {"event": "clear", "stream_sid": "e1"}
    assert said(vonage.mark("m")) == {"action": "notify", "payload": {"name": "m"}}
    assert said(vonage.clear()) == {"action": "clear"}


def test_exotel_gets_no_message_below_its_least_length() -> None:
    assert started("exotel").batch * 320 >= 3200
    assert {started(name).batch for name in STARTS if name != "exotel"} == {1}


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "x",
        "[]",
        "1",
        "[" * 100_000,
        "{" + '"a":1,' * 30_000 + '"b":2}',
        b"\x00\x01",
        '{"event": "start"}',
        '{"event": "start", "start": []}',
        '{"event": "start", "start": {"unknown": 1}}',
        '{"event": "start", "start": {"streamSid": 1, "callSid": "CA"}}',
        '{"event": "start", "start": {"streamSid": "M", "callSid": "C", "mediaFormat": {"sampleRate": 44100}}}',
        '{"event": "media", "media": {}}',
        '{"event": "websocket:connected", "content-type": "audio/opus"}',
    ],
)
def test_what_cannot_begin_a_stream_is_refused(frame: str | bytes) -> None:
    with pytest.raises(BadFrame):
        detect(frame)


@pytest.mark.parametrize(
    "frame",
    [
        b"\x00",
        "nonsense",
        "x" * (MAX_FRAME + 1),
        '{"event": "media"}',
        '{"event": "media", "media": {"payload": 5}}',
        '{"event": "media", "media": {"payload": "***"}}',
        '{"event": "dtmf", "dtmf": {"digit": "12"}}',
        '{"event": "dtmf", "dtmf": {"digit": ["1"]}}',
        '{"event": "mark", "mark": {"name": ""}}',
        '{"event": "mark", "mark": null}',
    ],
)
@pytest.mark.parametrize("name", ["twilio", "telnyx", "plivo", "exotel"])
def test_what_makes_no_sense_is_refused(name: str, frame: str | bytes) -> None:
    with pytest.raises(BadFrame):
        started(name).read(frame)


@pytest.mark.parametrize("frame", [b"\x00", b"\x00" * (MAX_FRAME + 2), "x", '{"event": "websocket:dtmf"}'])
def test_what_makes_no_sense_to_vonage_is_refused(frame: str | bytes) -> None:
    with pytest.raises(BadFrame):
        started("vonage").read(frame)


def test_calls_are_connected_and_handed_on_in_the_providers_markup() -> None:
    socket, then = "wss://h/phone/twilio/stream/T", "https://h/phone/twilio/next/T"
    kind, body = answers.connect("twilio", socket, then)
    assert kind == "application/xml"
    assert f'<Connect><Stream url="{socket}"/></Connect><Redirect>{then}</Redirect>' in body
    assert 'bidirectionalMode="rtp"' in answers.connect("telnyx", socket, then)[1]
    assert (
        f'keepCallAlive="true" contentType="audio/x-mulaw;rate=8000">{socket}</Stream>'
        in answers.connect("plivo", socket, then)[1]
    )
    (action,) = json.loads(answers.connect("vonage", socket, "")[1])
    assert action["endpoint"] == [{"type": "websocket", "uri": socket, "content-type": "audio/l16;rate=16000"}]
    assert json.loads(answers.connect("exotel", socket, "")[1]) == {"url": socket}
    assert "<Dial><Number>+4930</Number></Dial>" in answers.afterwards("tel:+4930")[1]
    assert "<Dial><Sip>sip:a@b?x=1&amp;y=2</Sip></Dial>" in answers.afterwards("sip:a@b?x=1&y=2")[1]
    assert "<Hangup/>" in answers.afterwards("")[1]
