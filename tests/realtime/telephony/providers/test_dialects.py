"""The dialects of five providers: reading their messages, writing ours, the markup that connects a call."""

import base64
import json
from typing import Any

import pytest

from vivavoce.realtime.telephony import DtmfReceived
from vivavoce.realtime.telephony.errors import BadFrame, StreamNotSupported
from vivavoce.realtime.telephony.providers import Dialect, MarkReached, Media, StreamStopped
from vivavoce.realtime.telephony.providers.dialects import MAX_FRAME, detect
from vivavoce.realtime.telephony.providers.routes import after_stream, connect

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


def dialect_of(name: str) -> Dialect:
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
def test_the_first_message_tells_the_provider(name: str, encoding: str, rate: int, call: str) -> None:
    assert detect('{"event": "connected", "protocol": "Call", "version": "1.0.0"}') is None
    dialect = dialect_of(name)
    assert (dialect.name, dialect.encoding, dialect.rate, dialect.started.call) == (name, encoding, rate, call)


def test_numbers_and_parameters_are_read_where_the_provider_sends_them() -> None:
    assert dialect_of("twilio").started.parameters == (("shop", "berlin"),)
    assert dialect_of("vonage").started.parameters == (("shop", "berlin"),)
    assert (dialect_of("telnyx").started.caller, dialect_of("telnyx").started.called) == ("+1555", "+1666")
    assert dialect_of("exotel").started.caller == "0800"
    assert "0800" not in repr(dialect_of("exotel").started), "numbers do not belong into logs"


PAYLOAD = base64.b64encode(b"\xff" * 160).decode()


@pytest.mark.parametrize(
    ("name", "message", "event"),
    [
        (
            "twilio",
            {"event": "media", "media": {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": PAYLOAD}},
            Media(b"\xff" * 160, 20),
        ),
        ("twilio", {"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": "#"}}, DtmfReceived("#")),
        ("twilio", {"event": "mark", "mark": {"name": "0.5"}}, MarkReached("0.5")),
        ("twilio", {"event": "stop", "stop": {"callSid": "CA1"}}, StreamStopped()),
        ("twilio", {"event": "something new"}, None),
        ("telnyx", {"event": "media", "media": {"payload": PAYLOAD}}, Media(b"\xff" * 160, None)),
        ("telnyx", {"event": "media", "media": {"track": "outbound", "payload": PAYLOAD}}, None),
        ("telnyx", {"event": "error", "payload": {"code": 100}}, None),
        ("telnyx", {"event": "dtmf", "dtmf": {"digit": "a"}}, DtmfReceived("A")),
        ("plivo", {"event": "playedStream", "streamId": "s1", "name": "0.5"}, MarkReached("0.5")),
        ("plivo", {"event": "clearedAudio", "streamId": "s1"}, None),
        ("plivo", {"event": "dtmf", "dtmf": {"digit": "1", "track": "inbound"}}, DtmfReceived("1")),
        ("exotel", {"event": "mark", "mark": {"name": "1.2"}}, MarkReached("1.2")),
        ("exotel", {"event": "dtmf", "dtmf": {"digit": "5", "duration": "100"}}, DtmfReceived("5")),
        ("vonage", {"event": "websocket:dtmf", "digit": "5", "duration": 260}, DtmfReceived("5")),
        ("vonage", {"event": "websocket:notify", "payload": {"name": "0.5"}}, MarkReached("0.5")),
        ("vonage", {"event": "websocket:cleared"}, None),
    ],
)
def test_messages_of_providers_are_read(name: str, message: dict[str, Any], event: object) -> None:
    assert dialect_of(name).parse(json.dumps(message)) == event


def test_the_audio_of_vonage_is_binary() -> None:
    assert dialect_of("vonage").parse(b"\x00\x01" * 320) == Media(b"\x00\x01" * 320)
    assert dialect_of("vonage").media(b"\x00\x01") == b"\x00\x01"


def parsed(text: str | bytes) -> Any:
    return json.loads(text)


def test_messages_to_each_provider_are_in_its_format() -> None:
    payload = base64.b64encode(b"ab").decode()
    twilio, telnyx, plivo, exotel, vonage = (dialect_of(name) for name in STARTS)
    assert parsed(twilio.media(b"ab")) == {"event": "media", "streamSid": "MZ1", "media": {"payload": payload}}
    assert parsed(twilio.mark("m")) == {"event": "mark", "streamSid": "MZ1", "mark": {"name": "m"}}
    assert parsed(twilio.clear()) == {"event": "clear", "streamSid": "MZ1"}
    assert parsed(telnyx.media(b"ab")) == {"event": "media", "media": {"payload": payload}}
    assert parsed(telnyx.clear()) == {"event": "clear"}
    kind = {"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": payload}
    assert parsed(plivo.media(b"ab")) == {"event": "playAudio", "streamId": "s1", "media": kind}
    assert parsed(plivo.mark("m")) == {"event": "checkpoint", "streamId": "s1", "name": "m"}
    assert parsed(plivo.clear()) == {"event": "clearAudio", "streamId": "s1"}
    assert parsed(exotel.media(b"ab")) == {"event": "media", "stream_sid": "e1", "media": {"payload": payload}}
    assert parsed(exotel.clear()) == {"event": "clear", "stream_sid": "e1"}
    assert parsed(vonage.mark("m")) == {"action": "notify", "payload": {"name": "m"}}
    assert parsed(vonage.clear()) == {"action": "clear"}


def test_exotel_gets_no_message_below_its_minimum_length() -> None:
    assert dialect_of("exotel").batch * 320 >= 3200
    assert {dialect_of(name).batch for name in STARTS if name != "exotel"} == {1}


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "x",
        "[]",
        "1",
        "[" * 100_000,
        "{" + '"a":1,' * 30_000 + '"b":2}',
        '{"event": "start"}',
        '{"event": "start", "start": []}',
        '{"event": "start", "start": {"unknown": 1}}',
        '{"event": "start", "start": {"streamSid": 1, "callSid": "CA"}}',
        '{"event": "start", "start": {"streamSid": "M", "callSid": "C", "mediaFormat": {"sampleRate": 44100}}}',
        '{"event": "websocket:connected", "content-type": "audio/opus"}',
    ],
)
def test_frames_that_cannot_begin_a_stream_are_rejected(frame: str | bytes) -> None:
    with pytest.raises(BadFrame):
        detect(frame)


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff" * 160,
        '{"event": "connected"}',
        '{"event": "media", "media": {"payload": "/w=="}}',
        '{"event": "media", "media": {}}',
        '{"event": "dtmf", "dtmf": {"digit": "1"}}',
        '{"event": "mark"}',
        '{"event": "of tomorrow"}',
        "{}",
    ],
)
def test_frames_before_the_start_are_waited_through(frame: str | bytes) -> None:
    assert detect(frame) is None


