"""model/cascade/tts/names.py, the opening of voices by name, and cut graphs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vivavoce.codecs.onnx_session import open_onnx
from vivavoce.model.cascade.tts import open_tts
from vivavoce.model.cascade.tts.contract import check_speed
from vivavoce.model.cascade.tts.english.spoken import MARKS
from vivavoce.model.cascade.tts.graph import Graph
from vivavoce.model.cascade.tts.names import HIBARI, REALTIME_NAMES, known_names, resolve
from vivavoce.model.errors import BrokenTts, MissingModel, UnknownVoice


def test_no_name_is_the_default_voice() -> None:
    assert resolve("", ("joe",)) == "joe"
    assert resolve("", ("af_heart", "am_puck")) == "af_heart"


def test_a_voice_has_its_own_name() -> None:
    assert resolve("am_puck", ("af_heart", "am_puck")) == "am_puck"


OPENAI = [
    *("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"),  # Realtime
    *("fable", "onyx", "nova"),
]


@pytest.mark.parametrize("name", OPENAI)
def test_each_realtime_name_is_a_voice_of_the_synthesizer_or_else_the_default(name: str) -> None:
    hibari, kokoro = REALTIME_NAMES[name]
    assert resolve(name, ("joe",)) == "joe"
    assert resolve(name, ("heart",)) == "heart"
    assert resolve(name, HIBARI) == hibari
    assert resolve(name, ("af_heart", kokoro)) == kokoro


def test_the_realtime_names_are_all_voices_of_hibari_and_as_many_different_ones_of_kokoro() -> None:
    assert set(OPENAI) == set(REALTIME_NAMES)
    assert {hibari for hibari, _ in REALTIME_NAMES.values()} == set(HIBARI)
    assert len({kokoro for _, kokoro in REALTIME_NAMES.values()}) == len(OPENAI)


def test_every_known_name_is_a_voice() -> None:
    available = ("af_heart", "am_puck")
    assert {resolve(name, available) for name in known_names(available)} == set(available)
    assert {*available, *REALTIME_NAMES} == set(known_names(available))
    assert known_names(HIBARI).count("fable") == 1


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownVoice, match="no voice 'hal'; there are: joe, alloy"):
        resolve("hal", ("joe",))


def test_opening_an_unknown_voice_lists_those_on_disk(tmp_path: Path) -> None:
    voices = tmp_path / "kokoro" / "voices"
    voices.mkdir(parents=True)
    (voices / "af_sky.bin").touch()
    (voices / "jf_alpha.bin").touch()
    with pytest.raises(UnknownVoice, match=r"there are: heart, .*, kore, joe, joe-codec, af_sky, alloy"):
        open_tts("hal", lambda artefact: tmp_path / artefact, 1)


@pytest.mark.parametrize(
    ("name", "artefact"),
    [
        ("", "hibari"),
        ("heart", "hibari"),
        ("fenrir", "hibari"),
        ("shimmer", "hibari"),
        ("joe", "piper-joe"),
        ("joe-codec", "piper-joe"),
        ("af_sky", "kokoro"),
    ],
)
def test_a_voice_without_its_model_is_broken(name: str, artefact: str, tmp_path: Path) -> None:
    (tmp_path / "kokoro" / "voices").mkdir(parents=True)
    (tmp_path / "kokoro" / "voices" / "af_sky.bin").touch()
    with pytest.raises(BrokenTts, match=f"no voice model.*{artefact}"):
        open_tts(name, lambda artefact: tmp_path / artefact, 1)


def test_without_the_other_voices_a_realtime_name_is_the_default_and_their_own_names_are_errors(tmp_path: Path) -> None:
    def directory_of(artefact: str) -> Path:
        if artefact in ("kokoro", "hibari-voices"):
            raise MissingModel(f"fetch {artefact}")
        return tmp_path / artefact

    with pytest.raises(BrokenTts, match=r"no voice model heart\.onnx in .*hibari"):
        open_tts("alloy", directory_of, 1)
    with pytest.raises(MissingModel, match="fetch kokoro"):
        open_tts("af_heart", directory_of, 1)
    with pytest.raises(MissingModel, match="fetch hibari-voices"):
        open_tts("fenrir", directory_of, 1)
    with pytest.raises(UnknownVoice, match=r"there are: heart, .*, joe, joe-codec, alloy"):
        open_tts("hal", directory_of, 1)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "piper-joe"
    folder.mkdir()
    (folder / "joe.onnx").write_bytes(b"not a model")
    with pytest.raises(BrokenTts, match=r"joe\.onnx\.json"):
        open_tts("joe", lambda artefact: tmp_path / artefact, 1)
    settings = {"audio": {"sample_rate": 22050}, "inference": {"noise_scale": 0, "noise_w": 0}, "phoneme_id_map": {}}
    (folder / "joe.onnx.json").write_text(json.dumps(settings))
    with pytest.raises(BrokenTts, match=r"cannot read the voice model .*joe\.onnx"):
        open_tts("joe", lambda artefact: tmp_path / artefact, 1)
    folder = tmp_path / "hibari"
    folder.mkdir()
    (folder / "heart.onnx").write_bytes(b"not a model")
    with pytest.raises(BrokenTts, match=r"cannot read the voices' symbols .*vocab\.json"):
        open_tts("heart", lambda artefact: tmp_path / artefact, 1)
    (folder / "vocab.json").write_text(json.dumps({" ": 16}))
    with pytest.raises(BrokenTts, match="expected numbers for punctuation"):
        open_tts("heart", lambda artefact: tmp_path / artefact, 1)
    (folder / "vocab.json").write_text(json.dumps(dict.fromkeys(f" {MARKS}", 1)))
    with pytest.raises(BrokenTts, match=r"cannot read the voice model .*heart\.onnx"):
        open_tts("heart", lambda artefact: tmp_path / artefact, 1)
    folder = tmp_path / "piper-joe"
    settings["audio"] = {"sample_rate": 16000}
    (folder / "joe.onnx.json").write_text(json.dumps(settings))
    with pytest.raises(BrokenTts, match="expected 22050 Hz, got 16000"):
        open_tts("joe", lambda artefact: tmp_path / artefact, 1)


@pytest.mark.parametrize("speed", [0.2, 1.6, -1.0, float("nan")])
def test_a_speed_out_of_range_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match=r"outside 0\.25\.\.1\.5"):
        check_speed(speed)


def test_the_speeds_of_the_realtime_api_are_taken() -> None:
    def taken(speed: float) -> bool:
        try:
            check_speed(speed)
        except ValueError:
            return False
        return True

    assert [speed for speed in (0.24, 0.25, 1.0, 1.5, 1.51) if taken(speed)] == [0.25, 1.0, 1.5]


@pytest.mark.slow
def test_a_graph_is_cut_between_the_given_tensors(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    def value(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])

    weights = [
        helper.make_tensor(name, TensorProto.FLOAT, [2], [number, number]) for name, number in (("w", 3), ("v", 5))
    ]
    nodes = [helper.make_node("Mul", ["x", "w"], ["middle"]), helper.make_node("Add", ["middle", "v"], ["y"])]
    graph = helper.make_graph(nodes, "g", [value("x")], [value("y")], weights)
    path = tmp_path / "model.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    path.write_bytes(model.SerializeToString())

    whole = Graph(path)
    front = onnx.load_from_string(whole.between(["x"], ["middle"]))
    assert [weight.name for weight in front.graph.initializer] == ["w"]
    back = open_onnx(whole.between(["middle"], ["y"]), 1)
    np.testing.assert_array_equal(back.run(None, {"middle": np.ones(2, np.float32)})[0], [6, 6])
    with pytest.raises(BrokenTts, match="it has no absent"):
        whole.between(["x"], ["absent"])
