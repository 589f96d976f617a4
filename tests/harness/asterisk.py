"""A real Asterisk on this machine: telephones call in by SIP, and it calls us, over AudioSocket and WebSockets.

100  AudioSocket(), 8 kHz          101  Dial(AudioSocket/…/c(slin16)), 16 kHz
200  WebSocket, JSON, 16 kHz       201  WebSocket, plain text, mu-law
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY = 60.0
"""Seconds in which it must answer SIP; it takes one."""

MODULES = (
    "app_audiosocket",
    "app_dial",
    "app_exec",
    "bridge_builtin_features",
    "bridge_native_rtp",
    "bridge_simple",
    "bridge_softmix",
    "chan_audiosocket",
    "chan_bridge_media",
    "chan_pjsip",
    "chan_websocket",
    "codec_a_mu",
    "codec_alaw",
    "codec_resample",
    "codec_ulaw",
    "format_pcm",
    "func_callerid",
    "func_strings",
    "func_uri",
    "func_uuid",
    "pbx_config",
    "res_audiosocket",
    "res_http_websocket",
    "res_pjproject",
    "res_pjsip",
    "res_pjsip_caller_id",
    "res_pjsip_dtmf_info",
    "res_pjsip_endpoint_identifier_anonymous",
    "res_pjsip_nat",
    "res_pjsip_pubsub",
    "res_pjsip_sdp_rtp",
    "res_pjsip_session",
    "res_rtp_asterisk",
    "res_sorcery_astdb",
    "res_sorcery_config",
    "res_sorcery_memory",
    "res_timing_timerfd",
    "res_websocket_client",
)


@dataclass(frozen=True)
class Asterisk:
    """A running one. `sip`: its port; `pid`: to measure its CPU time."""

    sip: int
    pid: int
    log: Path

    def address(self, extension: str) -> str:
        return f"sip:{extension}@127.0.0.1:{self.sip}"


def found() -> Path | None:
    """The folder in which an Asterisk is installed: `VIVAVOCE_ASTERISK`, or / where there is one."""
    if folder := os.environ.get("VIVAVOCE_ASTERISK"):
        return Path(folder)
    return Path("/") if shutil.which("asterisk") else None


@contextmanager
def asterisk(root: Path, audiosocket: int, gateway: str, password: str) -> Iterator[Asterisk]:
    """Starts it. `audiosocket`: the port of our AudioSocket server; `gateway`: host:port of our WebSockets."""
    sip, rtp = _free_port(), 24000 + 2 * (os.getpid() % 1000)
    folder = Path(tempfile.mkdtemp(prefix="vivavoce-asterisk-", dir=root / "tmp"))
    inside = Path("/") / folder.relative_to(root)
    for name, text in _files(inside, sip, rtp, audiosocket, gateway, password).items():
        (folder / name).write_text(text)
    for name in ("run", "log", "spool", "db", "keys"):
        (folder / name).mkdir()
    command = ["asterisk", "-f", "-n", "-q", "-C", f"{inside}/asterisk.conf"]
    process = subprocess.Popen(
        command if root == Path("/") else ["chroot", str(root), *command], stdin=subprocess.DEVNULL
    )
    try:
        _until_answers(process, sip)
        yield Asterisk(sip, process.pid, folder / "log/messages")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        shutil.rmtree(folder, ignore_errors=True)


def _files(folder: Path, sip: int, rtp: int, audiosocket: int, gateway: str, password: str) -> dict[str, str]:
    directories = {"astetcdir": folder, "astrundir": folder / "run", "astlogdir": folder / "log"}
    directories |= {"astspooldir": folder / "spool", "astdbdir": folder / "db", "astkeydir": folder / "keys"}
    listed = "\n".join(f"{name} => {path}" for name, path in directories.items())
    loads = "\n".join(f"load = {module}.so" for module in MODULES)
    here = f"127.0.0.1:{audiosocket}"
    who = "caller=${URIENCODE(${CALLERID(num)})},called=${EXTEN}"
    return {
        "asterisk.conf": f"[directories](!)\n[directories]\n{listed}\n[options]\nhighpriority = no\n",
        "modules.conf": f"[modules]\nautoload = no\n{loads}\n",
        "logger.conf": "[logfiles]\nmessages => notice,warning,error,verbose(3)\n",
        "rtp.conf": f"[general]\nrtpstart = {rtp}\nrtpend = {rtp + 400}\n",
        "pjsip.conf": f"""
[udp]
type = transport
protocol = udp
bind = 127.0.0.1:{sip}
[anonymous]
type = endpoint
context = phones
disallow = all
allow = ulaw,alaw
dtmf_mode = rfc4733
direct_media = no
""",
        "websocket_client.conf": f"""
[vivavoce]
type = websocket_client
uri = ws://{gateway}/phone/asterisk
protocols = media
username = asterisk
password = {password}
connection_type = per_call_config
connection_timeout = 2000
reconnect_interval = 500
reconnect_attempts = 2
tls_enabled = no
""",
        "chan_websocket.conf": "",
        "pjproject.conf": "",
        "extensions.conf": f"""
[phones]
exten => 100,1,Answer()
 same => n,AudioSocket(${{UUID()}},{here})
 same => n,Hangup()
exten => 101,1,Dial(AudioSocket/{here}/${{UUID()}}/c(slin16))
 same => n,Hangup()
exten => 200,1,Dial(WebSocket/vivavoce/c(slin16)f(json)v({who}))
 same => n,Hangup()
exten => 201,1,Dial(WebSocket/vivavoce/c(ulaw)nv({who}))
 same => n,Hangup()
""",
    }


def _until_answers(process: subprocess.Popen[bytes], port: int) -> None:
    """OPTIONS, until it is answered."""
    deadline = time.monotonic() + READY
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.bind(("127.0.0.1", 0))
        asking.settimeout(0.3)
        own = asking.getsockname()[1]
        question = (
            f"OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bKready{{}}\r\n"
            f"Max-Forwards: 1\r\nFrom: <sip:test@127.0.0.1>;tag=1\r\nTo: <sip:test@127.0.0.1>\r\n"
            "Call-ID: ready{}\r\nCSeq: {} OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
        number = 0
        while True:
            assert process.poll() is None, f"Asterisk ended with {process.returncode}"
            assert time.monotonic() < deadline, "Asterisk does not answer"
            number += 1
            try:
                asking.sendto(question.format(number, number, number).encode(), ("127.0.0.1", port))
                asking.recv(4096)
            except (TimeoutError, ConnectionError):
                time.sleep(0.1)
            else:
                return


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
