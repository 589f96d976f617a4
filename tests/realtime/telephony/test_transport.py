"""DTMF from the wire to the model, the end of a goodbye, and the settings of phone calls."""

from __future__ import annotations

import pytest

from harness.session_line import MS, SessionLine
from vivavoce.realtime.config import ConfigError, build
from vivavoce.realtime.config.phone import PhoneConfig
from vivavoce.realtime.events import Cut, Read, StartReply
from vivavoce.realtime.recording.serialization import known_classes
from vivavoce.realtime.telephony.transport import (
    LONGEST_GOODBYE,
    MAX_KEYS,
    QUIET,
    SILENT,
    DtmfCollector,
    GoodbyeDetector,
)
from vivavoce.realtime.transports import Keys


def test_each_key_is_delivered_and_the_entry_after_a_pause() -> None:
    collector = DtmfCollector(pause=1.5)
    assert collector.add("1", 10.0, at=7) == [Keys("1", 7)]
    assert collector.expire(11.0) == []
    assert collector.add("2", 11.0, at=8) == [Keys("2", 8)]
    assert collector.deadline == pytest.approx(12.5)
    assert collector.expire(12.5) == [Keys("12", whole=True)]
    assert collector.deadline is None
    assert collector.expire(99.0) == []


def test_the_hash_key_completes_the_entry() -> None:
    collector = DtmfCollector(pause=1.5)
    assert collector.add("4#", 0.0, at=0) == [Keys("4"), Keys("#"), Keys("4#", whole=True)]
    assert collector.deadline is None


def test_characters_that_are_not_keys_are_skipped() -> None:
    assert DtmfCollector(1.0).add("x1 a", 0.0, at=0) == [Keys("1"), Keys("A")]


def test_an_entry_that_is_too_long_is_delivered_in_parts() -> None:
    delivered = DtmfCollector(1.0).add("5" * 2 * MAX_KEYS, 0.0, at=0)
    assert [len(keys.keys) for keys in delivered if keys.whole] == [MAX_KEYS, MAX_KEYS]


def test_a_goodbye_is_over_after_a_silence() -> None:
    goodbye = GoodbyeDetector()
    assert not any(goodbye.finished(False) for _ in range(100)), "the goodbye has not begun"
    assert not any(goodbye.finished(True) for _ in range(50))
    assert not any(goodbye.finished(False) for _ in range(QUIET - 1))
    assert not goodbye.finished(True), "a pause between two sentences"
    assert not any(goodbye.finished(False) for _ in range(QUIET - 1))
    assert goodbye.finished(False)


def test_a_silent_and_an_endless_goodbye_are_over_too() -> None:
    silent, endless = GoodbyeDetector(), GoodbyeDetector()
    assert [silent.finished(False) for _ in range(SILENT)].index(True) == SILENT - 1
    assert [endless.finished(True) for _ in range(LONGEST_GOODBYE)].index(True) == LONGEST_GOODBYE - 1


# --- in the session core -------------------------------------------------------------------------------------------


def test_a_key_is_sent_as_an_event_of_the_protocol() -> None:
    line = SessionLine(plays=True)
    line.fact(Keys("5", at=1_700_000_000))
    assert line.told[-1] == {
        "type": "input_audio_buffer.dtmf_event_received",
        "event": "5",
        "received_at": 1_700_000_000,
    }


def test_a_whole_entry_is_an_item_of_the_user_and_is_answered() -> None:
    line = SessionLine(plays=True)
    line.fact(Keys("12#", whole=True))
    added = [event for event in line.told if event["type"] == "conversation.item.added"]
    assert added[-1]["item"]["role"] == "user"
    assert added[-1]["item"]["content"][0]["text"] == "[The caller pressed 1 2 # on the telephone.]"
    assert [type(action) for action in line.done if isinstance(action, Read | StartReply)] == [Read, StartReply]


def test_a_key_is_a_barge_in() -> None:
    line = SessionLine(plays=True)
    line.fact(Keys("1#", whole=True))
    (start,) = line.did(StartReply)
    line.words(start.number, "Hello there")
    line.voice(start.number, 1000, (5, 400), (11, 1000))
    line.play(500)
    line.fact(Keys("0"))
    assert [(action.heard.samples, action.heard.chars) for action in line.did(Cut)] == [(500 * MS, 5)]


def test_keys_can_be_recorded() -> None:
    assert any(kind is Keys for kind in known_classes().values())


# --- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"opening": 42.0}, "'phone.opening' must be a number between 0 and 5, not 42.0."),
        ({"key_pause": 0.0}, "'phone.key_pause' must be a number between 0.2 and 30, not 0.0."),
        ({"comfort_noise": 10.0}, "'phone.comfort_noise' must be a number between -90 and 0, not 10.0."),
        ({"tools": ["fly"]}, "'phone.tools' must hold names of hang_up, transfer, keys, not 'fly'."),
        ({"transfers": ["+4930"]}, "'phone.transfers' must hold entries such as sales=+493012345, not '+4930'."),
        ({"transfers": ["=+4930"]}, "'phone.transfers'"),
        ({"base_url": "example.org"}, "'phone.base_url' must be an address such as https://voice.example.org"),
        ({"secret": "short"}, "'phone.secret' must be at least 8 letters, digits, - or _."),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        build({"phone": settings}, {"HOME": "/home/anna"}, {}, "linux")
    assert str(error.value).startswith(message)


def test_the_defaults_are_valid_and_take_no_phone_call() -> None:
    assert build({}, {"HOME": "/home/anna"}, {}, "linux").phone == PhoneConfig()
    assert not PhoneConfig().enabled
    assert PhoneConfig(twilio_token="t").enabled


def test_secrets_and_numbers_are_in_no_repr() -> None:
    shown = repr(PhoneConfig(twilio_token="hidden", plivo_token="hidden", vonage_secret="hidden", secret="hidden12"))
    assert "hidden" not in shown


def test_targets_are_found_by_name() -> None:
    assert PhoneConfig(transfers=("sales=+4930", " help = sip:a@b?x=1 ")).targets == {
        "sales": "+4930",
        "help": "sip:a@b?x=1",
    }
