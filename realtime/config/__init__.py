"""Settings: one frozen tree, read once from a TOML file, the environment and the command line.

    [server]            host, port, keys ...         VIVAVOCE_SERVER_PORT=9000
    [model]             language, voice ...          VIVAVOCE_MODEL_VOICE=af_heart
    [phone]             greeting, transfers ...      VIVAVOCE_PHONE_GREETING=Hello
    [phone.sip]         listen, account ...          VIVAVOCE_SIP_PASSWORD=secret
    home                where models live            VIVAVOCE_HOME=/data/vivavoce

    file, variables, options ──Setting.read──► values by path ──msgspec──► Config ──checks──► Config

Later sources win: defaults, file, environment, command line. Each value is checked against its type where it is read,
and a wrong one is named with what was expected; `check` holds the few rules that concern more than one setting.
Only this module and `__main__` read the environment. docs/configuration.md is generated from the types.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from vivavoce.model.settings import CascadeSettings
from vivavoce.model.store import default_home
from vivavoce.realtime.config.addresses import is_loopback
from vivavoce.realtime.config.errors import ConfigError
from vivavoce.realtime.config.phone import PhoneConfig, secret_key
from vivavoce.realtime.config.server import ServerConfig
from vivavoce.realtime.config.setting import PREFIX, settings_of

__all__ = ["SECTIONS", "SETTINGS", "Config", "ConfigError", "ServerConfig", "build", "check", "is_loopback", "load"]


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set."""

    home: Annotated[
        Path,
        Meta(description="Folder of the models and of notes. Default: the platform's folder for a user's data."),
    ] = Path()
    server: ServerConfig = field(default_factory=ServerConfig)
    model: CascadeSettings = field(default_factory=CascadeSettings)
    phone: PhoneConfig = field(default_factory=PhoneConfig)


SETTINGS: Final = {setting.path: setting for setting in settings_of(Config)}
"""Every setting, by its path: "phone.sip.listen"."""

SECTIONS: Final = tuple(dict.fromkeys(setting.section for setting in SETTINGS.values()))
"""Tables of the TOML file; "" for what stands outside of them."""


def load(file: Path | None = None, overrides: Mapping[str, str] | None = None) -> Config:
    """Reads file and environment; `overrides` ("server.port" -> "9000") come from the command line.

    Raises `ConfigError`, and `ModelError` when no source says where the models live."""
    return build(_read(file) if file else {}, os.environ, overrides or {}, sys.platform)


def build(table: Mapping[str, Any], environ: Mapping[str, str], overrides: Mapping[str, str], platform: str) -> Config:
    """The settings, from all their sources. Raises `ConfigError`, `ModelError`."""
    given: dict[str, Any] = {"home": default_home(environ, platform)}
    given |= _from_table(table)
    given |= _from_environment(environ)
    given |= {path: SETTINGS[path].read(text, _option(path)) for path, text in overrides.items()}
    tree: dict[str, Any] = {}
    for path, value in given.items():
        *section, key = path.split(".")
        reduce(lambda node, name: node.setdefault(name, {}), section, tree)[key] = value
    config = msgspec.convert(tree, Config)
    check(config)
    return replace(config, model=replace(config.model, conversations=config.server.max_sessions + 1))


# --- sources -------------------------------------------------------------------------------------------------------


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"The settings file {file} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # neither TOML nor UTF-8
        raise ConfigError(f"The settings file {file} is not valid TOML: {error}.") from error


def _from_table(table: Mapping[str, Any], section: str = "") -> Iterator[tuple[str, Any]]:
    """Values by path. Raises `ConfigError`."""
    for key, given in table.items():
        path = f"{section}.{key}".removeprefix(".")
        if path in SETTINGS:
            yield path, SETTINGS[path].read(given, path)
        elif path not in SECTIONS:
            raise ConfigError(f"Unknown setting '{path}'. Known here: {', '.join(_keys(section))}.")
        elif isinstance(given, Mapping):
            yield from _from_table(given, path)
        else:
            raise ConfigError(f"'{path}' must be a table, not {given!r}.")


def _keys(section: str) -> list[str]:
    """What a table may hold, the tables inside it included."""
    tree = reduce(getattr, filter(None, section.split(".")), Config())
    return [f.name for f in fields(tree) if f"{section}.{f.name}".removeprefix(".") in {*SETTINGS, *SECTIONS}]


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Values by path. Raises `ConfigError`."""
    if home := environ.get(f"{PREFIX}_HOME"):
        yield "home", Path(home)
    for section in filter(None, SECTIONS):
        known = {setting.variable: setting for setting in SETTINGS.values() if setting.section == section}
        prefix = f"{PREFIX}_{section.rpartition('.')[2].upper()}_"
        for variable in sorted(name for name in environ if name.startswith(prefix)):
            if variable not in known:
                raise ConfigError(f"Unknown setting {variable} in the environment. Known: {', '.join(known)}.")
            yield known[variable].path, known[variable].read(environ[variable], variable)


def _option(path: str) -> str:
    """The option of the command line that overrides a setting."""
    return f"--{path.rpartition('.')[2].replace('_', '-')}"


# --- rules of more than one setting --------------------------------------------------------------------------------


def check(config: Config) -> None:
    """Raises `ConfigError` for settings that do not go together."""
    _check_reach(config.server)
    _check_tls(config.server)
    _check_endpoint(config.model)
    _check_phone(config.phone)


def _check_reach(server: ServerConfig) -> None:
    if not server.loopback and not server.keys:
        raise ConfigError(
            f"'server.host' is {server.host}, which other machines can reach: set 'server.keys' "
            "(VIVAVOCE_SERVER_KEYS) too, or anyone there could use it. Without keys only 127.0.0.1 is allowed."
        )


def _check_tls(server: ServerConfig) -> None:
    if bool(server.tls_certificate) != bool(server.tls_key):
        raise ConfigError("'server.tls_certificate' and 'server.tls_key' belong together: set both or neither.")
    for name, file in {"tls_certificate": server.tls_certificate, "tls_key": server.tls_key}.items():
        if file and not Path(file).is_file():
            raise ConfigError(f"'server.{name}' must be a file, but there is none at {file}.")


def _check_endpoint(model: CascadeSettings) -> None:
    if not model.remote:
        return
    if not model.endpoint_model:
        raise ConfigError("'model.language' is an endpoint: set 'model.endpoint_model' to the name of the model there.")
    try:
        host = urlsplit(model.language).hostname
    except ValueError:
        host = None
    if not host:
        raise ConfigError(f"'model.language' must be a URL such as http://localhost:8000/v1, not {model.language!r}.")


def _check_phone(phone: PhoneConfig) -> None:
    if phone.base_url and not phone.provided:
        raise ConfigError(
            "'phone.base_url' is for calls of a provider: set its key too, such as VIVAVOCE_PHONE_TWILIO_TOKEN."
        )
    if phone.webhook:
        try:
            secret_key(phone.webhook_secret)
        except ValueError as error:
            raise ConfigError(f"'phone.webhook_secret' signs the webhook: {error}.") from error
