"""Damaged messages on every wire of a telephone: no exception but the wire's own, and calls go on.

A seeded share; 100 000 inputs for each wire were tried once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from harness.mutations import mutations
from harness.sip_pair import Pair
from vivavoce.codecs import phone as codecs
from vivavoce.realtime.telephony.asterisk import audiosocket, chan_websocket
from vivavoce.realtime.telephony.asterisk.audio import AsteriskCodec
from vivavoce.realtime.telephony.errors import BadAudioSocket, BadChanWebSocket, BadFrame, SdpNotAcceptable
from vivavoce.realtime.telephony.providers import Media
from vivavoce.realtime.telephony.providers.dialects import detect
from vivavoce.realtime.telephony.providers.media_stream import InboundAudio
from vivavoce.realtime.telephony.sip.dialog import State
from vivavoce.realtime.telephony.sip.messages import Remote
from vivavoce.realtime.telephony.sip.sdp import LocalSdp, create_answer

SHARE = 500
"""Inputs for each wire."""

SOURCE = Remote("10.0.0.1", 5060)
SDP = (
    "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 5004 RTP/AVP 0 9 107 101\r\n"
    "a=rtpmap:107 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\na=rtcp:5005\r\na=sendrecv\r\n"
    "m=video 6000 RTP/AVP 96\r\nc=IN IP6 ::1\r\na=rtpmap:96 VP8/90000\r\n"
)
HEAD = (
    "INVITE sip:bob@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKabc;rport\r\n"
    'From: "Anna <b>" <sip:anna@10.0.0.1>;tag=1\r\nt: <sip:bob@[::1]:5060>\r\ni: 1@10.0.0.1\r\nCSeq: 1 INVITE\r\n'
    "Contact: <sip:anna@10.0.0.1:5060>;q=0.5, sip:b@c\r\nMax-Forwards: 70\r\nx: 1800;refresher=uac\r\n"
    "Supported: timer,\r\n 100rel\r\nRecord-Route: <sip:10.0.0.7;lr>\r\n"
)
MULTIPART = (
    f'Content-Type: multipart/mixed;boundary="b1"\r\n\r\n--b1\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n'
    "--b1\r\nContent-Type: multipart/alternative;boundary=b2\r\n\r\n--b2\r\nContent-Transfer-Encoding: base64\r\n"
    "Content-Disposition: x;handling=optional\r\n\r\nAAAA\r\n--b2--\r\n--b1--\r\n"
)
INVITES = [f"{HEAD}Content-Type: application/sdp\r\n\r\n{SDP}".encode(), f"{HEAD}{MULTIPART}".encode()]


def fuzz_sip(count: int, seed: int) -> Counter[str]:
    """Requests to a user agent in a call; each that rings is answered and ended."""
    pair, seen = Pair(), Counter[str]()
    ours, theirs = pair.talk()
    theirs.timer.interval = 0  # hours go by, in which no side refreshes the session
    within = [bytes(message) for message in pair.sent]
    bob = pair.bob.user_agent
    for number, data in enumerate(mutations([*INVITES, *INVITES, *within], count, seed)):
        data = data.replace(b"z9hG4bKabc", b"z9hG4bK%d" % number).replace(b"i: 1@", b"i: %d@" % number)
        events = bob.receive(data, SOURCE, pair.now)
        for dialog in [event.dialog for event in events if event.dialog is not theirs]:
            if dialog.state is State.RINGING:
                seen["answered"] += 1
                dialog.answer(pair.bob.local)
            dialog.hang_up()
            bob.forget(dialog)
        seen["responses"] += len(bob.to_send())
        if number % 500 == 499:
            pair.now += 40
            bob.tick(pair.now)
            bob.to_send()
    seen["call goes on"] += theirs.state is State.CONFIRMED is ours.state
    return seen


def fuzz_answers(count: int, seed: int) -> Counter[str]:
    """Responses to a caller."""
    seen = Counter[str]()
    pair = Pair()
    ours, _ = pair.talk()
    responses = [bytes(message) for message in pair.sent if bytes(message).startswith(b"SIP/")]
    for data in mutations(responses, count, seed):
        pair.anna.user_agent.receive(data, pair.bob.at, pair.now)
        seen["sent"] += len(pair.anna.user_agent.to_send())
    seen["call goes on"] += ours.state is State.CONFIRMED
    return seen


def fuzz_sdp(count: int, seed: int) -> Counter[str]:
    seen, local = Counter[str](), LocalSdp("192.0.2.1", 40_000)
    for data in mutations([SDP.encode()], count, seed):
        offered = data.decode(errors="replace")
        try:
            answer, media = create_answer(offered, local)
        except SdpNotAcceptable:
            seen["refused"] += 1
            continue
        assert 0 < media.port < 65536
        assert answer.count("\r\nm=") == sum(line.startswith("m=") for line in offered.replace("\r", "\n").split("\n"))
        seen["answered"] += 1
    return seen


STARTS: dict[str, dict[str, object]] = {
    "twilio": {"event": "start", "start": {"streamSid": "MZ1", "callSid": "CA1", "mediaFormat": {"sampleRate": 8000}}},
    "telnyx": {"event": "start", "stream_id": "s", "start": {"call_control_id": "c", "from": "+1", "media_format": {}}},
    "plivo": {"event": "start", "start": {"callId": "c", "streamId": "s", "mediaFormat": {"encoding": "audio/x-l16"}}},
    "exotel": {"event": "start", "stream_sid": "s", "start": {"stream_sid": "s", "call_sid": "c"}},
    "vonage": {"event": "websocket:connected", "content-type": "audio/l16;rate=16000"},
}
FRAMES = [
    '{"event": "media", "media": {"track": "inbound", "timestamp": "20", "payload": "' + "/w" * 160 + '=="}}',
    '{"event": "dtmf", "dtmf": {"track": "inbound", "digit": "5"}}',
    '{"event": "mark", "mark": {"name": "0.5"}}',
    '{"event": "playedStream", "streamId": "s1", "name": "0.5"}',
    '{"event": "websocket:notify", "payload": {"name": "0.5"}}',
    '{"event": "websocket:dtmf", "digit": "5", "duration": 260}',
    '{"event": "stop"}',
]


def fuzz_dialects(count: int, seed: int) -> Counter[str]:
    """Starts and frames of all five, as text and as bytes; the audio is decoded."""
    seen = Counter[str]()
    starts = [json.dumps(start).encode() for start in STARTS.values()]
    streams = [detect(text.decode()) for text in starts]
    inbound = [InboundAudio(codecs.decoder(s.encoding, s.rate), codecs.width(s.encoding)) for s in streams if s]
    valid = [*starts, *(text.encode() for text in FRAMES)]
    for number, data in enumerate(mutations(valid, count, seed)):
        frame = data if number % 7 == 0 else data.decode(errors="replace")
        stream, audio = streams[number % 5], inbound[number % 5]
        assert stream is not None
        for read in (detect, stream.parse):
            try:
                event = read(frame)
            except BadFrame:
                seen["unreadable"] += 1
                continue
            if isinstance(event, Media):
                for samples in audio.receive(event.payload, event.at):
                    assert np.isfinite(samples).all()
            seen["read"] += 1
    return seen


EVENTS = [
    '{"event":"MEDIA_START","connection_id":"m1","channel":"x","format":"slin16","optimal_frame_size":640,"ptime":20}',
    "MEDIA_START connection_id:v channel:WebSocket/v format:ulaw optimal_frame_size:160 ptime:20",
    '{"event":"DTMF_END","channel_id":"1.4","digit":"5"}',
    '{"event":"STATUS","queue_length":50}',
    "MEDIA_MARK_PROCESSED 25",
    "ERROR channel_id:1.2 error_text:no",
]


def fuzz_chan_websocket(count: int, seed: int) -> Counter[str]:
    seen, queue = Counter[str](), chan_websocket.RemoteQueue(0.0)
    codec = AsteriskCodec(16_000)
    for data in mutations([text.encode() for text in EVENTS], count, seed):
        try:
            event = chan_websocket.parse(data.decode(errors="replace"))
        except BadChanWebSocket:
            seen["unreadable"] += 1
        else:
            seen[type(event).__name__] += 1
            if isinstance(event, chan_websocket.MarkReached):
                queue.mark_reached(event.mark, 1.0)
        if len(data) % 2 == 0:
            codec.decode(data)
    return seen


def fuzz_audiosocket(count: int, seed: int) -> Counter[str]:
    seen = Counter[str]()
    call = (
        b"\x01\x00\x10" + bytes(16) + b"\x10\x00\x04abcd\x03\x00\x015\x05\x00\x01x" + b"\x12\x00\x02ab\xff\x00\x01\x02"
    )
    for data in mutations([call], count, seed):
        parser = audiosocket.Parser()
        try:
            for event in parser.receive(data):
                seen[type(event).__name__] += 1
                if isinstance(event, audiosocket.AudioReceived):
                    AsteriskCodec(event.rate).decode(event.pcm)
        except BadAudioSocket:
            seen["refused"] += 1
    return seen


FUZZERS: list[Callable[[int, int], Counter[str]]] = [
    *(fuzz_sip, fuzz_answers, fuzz_sdp, fuzz_dialects, fuzz_chan_websocket, fuzz_audiosocket)
]


@pytest.mark.parametrize("fuzz", FUZZERS)
def test_damaged_messages_break_nothing(fuzz: Callable[[int, int], Counter[str]]) -> None:
    seen = fuzz(SHARE, 15)
    assert sum(seen.values()) > SHARE / 10
    assert seen.get("call goes on", 1)
