"""Settings: one frozen tree, read once from a TOML file, the environment and the command line.

    [server]            host, port, keys ...         VIVAVOCE_SERVER_PORT=9000
    [model]             language, voice ...          VIVAVOCE_MODEL_VOICE=af_heart
    [phone]             greeting, transfers ...      VIVAVOCE_PHONE_GREETING=Hello
    [phone.sip]         listen, account ...          VIVAVOCE_SIP_PASSWORD=secret
    home                where models live            VIVAVOCE_HOME=/data/vivavoce

Later sources win: defaults, file, environment, command line. Every value is checked here, and a wrong one is named with
what was expected. Only this module and `__main__` read the environment."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from vivavoce.model.settings import CascadeSettings
from vivavoce.model.store import default_home
from vivavoce.realtime.config.phone import PhoneConfig, problems

T = TypeVar("T")

ENVIRONMENT: Final = "VIVAVOCE"
DERIVED: Final = "conversations"
"""Of the model's settings; it follows from `server.max_sessions`."""


ECHO_CANCELLATION: Final = ("auto", "on", "off")
TOOLS: Final = ("time", "timers", "arithmetic", "notes", "all")


class ConfigError(Exception):
    """A setting that cannot be used; the message names it and says what was expected."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The gateway.

    `keys`: API keys, of which a client must show one; without any, only a loopback `host` is allowed. `origins`: web
    origins other than our own page that may use the API from a browser ("*" for all). `max_sessions`: calls at the same
    time. `idle_timeout`: seconds without sound or message after which a call is ended. `max_duration`: seconds a call
    may last. `sessions_per_minute`: that one network address may open; `responses_per_minute`: that one session may ask
    for. `resume_window`: seconds a call waits for a client whose connection was lost (0: it ends). `ice_servers`: STUN
    or TURN URLs, `ice_username` and `ice_credential` for those that want them.
    `tls_certificate`, `tls_key`: PEM files. `tools`: built-in tools of every session: time, timers, arithmetic, notes,
    or all. `notes`: their file (default: notes.json in `home`). `private_tools`: MCP servers on private addresses are
    reached. `tool_timeout`: seconds a tool may take. `tool_filler`: said when one takes long. `patience`: seconds
    without a sign of life from the model after which a reply is given up; `apology`: said then ("" for nothing).
    `echo_cancellation`: on, off, or auto: in calls whose loudspeaker the server paces (WebRTC). `recordings`: a folder
    for recordings of all calls ("" for none); `recording_notice`: what each of them begins with ("" for nothing)."""

    host: str = "127.0.0.1"
    port: int = 8790
    keys: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_sessions: int = 4
    idle_timeout: float = 300.0
    max_duration: float = 3600.0
    sessions_per_minute: int = 60
    responses_per_minute: int = 60
    resume_window: float = 30.0
    ice_servers: tuple[str, ...] = ()
    ice_username: str = ""
    ice_credential: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    tools: tuple[str, ...] = ()
    notes: str = ""
    private_tools: bool = False
    tool_timeout: float = 30.0
    tool_filler: str = "One moment, I'm looking that up."
    patience: float = 20.0
    apology: str = "Sorry, something went wrong. Please say that again."
    echo_cancellation: str = "auto"
    recordings: str = ""
    recording_notice: str = "This call is being recorded."

    @property
    def loopback(self) -> bool:
        """Only this machine can reach the server."""
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set. `home` is the folder of the models."""

    home: Path = Path()
    server: ServerConfig = field(default_factory=ServerConfig)
    model: CascadeSettings = field(default_factory=CascadeSettings)
    phone: PhoneConfig = field(default_factory=PhoneConfig)


def is_loopback(host: str) -> bool:
    """Whether a host name or address can mean nothing but this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load(file: Path | None = None, overrides: Mapping[str, str] | None = None) -> Config:
    """Reads file and environment; `overrides` ("server.port" -> "9000") come from the command line.

    Raises `ConfigError`, and `ModelError` when nothing says where the models live."""
    return build(_read(file) if file else {}, os.environ, overrides or {}, sys.platform)


def build(table: Mapping[str, Any], environ: Mapping[str, str], overrides: Mapping[str, str], platform: str) -> Config:
    """The settings, from everything they come from. Raises `ConfigError`, `ModelError`."""
    config = _apply(Config(home=default_home(environ, platform)), table, "")
    config = _from_environment(config, environ)
    for path, text in overrides.items():
        config = _set(config, path.split("."), text, f"--{path.rpartition('.')[2].replace('_', '-')}")
    _check(config)
    return replace(config, model=replace(config.model, conversations=config.server.max_sessions + 1))


# --- reading -----------------------------------------------------------------------------------------------------


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"The settings file {file} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # neither TOML nor UTF-8
        raise ConfigError(f"The settings file {file} is not valid TOML: {error}.") from error


def _known(node: object) -> list[str]:
    assert is_dataclass(node)
    return [f.name for f in fields(node) if f.name != DERIVED]


def _apply(node: T, table: Mapping[str, Any], path: str) -> T:
    for key, value in table.items():
        name = f"{path}{key}"
        if key not in _known(node):
            raise ConfigError(f"Unknown setting '{name}'. Known here: {', '.join(_known(node))}.")
        old = getattr(node, key)
        if not is_dataclass(old):
            new: Any = _convert(value, type(old), name)
        elif isinstance(value, Mapping):
            new = _apply(old, value, f"{name}.")
        else:
            raise ConfigError(f"'{name}' must be a table, not {value!r}.")
        node = replace(node, **{key: new})  # type: ignore[type-var]  # `_known` has checked that it is a dataclass
    return node