@pytest.mark.parametrize(
    "start",
    [
        '{"event": "start", "start": {"unknown": 1}}',
        '{"event": "start", "start": {"streamSid": "M", "callSid": "C", "mediaFormat": {"sampleRate": 44100}}}',
        '{"event": "websocket:connected", "content-type": "audio/opus"}',
    ],
)
def test_a_stream_that_cannot_be_taken_is_not_waited_for(start: str) -> None:
    with pytest.raises(StreamNotSupported):
        detect(start)


@pytest.mark.parametrize("payload", ["//7+", r"/\n/\r\n7+", "/\n/7+", " //7+ ", "//7+===", "__7-"])
def test_base64_is_read_as_libraries_write_it(payload: str) -> None:
    event = dialect_of("twilio").parse(f'{{"event": "media", "media": {{"payload": "{payload}"}}}}')
    assert event == Media(b"\xff\xfe\xfe")


def test_base64_without_padding_and_a_byte_order_mark_are_read() -> None:
    frame = '\ufeff{"event": "media", "media": {"payload": "//////////8\\n//////////8="}}\n'
    assert dialect_of("twilio").parse(frame) == Media(base64.b64decode("//////////8//////////w=="))


@pytest.mark.parametrize("timestamp", ['"x"', "1e308", '"1e400"', "1" * 400, "NaN", "-Infinity", "[]", "true", "null"])
def test_a_time_stamp_that_is_none_is_left_out(timestamp: str) -> None:
    frame = f'{{"event": "media", "media": {{"payload": "/w==", "timestamp": {timestamp}}}}}'
    assert dialect_of("twilio").parse(frame) == Media(b"\xff", None)


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
        '{"event": "dtmf", "dtmf": {"digit": ""}}',
        '{"event": "dtmf", "dtmf": {"digit": "w"}}',
        '{"event": "mark", "mark": {}}',
        '{"event": "mark", "mark": {"name": ""}}',
        '{"event": "mark", "mark": null}',
    ],
)
@pytest.mark.parametrize("name", ["twilio", "telnyx", "plivo", "exotel"])
def test_malformed_frames_are_rejected(name: str, frame: str | bytes) -> None:
    with pytest.raises(BadFrame):
        dialect_of(name).parse(frame)


@pytest.mark.parametrize("frame", [b"\x00", b"\x00" * (MAX_FRAME + 2), "x", '{"event": "websocket:dtmf"}'])
def test_malformed_frames_of_vonage_are_rejected(frame: str | bytes) -> None:
    with pytest.raises(BadFrame):
        dialect_of("vonage").parse(frame)


def test_calls_are_connected_and_transferred_in_the_markup_of_the_provider() -> None:
    socket, next_url = "wss://h/phone/twilio/stream/T", "https://h/phone/twilio/next/T"
    kind, body = connect("twilio", socket, next_url)
    assert kind == "application/xml"
    assert f'<Connect><Stream url="{socket}"/></Connect><Redirect>{next_url}</Redirect>' in body
    assert 'bidirectionalMode="rtp"' in connect("telnyx", socket, next_url)[1]
    assert (
        f'keepCallAlive="true" contentType="audio/x-mulaw;rate=8000">{socket}</Stream>'
        in connect("plivo", socket, next_url)[1]
    )
    (action,) = json.loads(connect("vonage", socket, "")[1])
    assert action["endpoint"] == [{"type": "websocket", "uri": socket, "content-type": "audio/l16;rate=16000"}]
    assert json.loads(connect("exotel", socket, "")[1]) == {"url": socket}
    assert "<Dial><Number>+4930</Number></Dial>" in after_stream("tel:+4930")[1]
    assert "<Dial><Sip>sip:a@b?x=1&amp;y=2</Sip></Dial>" in after_stream("sip:a@b?x=1&y=2")[1]
    assert "<Hangup/>" in after_stream("")[1]
