"""`vivavoce serve`: the gateway with its models, until Ctrl-C."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from vivavoce.model.settings import CascadeSettings
from vivavoce.model.store import Store, catalog
from vivavoce.realtime.cli import CommandFailed
from vivavoce.realtime.cli.models import prepare
from vivavoce.realtime.config import Config
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.gateway.app import Gateway
from vivavoce.realtime.gateway.http_server import HttpServer
from vivavoce.realtime.monitor.call_log import CallFilter
from vivavoce.realtime.session.opening import VOICE
from vivavoce.realtime.transports.tcp import listen

MAX_DESCRIPTORS = 65_536
"""Descriptors that the process asks for, if it may have so many."""

STUCK = 30.0
"""Seconds after the first signal at which the process ends, whatever still runs."""


def run(config: Config) -> int:
    """Serves until Ctrl-C or SIGTERM. Raises `CommandFailed`, and `ModelError` when models cannot be fetched."""
    store = Store(config.home, catalog.load())
    prepare(store, config.model)
    _log_to_stderr()
    try:
        listening = listen(config.server.host, config.server.port)
    except OSError as error:
        address = f"{config.server.host}:{config.server.port}"
        raise CommandFailed(f"cannot listen on {address}: {error.strerror}.") from error
    settings = replace(config.server, notes=config.server.notes or str(config.home / "notes.json"))
    gateway = Gateway(
        settings,
        lambda: _load(config.model, store),
        lambda: datetime.now(UTC).timestamp(),
        config.model.voice or VOICE,
        config.phone,
    )
    scheme = "https" if config.server.tls_certificate else "http"
    address = f"{scheme}://{config.server.host}:{listening.getsockname()[1]}/"
    server = HttpServer(
        gateway,
        settings,
        listening,
        _raise_descriptors(),
        serving=lambda: print(f"Talk to it: {address}", flush=True),
        leaving=_end_when_stuck,
    )
    server.run()
    if gateway.failure:
        raise CommandFailed(gateway.failure)
    if gateway.loading:  # native code, on a thread that would hold up the interpreter's own end or crash in it
        _exit(0)
    return 0


def _raise_descriptors() -> int:
    """Files and sockets that the process may have open, after asking for more than the usual 1024."""
    try:
        import resource  # not on Windows
    except ImportError:
        return 512
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = MAX_DESCRIPTORS if most == unlimited else min(most, MAX_DESCRIPTORS)
    if now != unlimited and now < wanted:
        with suppress(ValueError, OSError):  # some systems know other bounds, too
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
            now = wanted
    return MAX_DESCRIPTORS if now == unlimited else now


def _end_when_stuck() -> None:
    timer = threading.Timer(STUCK, _exit, [1])
    timer.daemon = True
    timer.start()


def _exit(code: int) -> None:
    """Ends the process without waiting for its threads."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


def _load(settings: CascadeSettings, store: Store) -> Engine:
    engine = Engine(settings, store.path)
    # The models stay until the end. To search them for garbage would now and then hold up all calls for 60 ms.
    gc.collect()
    gc.freeze()
    return engine


class FieldsFormatter(logging.Formatter):
    """A constant message, then the id of the call, then the fields of `extra`:

    2026-11-22 12:05:00,000 INFO    vivavoce.realtime.call: call ended call=rtc_4f1d reason=idle
    """

    PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "call"}

    def formatMessage(self, record: logging.LogRecord) -> str:
        call = [f"call={record.call}"] if hasattr(record, "call") else []
        fields = [f"{name}={value}" for name, value in vars(record).items() if name not in self.PLAIN]
        return " ".join([super().formatMessage(record), *call, *fields])


def log_handler() -> logging.Handler:
    """Writes to stderr, each line with the id of the call that it belongs to."""
    handler = logging.StreamHandler()
    handler.addFilter(CallFilter())
    handler.setFormatter(FieldsFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    return handler


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, handlers=[log_handler()])
    logging.getLogger("aioice").setLevel(logging.WARNING)  # at INFO it lists every address of every peer
    logging.getLogger("aiosipua").setLevel(logging.ERROR)  # below, it logs every malformed message from the network
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # likewise, every malformed form
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # below, it logs every malformed request
