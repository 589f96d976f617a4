"""Settings from their sources: values, precedence, messages."""

import os
from dataclasses import fields
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from vivavoce.model.errors import StoreUnusable
from vivavoce.model.settings import CascadeSettings
from vivavoce.realtime.config import SECTIONS, SETTINGS, Config, ConfigError, ServerConfig, build, is_loopback, load
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.config.sip import SipConfig

HOME = {"HOME": "/home/me"}


def built(
    table: dict[str, Any] | None = None, environ: dict[str, str] | None = None, overrides: dict[str, str] | None = None
) -> Config:
    return build(table or {}, HOME | (environ or {}), overrides or {}, "linux")


def test_the_defaults_are_valid_and_stay_on_this_machine() -> None:
    config = built()
    assert config.server == ServerConfig()
    assert config.server.loopback
    assert config.home == Path("/home/me/.local/share/vivavoce")


def test_a_conversation_more_than_calls_so_that_a_new_call_may_meet_a_closing_one() -> None:
    assert built({"server": {"max_sessions": 7}}).model.conversations == 8


def test_later_sources_win() -> None:
    table = {"server": {"port": 1}, "model": {"voice": "af_sky"}, "home": "/file"}
    environ = {"VIVAVOCE_SERVER_PORT": "2", "VIVAVOCE_HOME": "/environment"}
    assert built(table).server.port == 1
    assert built(table).home == Path("/file")
    assert built(table, environ).server.port == 2
    assert built(table, environ).home == Path("/environment")
    config = built(table, environ, {"server.port": "3"})
    assert config.server.port == 3
    assert config.model.voice == "af_sky"


KEY = "F3uWm0yq7mXc1tRz"
OTHER = {
    "server.keys": f"{KEY},{KEY[::-1]}",
    "server.trusted_proxies": "10.0.0.0/8",
    "server.host": "localhost",
    "server.ice_servers": "stun:a",
    "server.origins": "*",
    "server.tools": "time",
    "server.echo_cancellation": "off",
    "model.language": "smollm2-135m",
    "model.spoken": "de",
    "phone.opening": "4.5",
    "phone.key_pause": "20",
    "phone.tools": "keys",
    "phone.transfers": "sales=+4930",
    "phone.comfort_noise": "-60",
    "phone.outbound": "+49*",
    "phone.webhook": "http://localhost/hook",
    "phone.webhook_secret": "a text of many bytes",
    "phone.unanswered": "accept",
    "phone.audiosocket": "127.0.0.1:9092",
    "phone.asterisk_peers": "10.0.0.0/8",
    "phone.asterisk_password": "open sesame",
    "phone.base_url": "https://voice.example.org",
    "phone.secret": "abracadabra",
    "phone.sip.listen": "127.0.0.1:5060",
    "phone.sip.account": "sip:100@pbx.example.org",
    "phone.sip.register": "false",
    "phone.sip.server": "pbx.example.org",
    "phone.sip.public": "192.0.2.1",
    "phone.sip.allow": "192.0.2.0/24",
    "phone.sip.codecs": "pcma",
    "phone.sip.ports": "20000-20999",
}
"""Texts of values other than the default, where a type does not take any."""

NEEDS = {"phone.base_url": {"VIVAVOCE_PHONE_TWILIO_TOKEN": "t"}}
NEEDS |= {"phone.webhook": {"VIVAVOCE_PHONE_WEBHOOK_SECRET": OTHER["phone.webhook_secret"]}}
ALONE = sorted(set(SETTINGS) - {"home", "server.tls_key", "server.tls_certificate"})


def value_of(config: Config, path: str) -> Any:
    return reduce(getattr, path.split("."), config)


@pytest.mark.parametrize("path", ALONE)
def test_every_setting_can_come_from_file_and_environment(path: str) -> None:
    default, setting = value_of(Config(), path), SETTINGS[path]
    text = OTHER.get(path) or {bool: str(not default).lower(), tuple: "a,b", str: "x"}.get(type(default), "42")
    config = built(environ=NEEDS.get(path, {}) | {setting.variable: text})
    value = value_of(config, path)
    assert value != default
    assert type(value) is type(default)
    table: dict[str, Any] = {setting.key: list(value) if isinstance(value, tuple) else value}
    for name in reversed(setting.section.split(".")):
        table = {name: table}
    assert built(table, NEEDS.get(path)) == config


def test_all_settings_are_known() -> None:
    """In one tree: those of the server, the models, the telephone and its SIP, and the home folder."""
    trees = {"server": ServerConfig, "model": CascadeSettings, "phone": PhoneConfig, "phone.sip": SipConfig}
    named = {f"{section}.{f.name}" for section, tree in trees.items() for f in fields(tree)}
    assert set(SETTINGS) == {"home"} | named - {"phone.sip", "model.conversations"}
    assert set(SECTIONS) == {"", *trees}


def test_defaults_keep_the_constraints_of_their_types() -> None:
    for path, setting in SETTINGS.items():
        given = list(setting.default) if isinstance(setting.default, tuple) else setting.default
        assert path == "home" or setting.read(given, path) == setting.default


