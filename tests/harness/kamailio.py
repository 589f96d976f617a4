"""A real SIP server for tests, Kamailio: registrar with digest authentication, and a proxy that stays in the way.

Any name may register and call with `PASSWORD`; calls are routed to the registered contact."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.baresip_phone import free_port

PASSWORD = "open sesame"

MODULES = ("kex", "tm", "tmx", "sl", "rr", "pv", "maxfwd", "textops", "siputils", "usrloc", "registrar", "auth")

CONFIGURATION = """#!KAMAILIO
debug=0
log_stderror=yes
children=1
disable_tcp=yes
auto_aliases=no
alias="127.0.0.1:{port}"
listen=udp:127.0.0.1:{port}
{modules}
modparam("usrloc", "db_mode", 0)
modparam("registrar", "max_expires", 60)

request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
        sl_send_reply("404", "Not Here");
        exit;
    }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    t_check_trans();
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("$td", "{password}", "0")) {{ www_challenge("$td", "0"); exit; }}
        save("location");
        exit;
    }}
    if (!pv_proxy_authenticate("$fd", "{password}", "0")) {{ proxy_challenge("$fd", "0"); exit; }}
    consume_credentials();
    record_route();
    if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    t_relay();
}}
"""


def installed() -> bool:
    return shutil.which("kamailio") is not None


@contextmanager
def kamailio(folder: Path) -> Iterator[int]:
    """Runs it on a port of 127.0.0.1 until left."""
    port = free_port()
    modules = "\n".join(f'loadmodule "{name}.so"' for name in MODULES)
    file = folder / "kamailio.cfg"
    file.write_text(CONFIGURATION.format(port=port, modules=modules, password=PASSWORD))
    command = ["kamailio", "-f", str(file), "-DD", "-E", "-m", "32", "-M", "4", "-Y", str(folder), "-w", str(folder)]
    with (folder / "kamailio.log").open("wb") as log:
        process = subprocess.Popen([str(shutil.which(command[0])), *command[1:]], stdout=log, stderr=log)
        try:
            _until_it_answers(port, process, folder / "kamailio.log")
            yield port
        finally:
            process.terminate()
            process.wait(15)


def _until_it_answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    options = (
        f"OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{{own}};branch=z9hG4bK1;rport\r\n"
        "From: <sip:t@127.0.0.1>;tag=1\r\nTo: <sip:t@127.0.0.1>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n"
    )
    deadline = time.monotonic() + 20
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        probe.settimeout(0.3)
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                probe.sendto(options.format(own=probe.getsockname()[1]).encode(), ("127.0.0.1", port))
                probe.recv(4096)
                return
            except OSError:
                time.sleep(0.1)