def _from_environment(config: Config, environ: Mapping[str, str]) -> Config:
    if home := environ.get(f"{ENVIRONMENT}_HOME"):
        config = replace(config, home=Path(home))
    for section in ("server", "model", "phone", "phone.sip"):
        path = section.split(".")
        prefix = f"{ENVIRONMENT}_{path[-1].upper()}_"
        for variable in sorted(name for name in environ if name.startswith(prefix)):
            key = variable.removeprefix(prefix).lower()
            known = _known(reduce(getattr, path, config))
            if key not in known:
                names = ", ".join(prefix + name.upper() for name in known)
                raise ConfigError(f"Unknown setting {variable} in the environment. Known: {names}.")
            config = _set(config, [*path, key], environ[variable], variable)
    return config


def _set(node: T, path: list[str], text: str, name: str) -> T:
    key, *rest = path
    old = getattr(node, key)
    new = _set(old, rest, text, name) if rest else _convert(text, type(old), name)
    return replace(node, **{key: new})  # type: ignore[type-var]  # only dataclasses have such paths


def _convert(value: Any, kind: type[Any], name: str) -> Any:
    """`value` from TOML, or as text, to the type of the default it replaces."""
    expected = {int: "a whole number", float: "a number", bool: "true or false", str: "text", tuple: "a list of texts"}
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]
        if kind is tuple:
            return _texts(value)
        if kind is int and isinstance(value, int | str) and not isinstance(value, bool):
            return int(value)
        if kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
            return float(value)
        if kind is str and isinstance(value, str):
            return value
        if issubclass(kind, Path) and isinstance(value, str):
            return Path(value).expanduser()
    except (KeyError, ValueError, RuntimeError):  # the last: a home folder that is not known
        pass
    raise ConfigError(f"'{name}' must be {expected.get(kind, 'a path')}, not {value!r}.")


def _texts(value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValueError
    return tuple(part.strip() for part in parts if part.strip())


# --- checking ----------------------------------------------------------------------------------------------------


def _check(config: Config) -> None:
    server, model = config.server, config.model
    ranges: dict[str, tuple[float, float, float]] = {
        "server.port": (server.port, 0, 65535),
        "server.max_sessions": (server.max_sessions, 1, 1000),
        "server.idle_timeout": (server.idle_timeout, 5, 86400),
        "server.max_duration": (server.max_duration, 10, 86400),
        "server.sessions_per_minute": (server.sessions_per_minute, 1, 100_000),
        "server.responses_per_minute": (server.responses_per_minute, 1, 10_000),
        "server.resume_window": (server.resume_window, 0, 600),
        "server.tool_timeout": (server.tool_timeout, 1, 600),
        "server.patience": (server.patience, 2, 600),
        "model.threads": (model.threads, 0, 256),
        "model.copies": (model.copies, 0, 64),
    }
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            raise ConfigError(f"'{name}' must be between {low:g} and {high:g}, not {value:g}.")
    _check_reach(server)
    for problem in problems(config.phone):
        raise ConfigError(problem)
    if model.remote and not model.endpoint_model:
        raise ConfigError("'model.language' is an endpoint: set 'model.endpoint_model' to the name of the model there.")
    if model.remote and not _is_url(model.language):
        raise ConfigError(f"'model.language' must be a URL such as http://localhost:8000/v1, not {model.language!r}.")
    if not re.fullmatch("auto|[a-z]{2,3}", model.spoken):
        raise ConfigError(f"'model.spoken' must be a language code such as en, or auto, not {model.spoken!r}.")


def _check_reach(server: ServerConfig) -> None:
    if not server.loopback and not server.keys:
        raise ConfigError(
            f"'server.host' is {server.host}, which others can reach: set 'server.keys' (VIVAVOCE_SERVER_KEYS) too, "
            "or they could all use it. Without keys only 127.0.0.1 is allowed."
        )
    for origin in server.origins:
        if origin != "*" and not re.fullmatch(r"https?://[^/?#\s]+", origin):
            raise ConfigError(f"'server.origins' must hold origins such as https://example.org, or *, not {origin!r}.")
    if server.echo_cancellation not in ECHO_CANCELLATION:
        expected = ", ".join(ECHO_CANCELLATION)
        raise ConfigError(f"'server.echo_cancellation' must be one of {expected}, not {server.echo_cancellation!r}.")
    for tool in server.tools:
        if tool not in TOOLS:
            raise ConfigError(f"'server.tools' must hold names of {', '.join(TOOLS)}, not {tool!r}.")
    for url in server.ice_servers:
        if not re.fullmatch(r"(stuns?|turns?):\S+", url):
            raise ConfigError(f"'server.ice_servers' must hold URLs such as stun:example.org:3478, not {url!r}.")
    if bool(server.tls_certificate) != bool(server.tls_key):
        raise ConfigError("'server.tls_certificate' and 'server.tls_key' belong together: set both or neither.")
    for name, file in {"tls_certificate": server.tls_certificate, "tls_key": server.tls_key}.items():
        if file and not Path(file).is_file():
            raise ConfigError(f"'server.{name}' must be a file, but there is none at {file}.")


def _is_url(text: str) -> bool:
    try:
        return bool(urlsplit(text).hostname)
    except ValueError:
        return False
