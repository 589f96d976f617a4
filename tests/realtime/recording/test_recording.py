"""Whole calls on the virtual clock, recorded and replayed: realtime/recording/ with everything it watches."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect

from harness.fakes import Line, LinePeer, ScriptedDialogue, ScriptedEngine
from harness.gateway import gateway
from harness.recordings import only, record, replayed
from vivavoce.model.dialogue import ToolCall
from vivavoce.model.errors import DialogueError
from vivavoce.model.turns.overlap_classifier import Scores
from vivavoce.realtime.cli import WrongUsage
from vivavoce.realtime.cli import replay as command
from vivavoce.realtime.cli.replay import ReplayOptions
from vivavoce.realtime.config import Config
from vivavoce.realtime.recording import writer as writers
from vivavoce.realtime.recording.reader import BadRecording, RecordingReader
from vivavoce.realtime.recording.replay import Models
from vivavoce.realtime.recording.writer import MAX_WAITING, Writer
from vivavoce.realtime.session.opening import SessionRequest

pytestmark = pytest.mark.integration

NOTICE = "This call is being recorded."
SECONDS = 6.0
LONG = Line("One two three four five six seven eight nine ten", seconds=4.0)


async def conversation(peer: LinePeer) -> None:
    """A question, an answer that is cut, another question."""
    await peer.pause(0.6)
    await peer.say(0.6)
    await peer.pause(2.4)
    await peer.say(0.6)
    await peer.pause(1.8)


def model() -> ScriptedDialogue:
    return ScriptedDialogue(["count to ten", "stop"], [LONG, Line("Fine then.")])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[LinePeer, Path]:
    """The conversation, over WebRTC, with the notice."""
    folder = tmp_path_factory.mktemp("calls") / "recordings"
    return record(conversation, model(), folder, notice=NOTICE), only(folder)


def entries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_bytes().splitlines()]


def changed(folder: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a recording with `change` made to each of its lines."""
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    lines = entries(folder)
    for line in lines:
        change(line)
    (target / "events.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return target


def test_a_call_is_decided_again_without_a_difference(recorded: tuple[LinePeer, Path]) -> None:
    replay, _ = replayed(recorded[1])
    assert replay.outcome.differences == []
    assert replay.outcome.count == 0
    assert replay.outcome.calls > 500


def test_all_that_the_client_was_told_is_told_again(recorded: tuple[LinePeer, Path]) -> None:
    peer, folder = recorded
    told = [sent["event"] for entry in entries(folder) for sent in sends(entry)]
    assert [event["is"] for event in told if "event_id" in event]
    assert [event["event_id"] for event in told] == [event["event_id"] for event in peer.events]


def sends(entry: dict[str, Any]) -> list[dict[str, Any]]:
    gave = entry.get("gave")
    return [one for one in gave if one["is"] == "Send"] if isinstance(gave, list) else []


def test_the_words_of_the_recording_end_where_the_user_stopped_hearing_them(recorded: tuple[LinePeer, Path]) -> None:
    peer, folder = recorded
    (heard,) = peer.of("vivavoce.heard")
    _, said = replayed(folder)
    assert [(line.side, line.text) for line in said] == [
        ("assistant", NOTICE),
        ("user", "count to ten"),
        ("assistant", LONG.words),
        ("user", "stop"),
        ("assistant", "Fine then."),
    ]
    assert said[2].heard == heard["heard_chars"] == len("One two three")
    assert str(said[2]).endswith("One two three| four five six seven eight nine ten")


def test_both_sides_are_on_one_clock(recorded: tuple[LinePeer, Path]) -> None:
    peer, folder = recorded
    with wave.open(str(folder / "sound.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 24_000, 2)
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert len(sound) == pytest.approx(SECONDS * 24_000, abs=2 * 480)
    said = np.round(np.concatenate(peer.played) * 32768)
    assert np.abs(said - sound[: len(said), 1]).max() <= 1  # the voice's own rounding
    loud = np.flatnonzero(np.abs(sound[:, 0]) > 1000)  # not the front end's ringing out
    assert [loud[0] / 24_000, loud[-1] / 24_000] == pytest.approx([0.6, 4.2], abs=0.02)


def test_the_notice_is_heard_though_the_user_speaks_over_it(tmp_path: Path) -> None:
    async def test(peer: LinePeer) -> None:
        await peer.say(1.5)
        await peer.pause(5.0)

    peer = record(test, ScriptedDialogue(["hello"], [Line("Hi.")]), tmp_path / "calls", notice=NOTICE)
    assert peer.kinds()[:3] == ["session.created", "vivavoce.recording.started", "response.created"]
    done = [event["response"] for event in peer.of("response.done")]
    assert [response["status"] for response in done] == ["completed", "completed"]
    assert done[0]["conversation_id"] is None
    assert "vivavoce.heard" not in peer.kinds()  # nothing of it was cut


@pytest.mark.parametrize(
    ("notice", "config", "extras"),
    [
        pytest.param("", {}, True, id="no words wanted"),
        pytest.param(NOTICE, {"output_modalities": ["text"]}, True, id="a session in writing"),
        pytest.param(NOTICE, {"type": "transcription"}, True, id="a session that only listens"),
        pytest.param("", {}, False, id="a strict client"),
    ],
)
def test_the_notice_is_said_only_where_there_is_a_voice(
    notice: str, config: dict[str, Any], extras: bool, tmp_path: Path
) -> None:
    async def test(peer: LinePeer) -> None:
        await peer.pause(1.0)

    wanted = SessionRequest(config=config, extras=extras)
    peer = record(test, ScriptedDialogue(), tmp_path / "calls", notice=notice, wanted=wanted)
    assert "response.created" not in peer.kinds()
    assert ("vivavoce.recording.started" in peer.kinds()) == extras


SECRET = "Bearer-of-bad-news"


async def by_message(peer: LinePeer) -> None:
    """Everything a WebSocket client may do, right and wrong."""
    server = {"type": "mcp", "server_label": "x", "server_url": "https://x.example/mcp", "authorization": SECRET}
    await peer.tell(type="session.update", session={"type": "realtime", "tools": [server]})
    await peer.tell_raw("{nonsense")
    await peer.tell(type="nonsense")
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is up?"}]}
    await peer.tell(type="conversation.item.create", item=item)
    await peer.tell(type="response.create")
    await peer.until("response.done")
    await peer.tell(type="response.cancel")
    await peer.say(1.0)
    await peer.pause(3.0)
    (item_id,) = {event["item_id"] for event in peer.of("response.output_audio.done")[-1:]}
    await peer.tell(type="conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=300)
    await peer.until("conversation.item.truncated")
    await peer.tell(type="input_audio_buffer.append", audio="AAAA" * 20_000)
    await peer.tell(type="input_audio_buffer.clear")
    await peer.pause(1.0)


def test_a_call_by_messages_is_decided_again_too(tmp_path: Path) -> None:
    call = ToolCall("call_1", "look_up", "{}", final=True)
    lines = [Line("Not much.", calls=call), Line("Something.", fails="the model broke")]
    record(by_message, ScriptedDialogue([DialogueError("deaf")], lines), tmp_path / "calls", plays=False)
    replay, said = replayed(only(tmp_path / "calls"))
    assert replay.outcome.differences == []
    assert [line.text for line in said][:2] == ["What is up?", "Not much."]


def test_no_secret_is_recorded(tmp_path: Path) -> None:
    record(by_message, ScriptedDialogue(), tmp_path / "calls", plays=False)
    folder = only(tmp_path / "calls")
    assert not [file.name for file in folder.iterdir() if SECRET.encode() in file.read_bytes()]
    assert b"hidden-" in (folder / "events.jsonl").read_bytes()


def test_one_verdict_that_is_changed_is_found(recorded: tuple[LinePeer, Path], tmp_path: Path) -> None:
    changes: list[int] = []

    def change(entry: dict[str, Any]) -> None:
        chances = entry.get("chances", {}).get("speech", [])
        if not changes and chances and max(chances) > 0.9:
            entry["chances"]["speech"] = [0.0 for _ in chances]
            changes.append(entry["n"])

    folder = changed(recorded[1], tmp_path / "other", change)
    replay, _ = replayed(folder)
    assert replay.outcome.count > 0
    first = replay.outcome.differences[0]
    assert first.n >= changes[0]
    assert first.call.startswith(f"{first.n}: listener.receive(")
    assert len(first.before) == 5


@pytest.mark.parametrize("kind", ["TurnEnded", "Send"])
def test_one_answer_that_is_changed_is_the_one_that_is_named(
    kind: str, recorded: tuple[LinePeer, Path], tmp_path: Path
) -> None:
    places: list[int] = []

    def change(entry: dict[str, Any]) -> None:
        gave = entry.get("gave")
        found = [one for one in gave if one["is"] == kind] if isinstance(gave, list) else []
        if found and len(places) < 1:
            key = next(name for name in found[0] if name != "is")
            found[0][key] = 3
            places.append(entry["n"])

    replay, _ = replayed(changed(recorded[1], tmp_path / "other", change))
    assert [difference.n for difference in replay.outcome.differences] == places


def test_the_command_says_what_differs_and_where(
    recorded: tuple[LinePeer, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(entry: dict[str, Any]) -> None:
        if entry.get("call") == "session.open":
            entry["gave"][1]["event"]["session"]["model"] = "another"

    folder = changed(recorded[1], tmp_path / "other", change)
    assert command.run(Config(), recorded[1], ReplayOptions()) == 0
    assert "no differences" in capsys.readouterr().out
    assert command.run(Config(), folder, ReplayOptions()) == 1
    out = capsys.readouterr().out
    assert "differs at gave[1].event.session.model" in out
    assert 'recorded "another"' in out
    assert command.run(Config(), folder, ReplayOptions(as_json=True)) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["differences"], report["end"]) == (1, "over")
    assert report["said"][1]["text"] == "count to ten"


def test_a_folder_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="is no recording"):
        command.run(Config(), tmp_path, ReplayOptions())
    for name, content in {"events.jsonl": b'{"format": 99}\n', "bytes.bin": b"", "sound.wav": b""}.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadRecording, match="expected format 2"):
        RecordingReader(tmp_path)


@pytest.mark.parametrize("call", ["session._named", "os.system", "floor.shout"])
def test_a_recording_can_ask_for_nothing_but_the_cores_own_methods(
    call: str, recorded: tuple[LinePeer, Path], tmp_path: Path
) -> None:
    def change(entry: dict[str, Any]) -> None:
        if entry.get("n") == 3:
            entry["call"] = call

    with pytest.raises(BadRecording, match=f"entry 3 asks for {call}"):
        replayed(changed(recorded[1], tmp_path / "other", change))


def test_the_small_form_holds_the_same(recorded: tuple[LinePeer, Path], tmp_path: Path) -> None:
    tape = RecordingReader(recorded[1])
    tape.pack(tmp_path / "small")
    small = RecordingReader(tmp_path / "small")
    assert small.entries == tape.entries
    assert small.side(0, 0, 144_000) == tape.side(0, 0, 144_000)
    assert small.side(1, 0, 144_000) == tape.side(1, 0, 144_000)
    sizes = [sum(file.stat().st_size for file in folder.iterdir()) for folder in (recorded[1], tmp_path / "small")]
    assert sizes[1] < sizes[0] / 10
    replay, _ = replayed(tmp_path / "small")
    assert replay.outcome.count == 0


def test_today_s_answers_can_be_made_the_right_ones(recorded: tuple[LinePeer, Path], tmp_path: Path) -> None:
    def change(entry: dict[str, Any]) -> None:
        if "speech" in entry.get("chances", {}) and entry["n"] > 500:
            entry["chances"]["speech"] = [0.0 for _ in entry["chances"]["speech"]]

    folder = changed(recorded[1], tmp_path / "other", change)
    assert command.run(Config(), folder, ReplayOptions(pack=tmp_path / "kept")) == 1
    assert command.run(Config(), tmp_path / "kept", ReplayOptions()) == 1
    assert command.run(Config(), folder, ReplayOptions(pack=tmp_path / "new", accept=True)) == 1
    assert command.run(Config(), tmp_path / "new", ReplayOptions()) == 0


def test_what_the_ear_for_overlaps_found_is_recorded_too(tmp_path: Path) -> None:
    def overhear(fresh: bool) -> Scores:
        return Scores(0.123456, 0.8, 0.05, 0.03)

    peer = record(conversation, model(), tmp_path / "calls", overhear=overhear)
    assert "vivavoce.heard" not in peer.kinds()  # it took the interruption for agreement
    folder = only(tmp_path / "calls")
    assert b'"overlap":[[0.1235,0.8,0.05,0.03]' in (folder / "events.jsonl").read_bytes()
    replay, _ = replayed(folder)
    assert replay.outcome.differences == []


def test_models_are_held_against_what_was_recorded(recorded: tuple[LinePeer, Path]) -> None:
    replay, _ = replayed(recorded[1], Models(lambda window: 0.9 * bool(window.any()), lambda turn: 0.2))
    assert replay.outcome.count == 0
    assert {now for _, now in replay.outcome.chances} == {0.0, 0.9}
    assert len(replay.outcome.chances) == pytest.approx(SECONDS / 0.032, abs=2)


# --- files -------------------------------------------------------------------------------------------------------


def test_only_the_owner_can_read_a_recording(recorded: tuple[LinePeer, Path]) -> None:
    folder = recorded[1]
    assert [oct(path.stat().st_mode & 0o777) for path in (folder.parent, folder)] == ["0o700", "0o700"]
    assert {oct(file.stat().st_mode & 0o777) for file in folder.iterdir()} == {"0o600"}
    assert folder.name == "20261122-120500-rtc_test"


@pytest.mark.parametrize("cut", [2, 5_000])
def test_a_recording_that_was_cut_short_is_read_as_far_as_it_goes(
    cut: int, recorded: tuple[LinePeer, Path], tmp_path: Path
) -> None:
    folder = changed(recorded[1], tmp_path / "crashed", lambda entry: None)
    for name in ("events.jsonl", "sound.wav"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) - cut * (4 if name == "sound.wav" else 1)])
    tape = RecordingReader(folder)
    assert tape.end.startswith("crash")
    replay, _ = replayed(folder)
    assert replay.outcome.count == 0
    assert replay.outcome.calls > 400


def test_what_was_written_a_moment_ago_survives_a_crash(tmp_path: Path) -> None:
    """The files are looked at while the writer still runs, as if the process had just been killed."""
    writer = Writer(tmp_path / "call")
    writer.sound(bytes(4 * 480))
    writer.line(b'{"n": 0}\n')
    deadline = threading.Event()
    for _ in range(100):
        deadline.wait(0.05)
        if (tmp_path / "call" / "events.jsonl").exists() and (tmp_path / "call" / "events.jsonl").read_bytes():
            break
    with wave.open(str(tmp_path / "call" / "sound.wav")) as file:
        assert file.getnframes() == 480
    writer.close(5.0)


def test_a_recording_that_is_full_ends_with_a_note_and_the_call_goes_on(tmp_path: Path) -> None:
    peer = record(conversation, model(), tmp_path / "calls", max_bytes=300_000)
    assert len(peer.of("response.done")) == 2
    folder = only(tmp_path / "calls")
    assert sum(file.stat().st_size for file in folder.iterdir()) < 301_000
    tape = RecordingReader(folder)
    assert tape.end == "full: a recording has at most 300000 bytes"
    replay, _ = replayed(folder)
    assert (replay.outcome.count, replay.outcome.calls > 100) == (0, True)


def test_a_full_disk_ends_the_recording_with_a_note_and_the_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, room = os.write, 200_000

    def write(file: int, content: bytes) -> int:
        nonlocal room
        if len(content) > room:
            raise OSError(28, "No space left on device")
        room -= len(content) if len(content) > 100 else 0
        return real(file, content)

    monkeypatch.setattr(os, "write", write)
    peer = record(conversation, model(), tmp_path / "calls")
    assert len(peer.of("response.done")) == 2
    assert b"broken: No space left on device" in (only(tmp_path / "calls") / "events.jsonl").read_bytes()


def test_a_folder_that_cannot_be_made_costs_the_recording_not_the_call(tmp_path: Path) -> None:
    (tmp_path / "calls").write_text("a file")
    peer = record(conversation, model(), tmp_path / "calls")
    assert len(peer.of("response.done")) == 2


def test_a_disk_that_cannot_keep_up_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()
    monkeypatch.setattr(writers, "_write", lambda file, content: stuck.wait(10))
    writer = Writer(tmp_path / "call")
    for _ in range(MAX_WAITING // 2**20 + 1):
        writer.sound(bytes(2**20))
    assert writer.failed == "slow: the disk cannot keep up"
    stuck.set()
    writer.close(5.0)


@pytest.mark.slow
def test_a_server_records_when_it_is_told_to_and_only_then(tmp_path: Path) -> None:
    async def call(recordings: str) -> list[str]:
        async with gateway(ScriptedEngine(), recordings=recordings) as server:
            async with connect(f"{server.websocket}?extras=true") as socket:
                kinds = [json.loads(await socket.recv())["type"] for _ in range(2 if recordings else 1)]
            await server.idle()
            return kinds

    folder = tmp_path / "calls"
    assert asyncio.run(call(str(folder)))[1] == "vivavoce.recording.started"
    tape = RecordingReader(only(folder))
    assert tape.end == "over"
    replay, _ = replayed(tape.folder)
    assert (replay.outcome.count, replay.outcome.calls > 0) == (0, True)
    shutil.rmtree(folder)
    assert asyncio.run(call("")) == ["session.created"]
    assert not folder.exists()


def test_no_thread_is_left(tmp_path: Path) -> None:
    record(conversation, model(), tmp_path / "calls")
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("recording")]
