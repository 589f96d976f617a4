"""`vivavoce serve`: the gateway with its models, until Ctrl-C."""

from __future__ import annotations

import gc
import logging
import socket
from dataclasses import replace
from datetime import UTC, datetime

import uvicorn

from vivavoce.model.settings import CascadeSettings
from vivavoce.model.store import Store, catalog
from vivavoce.realtime.cli import CommandFailed
from vivavoce.realtime.cli.models import prepare
from vivavoce.realtime.config import Config
from vivavoce.realtime.engine import Engine
from vivavoce.realtime.gateway.app import Gateway
from vivavoce.realtime.monitor.call_log import CallFilter
from vivavoce.realtime.session.opening import VOICE
from vivavoce.realtime.wire.parsing import MAX_MESSAGE

SHUTDOWN = 10
"""Seconds that calls get to say goodbye when the server is stopped."""


def run(config: Config) -> int:
    """Serves until Ctrl-C. Raises `CommandFailed`, and `ModelError` when models cannot be fetched."""
    store = Store(config.home, catalog.load())
    prepare(store, config.model)
    _log_to_stderr()
    try:
        listening = _listen(config.server.host, config.server.port)
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
    server = uvicorn.Server(
        uvicorn.Config(
            gateway.app,
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE + 1024,  # a longer message gets an error event instead of a closed socket
            ws_per_message_deflate=False,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=SHUTDOWN,
            ssl_certfile=config.server.tls_certificate or None,
            ssl_keyfile=config.server.tls_key or None,
        )
    )
    scheme = "https" if config.server.tls_certificate else "http"
    print(f"Talk to it: {scheme}://{config.server.host}:{listening.getsockname()[1]}/", flush=True)
    server.run(sockets=[listening])
    return 0


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
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _listen(host: str, port: int) -> socket.socket:
    """Opens the port before the models load, so that a taken one is reported at once. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)  # clients may connect at once, and are answered when the page is ready
    except BaseException:
        listening.close()
        raise
    return listening
