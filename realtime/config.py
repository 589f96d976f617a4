"""Settings: one frozen tree, read once from a TOML file, the environment and the command line.

    [server]            host, port, keys ...         VIVAVOCE_SERVER_PORT=9000
    [model]             language, voice ...          VIVAVOCE_MODEL_VOICE=af_heart
    home                where models live            VIVAVOCE_HOME=/data/vivavoce

Later sources win: defaults, file, environment, command line. Every value is checked here, and a wrong one is named with what was expected. Only this module
and `__main__` read the environment.
"""

from __future__ import annotations

import ipaddress
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from vivavoce.model.settings import CascadeSettings
from vivavoce.model.store import default_home


T = TypeVar("T")


class ConfigError(Exception):
    """A setting that cannot be used; the message names it and says what was expected."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The gateway.

    `keys`: API keys, of which a client must show one; without any, only a loopback `host` is allowed. `origins`: web origins other than
    our own page that may use the API from a browser ("*" for all). `max_sessions`: calls at the same time. `idle_timeout`: seconds without sound or
    message after which a call is ended. `max_duration`: seconds a call may last. `ice_servers`: STUN or TURN URLs, `ice_username` and
    `ice_credential` for those that want them.
    """

    host: str = "127.0.0.1"
    port: int = 8790
    keys: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_sessions: int = 4
    idle_timeout: float = 300.0
    max_duration: float = 3600.0
    ice_servers: tuple[str, ...] = ()
    ice_username: str = ""
    ice_credential: str = ""
    tls_certificate: str = ""
    tls_key: str = ""

    @property
    def loopback(self) -> bool:
        """Only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set. `home` is the folder of the models."""

    home: Path = Path()
    server: ServerConfig = field(default_factory=ServerConfig)
    model: CascadeSettings = field(default_factory=CascadeSettings)


def load(file: Path | None = None, overrides: Mapping[str, str] | None = None) -> Config:
    """Reads file and environment; `overrides` ("server.port" -> "9000") come from the command line. Raises `ConfigError`."""
    return build(_read(file) if file else {}, os.environ, overrides or {}, sys.platform)


def build(
    table: Mapping[str, Any], environ: Mapping[str, str], overrides: Mapping[str, str], platform: str
) -> Config:
    """The settings, from everything they come from. Raises `ConfigError`."""
    config = _apply(Config(home=default_home(environ, platform)), table, "")
    config = _from_environment(config, environ)
    for path, text in overrides.items():
        config = _set(config, path.split("."), text, f"--{path.rpartition('.')[2].replace('_', '-')}")
    return _checked(config)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"The settings file {file} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The settings file {file} is not valid TOML: {error}.") from error


def _apply(node: T, table: Mapping[str, Any], path: str) -> T:
    assert is_dataclass(node)
    known = [f.name for f in fields(node)]
    for key, value in table.items():
        name = f"{path}{key}"
        if key not in known:
            raise ConfigError(f"Unknown setting '{name}'. Known here: {', '.join(known)}.")
        old = getattr(node, key)
        if is_dataclass(old):
            if not isinstance(value, Mapping):
                raise ConfigError(f"'{name}' must be a table.")
            new: Any = _apply(old, value, f"{name}.")
        else:
            new = _convert(value, type(old), name)
        node = replace(node, **{key: new})  # type: ignore[type-var]  # checked above: it is a dataclass
    return node


def _from_environment(config: Config, environ: Mapping[str, str]) -> Config:
    for section in ("server", "model"):
        for f in fields(getattr(config, section)):
            variable = f"VIVAVOCE_{section}_{f.name}".upper()
            if variable in environ:
                config = _set(config, [section, f.name], environ[variable], variable)
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
            parts = value.split(",") if isinstance(value, str) else list(value)
            return tuple(str(part).strip() for part in parts if str(part).strip())
        if kind in (int, float) and not isinstance(value, bool):
            return kind(value)
        if kind is str and isinstance(value, str):
            return value
        if issubclass(kind, Path) and isinstance(value, str):
            return Path(value).expanduser()
    except (KeyError, ValueError, TypeError):
        pass
    raise ConfigError(f"'{name}' must be {expected.get(kind, 'a path')}, not {value!r}.")


def _checked(config: Config) -> Config:
    server = config.server
    ranges: dict[str, tuple[float, float, float]] = {
        "server.port": (server.port, 0, 65535),
        "server.max_sessions": (server.max_sessions, 1, 1000),
        "server.idle_timeout": (server.idle_timeout, 5, 86400),
        "server.max_duration": (server.max_duration, 10, 86400),
        "model.threads": (config.model.threads, 0, 256),
    }
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            raise ConfigError(f"'{name}' must be between {low:g} and {high:g}, not {value:g}.")
    if not server.loopback and not server.keys:
        raise ConfigError(
            f"'server.host' is {server.host}, which others can reach: set 'server.keys' (VIVAVOCE_SERVER_KEYS) too, or they "
            "could all use it. Without keys only 127.0.0.1 is allowed."
        )
    if bool(server.tls_certificate) != bool(server.tls_key):
        raise ConfigError("'server.tls_certificate' and 'server.tls_key' belong together: set both or neither.")
    if config.model.remote and not config.model.endpoint_model:
        raise ConfigError("'model.language' is an endpoint: set 'model.endpoint_model' to the name of the model there.")
    return replace(config, model=replace(config.model, conversations=server.max_sessions + 1))
