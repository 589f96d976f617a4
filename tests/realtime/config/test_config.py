"""realtime/config/__init__.py."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from vivavoce.model.errors import StoreUnusable
from vivavoce.realtime import config as module
from vivavoce.realtime.config import Config, ConfigError, ServerConfig, build, is_loopback, load

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


@pytest.mark.parametrize("section", ["server", "model"])
def test_every_setting_can_come_from_file_and_environment(section: str) -> None:
    other = {"host": "localhost", "language": "smollm2-135m", "spoken": "de", "voice": "af_sky"}
    other |= {"echo_cancellation": "off"}
    pem = {"tls_certificate": __file__, "tls_key": __file__, "ice_servers": "stun:a", "origins": "*", "tools": "time"}
    for f in fields(getattr(Config(), section)):
        if f.name in ("conversations", "tls_key", "tls_certificate"):
            continue
        default = getattr(getattr(Config(), section), f.name)
        text = (other | pem).get(f.name) or {bool: "true", tuple: "a,b", str: "x"}.get(type(default), "42")
        config = built(environ={f"VIVAVOCE_{section.upper()}_{f.name.upper()}": text})
        value = getattr(getattr(config, section), f.name)
        assert value != default
        assert type(value) is type(default)
        again = list(value) if isinstance(value, tuple) else value
        assert built({section: {f.name: again}}) == config


def test_lists_may_be_written_with_commas_or_as_lists() -> None:
    assert built(environ={"VIVAVOCE_SERVER_KEYS": " a, b ,,"}).server.keys == ("a", "b")
    assert built({"server": {"keys": ["a", "b"]}}).server.keys == ("a", "b")


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
        ({"server": {"port": "http"}}, "'server.port' must be a whole number, not 'http'."),
        ({"server": {"port": 80.5}}, "'server.port' must be a whole number, not 80.5."),
        ({"server": {"port": True}}, "'server.port' must be a whole number, not True."),
        ({"server": {"port": [80]}}, "'server.port' must be a whole number"),
        ({"server": {"port": 65536}}, "'server.port' must be between 0 and 65535, not 65536."),
        ({"server": {"port": -1}}, "'server.port' must be between 0 and 65535"),
        ({"server": {"max_sessions": 0}}, "'server.max_sessions' must be between 1 and 1000"),
        ({"server": {"idle_timeout": "soon"}}, "'server.idle_timeout' must be a number, not 'soon'."),
        ({"server": {"idle_timeout": False}}, "'server.idle_timeout' must be a number"),
        ({"server": {"idle_timeout": float("nan")}}, "'server.idle_timeout' must be between 5 and 86400"),
        ({"server": {"idle_timeout": 1}}, "'server.idle_timeout' must be between 5 and 86400"),
        ({"server": {"max_duration": 1e9}}, "'server.max_duration' must be between 10 and 86400"),
        ({"server": {"host": 5}}, "'server.host' must be text, not 5."),
        ({"server": {"keys": 5}}, "'server.keys' must be a list of texts, not 5."),
        ({"server": {"keys": [5]}}, "'server.keys' must be a list of texts"),
        ({"server": {"keys": {"a": 1}}}, "'server.keys' must be a list of texts"),
        ({"server": {"host": "0.0.0.0"}}, "set 'server.keys'"),
        ({"server": {"host": "example.org"}}, "set 'server.keys'"),
        ({"server": {"origins": ["example.org"]}}, "'server.origins' must hold origins such as"),
        ({"server": {"origins": ["https://example.org/"]}}, "'server.origins' must hold origins such as"),
        ({"server": {"ice_servers": ["example.org"]}}, "'server.ice_servers' must hold URLs such as"),
        ({"server": {"echo_cancellation": "yes"}}, "must be one of auto, on, off, not 'yes'"),
        ({"server": {"tls_key": "k"}}, "belong together"),
        ({"server": {"tls_key": "/none.pem", "tls_certificate": __file__}}, "'server.tls_key' must be a file"),
        ({"model": {"threads": 1000}}, "'model.threads' must be between 0 and 256"),
        ({"model": {"endpoint_vision": "perhaps"}}, "'model.endpoint_vision' must be true or false"),
        ({"model": {"language": "http://localhost/v1"}}, "set 'model.endpoint_model'"),
        ({"model": {"language": "http://", "endpoint_model": "m"}}, "'model.language' must be a URL"),
        ({"model": {"language": "http://[", "endpoint_model": "m"}}, "'model.language' must be a URL"),
        ({"model": {"spoken": "English"}}, "'model.spoken' must be a language code"),
        ({"home": 5}, "'home' must be a path, not 5."),
        ({"home": "~nobody-of-this-name/x"}, "'home' must be a path"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        built(table)
    assert message in str(error.value)


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(ConfigError, match="'VIVAVOCE_SERVER_PORT' must be a whole number, not 'x'"):
        built(environ={"VIVAVOCE_SERVER_PORT": "x"})
    with pytest.raises(
        ConfigError, match=r"Unknown setting VIVAVOCE_SERVER_PROT in the environment\. Known: VIVAVOCE_SERVER_HOST"
    ):
        built(environ={"VIVAVOCE_SERVER_PROT": "80"})


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(ConfigError, match="'--port' must be a whole number, not 'x'"):
        built(overrides={"server.port": "x"})


def test_somewhere_the_models_must_live() -> None:
    with pytest.raises(StoreUnusable, match="VIVAVOCE_HOME"):
        build({}, {}, {}, "linux")


def test_a_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.os, "environ", HOME)
    file = tmp_path / "settings.toml"
    file.write_text('[server]\nport = 9000\nkeys = ["schlüssel"]\n', encoding="utf-8")
    assert load(file).server == ServerConfig(port=9000, keys=("schlüssel",))
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
