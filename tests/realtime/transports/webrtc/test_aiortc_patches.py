"""Where we reach into aiortc: what comes of it, and that a changed aiortc is noticed."""

from __future__ import annotations

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from harness.tidy import run
from vivavoce.realtime.transports.webrtc import aiortc_patches
from vivavoce.realtime.transports.webrtc.jitter_buffer import Packet
from vivavoce.realtime.transports.webrtc.tracks import AudioSender


def test_packets_come_to_us_and_not_to_aiortcs_buffer() -> None:
    async def body() -> None:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        receiver = peer.addTransceiver("audio").receiver
        came: list[Packet] = []
        aiortc_patches.take_packets(receiver, came.append)
        with pytest.raises(aiortc_patches.AiortcChanged):
            aiortc_patches.take_packets(receiver, came.append)  # the stock buffer is gone
        await peer.close()

    run(body())


def test_an_aiortc_without_the_parts_we_replace_is_noticed() -> None:
    class Other:
        def getTransceivers(self) -> list[object]:
            return [self]

        sctp = None
        receiver = transport = property(lambda self: self)

    other = Other()
    for reach in (aiortc_patches.offer_loopback, aiortc_patches.ask_for_fec):
        with pytest.raises(aiortc_patches.AiortcChanged):
            reach(other)  # type: ignore[arg-type]
    with pytest.raises(aiortc_patches.AiortcChanged):
        aiortc_patches.take_packets(other, lambda packet: None)  # type: ignore[arg-type]


def test_a_changed_aiortc_is_noticed_where_sent_packets_are_watched() -> None:
    async def body() -> None:
        peer = RTCPeerConnection()
        sender = peer.addTrack(AudioSender())
        delattr(sender, "_RTCRtpSender__rtp_history")
        with pytest.raises(aiortc_patches.AiortcChanged):
            aiortc_patches.watch_sent(sender, lambda number, at: None)
        delattr(sender, "_RTCRtpSender__rtt")
        with pytest.raises(aiortc_patches.AiortcChanged):
            aiortc_patches.watch_reports(sender, 48_000, lambda report: None)
        await peer.close()

    run(body())


def test_a_changed_aiortc_is_noticed_where_received_packets_are_counted() -> None:
    class Transport:
        async def _handle_rtp_data(self, data: bytes) -> None:
            """As it is; the one for reports is gone."""

    class Other:
        def getTransceivers(self) -> list[object]:
            return [self]

        sctp = None
        receiver = property(lambda self: self)
        transport = Transport()

    with pytest.raises(aiortc_patches.AiortcChanged, match="_handle_rtcp_data"):
        aiortc_patches.watch_received(Other())  # type: ignore[arg-type]


def test_messages_sent_again_when_the_connection_is_gone_are_no_error() -> None:
    async def body() -> None:
        peer = RTCPeerConnection()
        peer.createDataChannel("oai-events")
        assert peer.sctp is not None
        peer.sctp._remote_port = 5000  # as the other side has told it
        with pytest.raises(ConnectionError):
            await peer.sctp._send(0, 51, b"{}")
        aiortc_patches.forgive_late_data(peer)
        await peer.sctp._send(0, 51, b"{}")
        await peer.sctp._transmit()  # what its timer does, in a task of its own
        assert not aiortc_patches.is_flushed(peer), "it is kept, and would go out once there is a connection"
        await peer.close()

    run(body())
