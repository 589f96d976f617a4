"""Tests of the network: port, TLS, peer connections, STUN and TURN servers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Final

import aioice
import httpx
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcicetransport import connection_kwargs

from vivavoce.realtime.cli.doctor.findings import Finding
from vivavoce.realtime.config import ServerConfig
from vivavoce.realtime.transports import Ending
from vivavoce.realtime.transports.webrtc import CHANNEL, IceSettings, OfferError, answer
from vivavoce.realtime.transports.webrtc.aiortc_patches import offer_loopback

CONNECT: Final = 10.0
"""Seconds for a connection from this machine to itself; it takes about 0.3."""

ANSWER: Final = 3.0
"""Seconds for a STUN or TURN server; callers would wait for it as long."""


def look(config: ServerConfig) -> Iterator[Finding]:
    """Connects to this machine and to the servers named in the settings, to no others."""
    yield _port(config)
    yield _tls(config)
    yield asyncio.run(_connection(config))
    for url in config.ice_servers:
        yield asyncio.run(_ice_server(RTCIceServer(url, config.ice_username or None, config.ice_credential or None)))


def _port(config: ServerConfig) -> Finding:
    where = f"{config.host}:{config.port}"
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((config.host, config.port))
        except OSError as error:
            if _is_ours(config):
                return Finding("note", "port", f"{where} in use", "Vivavoce is running there already.")
            advice = "Choose another one with --port or 'server.port', or stop the program that has it."
            return Finding("broken", "port", f"{where}: {error.strerror}", advice)
    return Finding("ok", "port", f"{where} is free")


def _is_ours(config: ServerConfig) -> bool:
    scheme = "https" if config.tls_certificate else "http"
    host = f"[{config.host}]" if ":" in config.host else config.host
    try:
        answer = httpx.get(f"{scheme}://{host}:{config.port}/healthz", timeout=1.0, verify=False)
        return bool(answer.json() == {"status": "ok"})
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return False


def _tls(config: ServerConfig) -> Finding:
    if config.tls_certificate:
        return Finding("ok", "encryption", f"https with {config.tls_certificate}")
    if config.loopback:
        return Finding("ok", "encryption", "not needed on this machine itself")
    advice = (
        "Browsers give no microphone to plain http from elsewhere: set 'server.tls_certificate' and 'server.tls_key', "
        "or put a proxy with https in front."
    )
    return Finding("note", "encryption", "none", advice)


async def _connection(config: ServerConfig) -> Finding:
    """A call from this machine to itself, up to the open event channel."""
    client = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    client.addTransceiver("audio", "recvonly")
    channel, opened = client.createDataChannel(CHANNEL), asyncio.Event()
    channel.on("open", opened.set)
    began = asyncio.get_running_loop().time()
    try:
        offer_loopback(client)
        await client.setLocalDescription(await client.createOffer())
        transport, sdp = await answer(client.localDescription.sdp, IceSettings(loopback=True))
        try:
            await client.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
            async with asyncio.timeout(CONNECT):
                await opened.wait()
        finally:
            await transport.close(Ending())
    except TimeoutError:
        return Finding(
            "broken", "peer connection", "none came about", "A firewall seems to stop UDP on this machine: allow it."
        )
    except OfferError as error:
        return Finding("broken", "peer connection", str(error), "Reinstall aiortc: it cannot talk to itself.")
    finally:
        await client.close()
    seconds = asyncio.get_running_loop().time() - began
    return _rate(config, _addresses(sdp), seconds)


def _rate(config: ServerConfig, addresses: list[str], seconds: float) -> Finding:
    outside = [address for address in addresses if address != "127.0.0.1"]
    value = f"open after {seconds * 1000:.0f} ms; reachable at {', '.join(outside or addresses)}"
    if not outside and not config.loopback:
        return Finding(
            "broken", "peer connection", value, "Connect this machine to a network: it has no address for others."
        )
    return Finding("ok", "peer connection", value)


def _addresses(sdp: str) -> list[str]:
    """Host candidates over UDP (RFC 8839 section 5.1)."""
    lines = [line.split() for line in sdp.splitlines() if line.startswith("a=candidate:")]
    return list(dict.fromkeys(line[4] for line in lines if line[7] == "host" and line[2].lower() == "udp"))


async def _ice_server(server: RTCIceServer) -> Finding:
    """Requests one address from the server; for TURN, that tests the password too."""
    url = str(server.urls)
    advice = "Check its name, password and firewall; without it, callers from elsewhere may not get through."
    try:
        options = connection_kwargs([server])
    except ValueError as error:
        return Finding(
            "broken", url, str(error), "Correct 'server.ice_servers'; a URL looks like turn:example.org:3478."
        )
    if not options:
        return Finding(
            "broken", url, "not supported", "Use stun:, turn: or turns:?transport=tcp in 'server.ice_servers'."
        )
    connection = aioice.Connection(ice_controlling=True, **options)
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(ANSWER):
            await connection.gather_candidates()
        types = {candidate.type for candidate in connection.local_candidates} & {"srflx", "relay"}
    except (TimeoutError, OSError, aioice.stun.TransactionError) as error:
        return Finding("broken", url, f"no answer ({str(error) or f'{ANSWER:.0f} s'})", advice)
    finally:
        await connection.close()
    if not types:
        return Finding("broken", url, "no answer", advice)
    return Finding("ok", url, f"answered after {(loop.time() - began) * 1000:.0f} ms")