def test_lists_may_be_written_with_commas_or_as_lists() -> None:
    assert built(environ={"VIVAVOCE_PHONE_TRANSFERS": " a=+1, b=+2 ,,"}).phone.transfers == ("a=+1", "b=+2")
    assert built({"phone": {"transfers": ["a=+1", "b=+2"]}}).phone.transfers == ("a=+1", "b=+2")


def test_a_home_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/you")
    assert built({"home": "~/models"}).home == Path("/home/you/models")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"sever": {}}, "Unknown setting 'sever'. Known here: home, server, model, phone."),
        ({"server": {"prot": 1}}, "Unknown setting 'server.prot'. Known here: host, port"),
        ({"model": {"conversations": 1}}, "Unknown setting 'model.conversations'"),
        ({"server": 5}, "'server' must be a table, not 5."),
        ({"server": {"port": "http"}}, "'server.port' must be a whole number between 0 and 65535, not 'http'."),
        ({"server": {"port": 80.5}}, "'server.port' must be a whole number between 0 and 65535, not 80.5."),
        ({"server": {"port": True}}, "'server.port' must be a whole number between 0 and 65535, not True."),
        ({"server": {"port": [80]}}, "'server.port' must be a whole number between 0 and 65535, not [80]."),
        ({"server": {"port": 65536}}, "'server.port' must be a whole number between 0 and 65535, not 65536."),
        ({"server": {"port": -1}}, "'server.port' must be a whole number between 0 and 65535, not -1."),
        ({"server": {"max_sessions": 0}}, "'server.max_sessions' must be a whole number between 1 and 1000, not 0."),
        (
            {"server": {"idle_timeout": "soon"}},
            "'server.idle_timeout' must be a number between 5 and 86400, not 'soon'.",
        ),
        ({"server": {"idle_timeout": False}}, "must be a number between 5 and 86400, not False."),
        ({"server": {"idle_timeout": float("nan")}}, "must be a number between 5 and 86400, not nan."),
        ({"server": {"idle_timeout": 1}}, "'server.idle_timeout' must be a number between 5 and 86400, not 1."),
        ({"server": {"max_duration": 1e9}}, "'server.max_duration' must be a number between 10 and 86400"),
        ({"server": {"host": 5}}, "'server.host' must be text, not 5."),
        ({"server": {"keys": 5}}, "'server.keys' must be a list of texts, not 5."),
        ({"server": {"keys": [5]}}, "'server.keys' must be a list of texts"),
        ({"server": {"keys": {"a": 1}}}, "'server.keys' must be a list of texts"),
        ({"server": {"keys": ["fifteen letters"]}}, "'server.keys' must hold keys of at least 16 ASCII characters"),
        ({"server": {"keys": ["F3uWm0yq7mXc1tR"]}}, "'server.keys' must hold keys of at least 16 ASCII characters"),
        ({"server": {"keys": [KEY, "with white space "]}}, "'server.keys' must hold keys of at least 16"),
        ({"server": {"keys": ["Schl\u00fcssel-mit-Umlaut"]}}, "'server.keys' must hold keys of at least 16"),
        ({"server": {"keys": ["ek_F3uWm0yq7mXc1tRz"]}}, "not beginning with ek_"),
        ({"server": {"trusted_proxies": ["proxy"]}}, "'server.trusted_proxies' must hold addresses or networks"),
        ({"server": {"host": "0.0.0.0"}}, "set 'server.keys'"),
        ({"server": {"host": "example.org"}}, "set 'server.keys'"),
        ({"server": {"origins": ["example.org"]}}, "'server.origins' must hold origins such as"),
        ({"server": {"origins": ["https://example.org/"]}}, "'server.origins' must hold origins such as"),
        ({"server": {"ice_servers": ["example.org"]}}, "'server.ice_servers' must hold URLs such as"),
        (
            {"server": {"echo_cancellation": "yes"}},
            "'server.echo_cancellation' must be one of auto, on, off, not 'yes'.",
        ),
        ({"server": {"tools": ["time", "fly"]}}, "must hold names of time, timers, arithmetic, notes, all, not 'fly'."),
        ({"server": {"tls_key": "k"}}, "belong together"),
        ({"server": {"tls_key": "/none.pem", "tls_certificate": __file__}}, "'server.tls_key' must be a file"),
        ({"model": {"threads": 1000}}, "'model.threads' must be a whole number between 0 and 256, not 1000."),
        ({"model": {"endpoint_vision": "perhaps"}}, "'model.endpoint_vision' must be true or false"),
        ({"model": {"language": "http://localhost/v1"}}, "set 'model.endpoint_model'"),
        ({"model": {"language": "http://", "endpoint_model": "m"}}, "'model.language' must be a URL"),
        ({"model": {"language": "http://[", "endpoint_model": "m"}}, "'model.language' must be a URL"),
        ({"model": {"spoken": "English"}}, "'model.spoken' must be a language code"),
        ({"phone": {"sip": 5}}, "'phone.sip' must be a table, not 5."),
        ({"phone": {"sip": {"port": 1}}}, "Unknown setting 'phone.sip.port'. Known here: listen, account"),
        ({"phone": {"outbound": ["*"]}}, "'phone.outbound': '*' would allow every number in the world"),
        ({"phone": {"outbound": ["4*9"]}}, "'phone.outbound': '4*9' is no pattern"),
        ({"phone": {"transfers": ["sales=foo"]}}, "'phone.transfers' must hold entries such as sales=+493012345"),
        ({"phone": {"unanswered": "ring"}}, "'phone.unanswered' must be accept or reject, not 'ring'."),
        ({"phone": {"audiosocket": "host:65536"}}, "'phone.audiosocket' must be host:port such as 127.0.0.1:9092"),
        ({"phone": {"asterisk_peers": ["x"]}}, "'phone.asterisk_peers' must hold addresses or networks such as"),
        ({"phone": {"sip": {"listen": "pbx:5060"}}}, "'phone.sip.listen' must be an IP address and a port"),
        ({"phone": {"sip": {"listen": "0.0.0.0"}}}, "'phone.sip.listen' must be an IP address and a port"),
        ({"phone": {"sip": {"account": "100@pbx"}}}, "must be an address such as sip:100@pbx.example.org."),
        ({"phone": {"sip": {"server": "pbx:0"}}}, "'phone.sip.server' must be host:port such as"),
        ({"phone": {"sip": {"public": "me"}}}, "'phone.sip.public' must be an IP address, not 'me'."),
        ({"phone": {"sip": {"allow": ["1.2.3.4/8"]}}}, "must hold addresses or networks such as 192.0.2.0/24"),
        ({"phone": {"sip": {"codecs": ["mp3"]}}}, "must hold names of opus, g722, pcma, pcmu, not 'mp3'."),
        ({"phone": {"sip": {"codecs": []}}}, "'phone.sip.codecs' must hold names of opus, g722, pcma, pcmu"),
        ({"phone": {"sip": {"ports": "20999-20000"}}}, "'phone.sip.ports' must be a range such as 20000-20999"),
        ({"home": 5}, "'home' must be a path, not 5."),
        ({"home": "~nobody-of-this-name/x"}, "'home' must be a path"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        built(table)
    assert message in str(error.value)


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(ConfigError, match="'VIVAVOCE_SERVER_PORT' must be a whole number between 0 and 65535, not 'x'"):
        built(environ={"VIVAVOCE_SERVER_PORT": "x"})
    with pytest.raises(
        ConfigError, match=r"Unknown setting VIVAVOCE_SERVER_PROT in the environment\. Known: VIVAVOCE_SERVER_HOST"
    ):
        built(environ={"VIVAVOCE_SERVER_PROT": "80"})


@pytest.mark.parametrize(
    "table",
    [
        {"phone": {"secret": "hidden"}},
        {"phone": {"asterisk_password": "hidden"}},
        {"phone": {"twilio_token": ["hidden"]}},
        {"phone": {"webhook": "https://anna:hidden@example.org/"}},
        {"phone": {"webhook": "https://example.org/", "webhook_secret": "hidden"}},
        {"phone": {"sip": {"account": "hidden"}}},
        {"server": {"keys": [["hidden"]]}},
        {"server": {"keys": ["hidden"]}},
    ],
)
def test_a_wrong_secret_is_not_repeated(table: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as error:
        built(table)
    assert "hidden" not in str(error.value)


def test_secrets_are_in_no_repr() -> None:
    server, phone = {"keys": ["hidden-but-long-enough"], "ice_credential": "hidden"}, {"webhook": "https://hidden.org/"}
    table = {"server": server, "phone": phone | {"webhook_secret": "hidden but long enough"}}
    table |= {"model": {"endpoint_key": "hidden"}}
    assert "hidden" not in repr(built(table))


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(ConfigError, match="'--port' must be a whole number between 0 and 65535, not 'x'"):
        built(overrides={"server.port": "x"})


def test_somewhere_the_models_must_live() -> None:
    with pytest.raises(StoreUnusable, match="VIVAVOCE_HOME"):
        build({}, {}, {}, "linux")


def test_a_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", HOME)
    file = tmp_path / "settings.toml"
    file.write_text('[server]\nport = 9000\napology = "Schön"\n', encoding="utf-8")
    assert load(file).server == ServerConfig(port=9000, apology="Schön")
    assert load(file, {"server.port": "9001"}).server.port == 9001
    assert load().server.port == 8790


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"[server", "is not valid TOML"), (b"\xff\xfe", "is not valid TOML"), (None, "cannot be read: No such file")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "settings.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as error:
        load(file)
    assert str(file) in str(error.value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("a.org", False),
    ],
)
def test_loopback_is_what_only_this_machine_can_reach(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


def test_a_providers_address_without_its_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="VIVAVOCE_PHONE_TWILIO_TOKEN"):
        build({}, {"HOME": "/home/anna"}, {"phone.base_url": "https://voice.example.org"}, "linux")
    token = {"HOME": "/home/anna", "VIVAVOCE_PHONE_TWILIO_TOKEN": "secret"}
    config = build({}, token, {"phone.base_url": "https://voice.example.org"}, "linux")
    assert config.phone.provided
