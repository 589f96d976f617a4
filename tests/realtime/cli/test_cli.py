"""realtime/__main__.py and the commands, as a user types them."""

import os
import socket
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from harness.speech import Speaker, silence
from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.model.store import Store

COMMANDS = ("serve", "ask", "models", "doctor", "bench")


def vivavoce(*arguments: str, home: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own, with the models' real home unless another is given."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("VIVAVOCE_", "COVERAGE_"))}
    real = os.environ.get("VIVAVOCE_HOME")
    chosen = str(home) if home else real
    settings |= ({"VIVAVOCE_HOME": chosen} if chosen else {}) | environ
    command = [sys.executable, "-m", "vivavoce.realtime", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=settings, timeout=280, check=False)


def write(path: Path, samples: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def question(speaker: Speaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spoken question: the capital of France."""
    spoken = np.concatenate([silence(0.5), speaker.say("What is the capital of France?"), silence(0.5)])
    return write(tmp_path_factory.mktemp("ask") / "question.wav", spoken)


@pytest.mark.slow
def test_help_names_the_commands_and_loads_nothing_heavy() -> None:
    result = vivavoce("--help")
    assert result.returncode == 0
    assert all(command in result.stdout for command in COMMANDS)
    code = "import sys; from vivavoce.realtime.__main__ import parser; parser(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"numpy", "onnxruntime", "av", "aiortc", "starlette", "httpx", "mcp"}.isdisjoint(loaded)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "COMMAND"),
        (("sing",), "invalid choice: 'sing'"),
        (("serve", "--port", "http"), "vivavoce: '--port' must be a whole number between 0 and 65535, not 'http'."),
        (("--config", "/none.toml", "serve"), "vivavoce: The settings file /none.toml cannot be read: No such file"),
        (("serve", "--host", "0.0.0.0"), "set 'server.keys'"),
    ],
)
def test_wrong_usage_is_said_in_words(arguments: tuple[str, ...], message: str) -> None:
    result = vivavoce(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_models_are_listed_with_what_the_settings_need(tmp_path: Path) -> None:
    result = vivavoce("models", "list", home=tmp_path, VIVAVOCE_MODEL_LANGUAGE="smollm2-135m")
    assert (result.returncode, result.stderr) == (0, "")
    rows = {line[2:].split()[0]: line for line in result.stdout.splitlines() if line[2:3].strip()}
    assert rows["smollm2-135m"].startswith("* ")
    assert rows["qwen2.5-0.5b"].startswith("  ")
    assert rows["hibari"].split()[2] == "missing"
    assert str(tmp_path) in result.stdout


@pytest.mark.slow
def test_a_model_that_is_not_in_the_catalog_is_named(tmp_path: Path) -> None:
    result = vivavoce("models", "pull", "gpt-9", home=tmp_path)
    assert result.returncode == 1
    assert "there is no model 'gpt-9'; the catalog has: " in result.stderr


@pytest.mark.slow
def test_damaged_models_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "smart-turn"
    folder.mkdir(parents=True)
    (folder / "smart-turn-v3.2-cpu.onnx").write_bytes(b"nonsense")
    result = vivavoce("models", "verify", home=tmp_path)
    assert result.returncode == 1
    assert "has 8 bytes instead of" in result.stdout
    assert "vivavoce models pull smart-turn" in result.stderr


@pytest.mark.slow
def test_a_question_that_cannot_be_read_is_named_before_anything_is_fetched(tmp_path: Path) -> None:
    result = vivavoce("ask", str(tmp_path / "none.wav"), home=tmp_path / "home")
    assert (result.returncode, result.stdout) == (2, "")
    assert "none.wav cannot be read: No such file or directory." in result.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.models
@pytest.mark.slow
def test_a_spoken_question_is_answered_in_words_and_sound(models: Store, question: Path, tmp_path: Path) -> None:
    result = vivavoce("ask", str(question), "-o", str(tmp_path / "answer.wav"))
    assert (result.returncode, result.stderr) == (0, "")
    lines = {line[:16].strip(): line[16:] for line in result.stdout.splitlines()}
    assert "capital of France" in lines["heard"]
    assert lines["answer"].strip()
    assert {"models loaded", "first word", "first sound", "all", "length"} <= set(lines)
    with wave.open(str(tmp_path / "answer.wav")) as file:
        assert file.getparams()[:3] == (1, 2, SAMPLE_RATE)
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    assert abs(samples.size / SAMPLE_RATE - float(lines["length"].split()[0])) < 0.01
    assert samples.size > SAMPLE_RATE / 2
    assert np.abs(samples).max() > 3000


@pytest.mark.models
@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "/none/answer.wav"), "/none/answer.wav cannot be written: No such file or directory."),
        (("--language", "/none.gguf"), "There is no language model at /none.gguf."),
        (
            ("--language", "http://127.0.0.1:9/v1", "--endpoint-model", "m"),
            "The language model cannot be reached. (endpoint: http://127.0.0.1:9/v1)",
        ),
    ],
)
def test_what_goes_wrong_is_said_in_words(
    models: Store, question: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = vivavoce("ask", str(question), *arguments)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_voice_that_there_is_not_is_named_before_anything_is_fetched(tmp_path: Path) -> None:
    sound = write(tmp_path / "question.wav", np.zeros(SAMPLE_RATE, np.float32))
    result = vivavoce("ask", str(sound), "--voice", "caruso", home=tmp_path / "home")
    assert result.returncode == 1
    assert "no voice 'caruso'; there are: heart, emma, fable, fenrir, kore, joe, joe-codec, af_" in result.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.models
@pytest.mark.slow
def test_the_doctor_finds_this_machine_usable(models: Store) -> None:
    result = vivavoce("doctor", VIVAVOCE_SERVER_PORT="0", VIVAVOCE_MODEL_LANGUAGE="smollm2-135m")
    assert (result.returncode, result.stderr) == (0, "")
    rows = result.stdout.splitlines()
    for subject in (
        "python",
        "model hibari",
        "port",
        "peer connection",
        "speech recognition, ",
        "language model, first",
        "voice, ",
    ):
        row = next(line for line in rows if line[9:].startswith(subject))
        assert row.split()[0] in ("ok", "slow", "note")
    assert rows[-1].startswith("Ready to talk: ")


@pytest.mark.slow
def test_the_doctor_says_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = vivavoce("doctor", home=tmp_path, VIVAVOCE_SERVER_PORT=port)
    assert (result.returncode, result.stderr) == (1, "")
    assert "vivavoce models pull hibari" in result.stdout
    assert f"127.0.0.1:{port}: Address already in use" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("Not usable yet: ")
    assert not list(tmp_path.iterdir())
