"""model/store/gguf.py: blocks bit by bit, small files, and the real model."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt
import pytest
from gguf.constants import GGMLQuantizationType
from gguf.gguf_reader import GGUFReader

from vivavoce.model.cascade.llm import Piece, Prompt, Stopped
from vivavoce.model.cascade.llm.llama_cpp import LlamaModel
from vivavoce.model.dialogue import Message, TextToken
from vivavoce.model.errors import GgufError, NoSource
from vivavoce.model.store import Store, catalog
from vivavoce.model.store.catalog import Artefact, Catalog, Derived, File
from vivavoce.model.store.gguf import GRID, Requantiser, requantised


def q5_0(scales: npt.NDArray[np.float16], steps: npt.NDArray[np.int8]) -> bytes:
    """Blocks of Q5_0 of n scales and (n, 32) steps from -16 to 15, slowly."""
    blocks = b""
    for scale, row in zip(scales, (steps.astype(int) + 16).tolist(), strict=True):
        fifth = sum(code >> 4 << place for place, code in enumerate(row))
        packed = bytes(row[n] & 15 | (row[n + 16] & 15) << 4 for n in range(16))
        blocks += struct.pack("<eI", scale, fifth) + packed
    return blocks


def noise(blocks: int) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.int8]]:
    """Scales and steps as those of a network: bell-shaped, small."""
    weights = np.random.default_rng(1).normal(0, 0.03, (blocks, 32))
    peak = np.take_along_axis(weights, np.abs(weights).argmax(axis=1, keepdims=True), axis=1)
    scales = (peak / -16).astype(np.float16)
    return scales[:, 0], np.clip(np.rint(weights / scales), -16, 15).astype(np.int8)


def changed(blocks: bytes) -> npt.NDArray[np.uint8]:
    return Requantiser()(np.frombuffer(blocks, np.uint8).reshape(-1, 22))


def weights_of(blocks: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """(n, 32) weights of n blocks of IQ4_NL, slowly."""
    codes = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
    scales: npt.NDArray[np.float64] = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float64)
    return np.asarray(np.array(GRID)[codes] * scales)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def model(tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]]) -> bytes:
    """A GGUF file with a text, a list of texts, a list of numbers and these tensors."""
    pairs = text("general.name") + struct.pack("<I", 8) + text("tiny")
    pairs += text("words") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("bc")
    pairs += text("scores") + struct.pack("<IIQ3f", 9, 6, 3, 1, 2, 3)
    head, body = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 3) + pairs, b""
    for name, (form, shape, content) in tensors.items():
        head += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += struct.pack("<IQ", GGMLQuantizationType[form], len(body))
        body += padded(content)
    return padded(head) + body


def padded(content: bytes) -> bytes:
    """Up to a multiple of 32 bytes, the alignment of tensors."""
    return content + bytes(-len(content) % 32)


NORM = np.arange(5, dtype="<f4").tobytes()
TINY = {
    "blk.0.up": ("Q5_0", (64, 3), q5_0(*noise(6))),
    "norm": ("F32", (5,), NORM),
    "blk.0.down": ("Q8_0", (32, 2), bytes(range(68))),
    "embedding": ("Q5_0", (32, 2), q5_0(*noise(2))),
}


def test_a_single_large_weight_is_met() -> None:
    made = weights_of(changed(q5_0(np.array([0.5], np.float16), np.array([[-16, *[0] * 31]], np.int8))))[0]
    assert made[0] == pytest.approx(-8, rel=0.003)
    assert np.abs(made[1:]).max() < 0.08  # the grid has no zero


def test_places_within_a_block_stay_in_order() -> None:
    steps = np.arange(-16, 16, dtype=np.int8).reshape(1, 32)
    made = weights_of(changed(q5_0(np.array([1], np.float16), steps)))[0]
    assert (np.diff(made) >= 0).all()
    assert np.abs(made - steps).max() < 1.5


def test_blocks_of_zeros_are_zeros() -> None:
    assert not weights_of(changed(q5_0(np.array([0, 1], np.float16), np.zeros((2, 32), np.int8)))).any()


def test_the_error_is_that_of_a_thorough_search() -> None:
    scales, steps = noise(60)
    made = weights_of(changed(q5_0(scales, steps)))
    weights = steps * scales[:, None].astype(np.float64)
    error = np.square(made - weights).sum(axis=1)
    best = np.full(60, np.inf)
    for factor in np.linspace(0.8, 1.2, 81):
        for sign in (-1, 1):
            scale = sign * factor * np.abs(weights).max(axis=1, keepdims=True) / 120
            nearest = np.array(GRID)[np.abs(weights[..., None] / scale[..., None] - GRID).argmin(axis=-1)] * scale
            best = np.minimum(best, np.square(nearest - weights).sum(axis=1))
    assert error.sum() < best.sum() * 1.04
    assert np.sqrt(error.sum() / np.square(weights).sum()) < 0.075


def test_the_result_is_the_same_to_the_bit_everywhere() -> None:
    steps = (np.arange(64 * 32).reshape(64, 32) * 7919 % 2003 % 32 - 16).astype(np.int8)  # the same with every numpy
    scales = (np.arange(64) - 20).astype(np.float16) / np.float16(1024)
    digest = hashlib.sha256(changed(q5_0(scales, steps)).tobytes()).hexdigest()
    assert digest == "ea356a8b43132086f0e6ea44b4b8546b2abf5fce445f4b3b3218795dcd76bd5e"


def test_a_file_keeps_everything_but_the_formats(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(content := model(TINY))
    made = b"".join(requantised(tmp_path / "tiny.gguf", ["embedding"], "made by us"))
    (tmp_path / "made.gguf").write_bytes(made)
    after = GGUFReader(tmp_path / "made.gguf")
    assert [(tensor.name, tuple(tensor.shape), tensor.tensor_type.name) for tensor in after.tensors] == [
        ("blk.0.up", (64, 3), "IQ4_NL"),
        ("norm", (5,), "F32"),
        ("blk.0.down", (32, 2), "Q8_0"),
        ("embedding", (32, 2), "Q5_0"),
    ]
    assert made[:24] == b"GGUF" + struct.pack("<IQQ", 3, 4, 4)
    pairs = content[24 : content.index(text("blk.0.up"))]
    notice = text("vivavoce.notice") + struct.pack("<I", 8) + text("made by us")
    assert made[24 : 24 + len(pairs) + len(notice)] == pairs + notice
    for tensor in after.tensors:
        assert tensor.data_offset % 32 == 0
        body = made[tensor.data_offset : tensor.data_offset + tensor.n_bytes]
        if tensor.name == "blk.0.up":
            assert body == changed(TINY["blk.0.up"][2]).tobytes()
        else:
            assert body == TINY[tensor.name][2]


def test_another_alignment_is_kept(tmp_path: Path) -> None:
    pair = text("general.alignment") + struct.pack("<II", 4, 64)
    entries = [("a", 1, 0), ("b", 2, 64)]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(entries), 1) + pair
    for name, length, offset in entries:
        head += text(name) + struct.pack("<IQIQ", 1, length, GGMLQuantizationType.F32, offset)
    content = head + bytes(-len(head) % 64) + struct.pack("<f60x2f56x", 1, 2, 3)
    (tmp_path / "wide.gguf").write_bytes(content)
    (tmp_path / "made.gguf").write_bytes(b"".join(requantised(tmp_path / "wide.gguf", [], "us")))
    after = GGUFReader(tmp_path / "made.gguf")
    assert [(tensor.name, tensor.data.tolist(), tensor.data_offset % 64) for tensor in after.tensors] == [
        ("a", [1], 0),
        ("b", [2, 3], 0),
    ]


@pytest.mark.parametrize("length", [0, 3, 20, 60, 150, 300])
def test_a_file_that_ends_early_is_named(length: int, tmp_path: Path) -> None:
    (tmp_path / "cut.gguf").write_bytes(model(TINY)[:length] or b"?")
    with pytest.raises(GgufError):
        list(requantised(tmp_path / "cut.gguf", [], ""))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"FFUG" + struct.pack("<IQQ", 3, 0, 0),
        b"GGUF" + struct.pack("<I", 2),
        b"GGUF" + struct.pack("<IQQ", 9, 0, 0),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 40),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 63),
        b"GGUF" + struct.pack("<IQQQcI", 3, 0, 1, 1, b"k", 77),
        b"GGUF" + struct.pack("<IQQQcIIQ", 3, 0, 1, 1, b"k", 9, 9, 1),
        b"GGUF" + struct.pack("<IQQQcIQIQ", 3, 1, 0, 1, b"t", 1, 32, 99, 0),
    ],
    ids="empty magic short version length overflow value array format".split(),  # noqa: SIM905 - reads better
)
def test_a_file_that_is_not_gguf_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "odd.gguf").write_bytes(content)
    with pytest.raises(GgufError, match="not a whole GGUF file"):
        list(requantised(tmp_path / "odd.gguf", [], ""))


def test_rows_that_are_no_whole_blocks_are_refused(tmp_path: Path) -> None:
    (tmp_path / "odd.gguf").write_bytes(model({"odd": ("Q4_0", (30, 2), bytes(36))}))
    with pytest.raises(GgufError, match="30"):
        list(requantised(tmp_path / "odd.gguf", [], ""))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that has the published file, in the folder of the quick one, where older catalogs had it."""
    content = model(TINY)
    (tmp_path / "source.gguf").write_bytes(content)
    made = b"".join(requantised(tmp_path / "source.gguf", ["embedding"], "Requantised by Vivavoce from tiny.gguf"))

    def artefact(name: str, file: str, body: bytes, *sources: Derived) -> Artefact:
        return Artefact(name, "", "MIT", "", True, (File(file, len(body), hashlib.sha256(body).hexdigest(), sources),))

    derived = Derived("published", "tiny.gguf", ("embedding",))
    store = Store(
        tmp_path,
        Catalog((artefact("published", "tiny.gguf", content), artefact("quick", "tiny-q4_0.gguf", made, derived))),
    )
    (store.root / "quick").mkdir(parents=True)
    (store.root / "quick" / "tiny.gguf").write_bytes(content)
    return store


def nothing(artefact: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


def test_the_quick_version_is_made_without_a_network(store: Store) -> None:
    store.pull(["quick"], nothing)
    assert [path.name for path in store.path("quick").glob("*.gguf")] == ["tiny-q4_0.gguf"]
    assert [path.name for path in store.path("published").glob("*.gguf")] == ["tiny.gguf"]
    assert not any(verdict.problem for verdict in store.verify())


def test_what_an_interrupted_run_has_left_is_made_anew(store: Store) -> None:
    staging = store.root / ".staging" / "quick"
    staging.mkdir(parents=True)
    (staging / f"{store.catalog['quick'].files[0].sha256}.part").write_bytes(b"half of it")
    store.pull(["quick"], nothing)
    assert store.path("quick")


def test_a_quick_version_that_is_there_does_not_want_the_published_one(store: Store) -> None:
    store.pull(["quick"], nothing)
    (store.root / "published" / "tiny.gguf").unlink()
    store.pull(["quick"], nothing)
    assert store.path("quick")


def test_other_bytes_than_the_catalog_names_are_not_used(store: Store) -> None:
    published, quick = store.catalog
    (file,) = quick.files
    wrong = Artefact("quick", "", "MIT", "", True, (File(file.name, file.size, "0" * 64, file.sources),))
    with pytest.raises(NoSource, match="the file of published: has the sum"):
        Store(store.root.parent, Catalog((published, wrong))).pull(["quick"], nothing)


def derived(store: Store) -> Iterator[tuple[Path, Derived]]:
    """Every file of the shipped catalog that is made here."""
    for artefact in catalog.load():
        for file in artefact.files:
            for source in file.sources:
                if isinstance(source, Derived):
                    yield store.path(artefact.name) / file.name, source


@pytest.mark.models
@pytest.mark.slow
def test_the_shipped_models_are_made_as_the_catalog_says_and_answer(models: Store) -> None:
    found = list(derived(models))  # (their sums are checked by `path`)
    assert found
    for path, source in found:
        pieces = requantised(
            models.path(source.artefact) / source.file, source.keep, f"Requantised by Vivavoce from {source.file}"
        )
        with path.open("rb") as made:
            for _, piece in zip(range(400), pieces, strict=False):  # the first tensors: the rest takes ten seconds
                assert made.read(len(piece)) == piece
        language = LlamaModel(path, slots=1, threads=1)
        thread, queue = language.open(), SimpleQueue[Piece]()
        question = Message("1", "user", "What is the capital of France?")
        thread.generate(Prompt("You are a voice assistant.", (question,)), 40, queue.put)
        words = ""
        while not isinstance(said := queue.get(timeout=120), Stopped):
            words += said.text if isinstance(said, TextToken) else ""
        thread.close()
        language.close()
        assert "Paris" in words
