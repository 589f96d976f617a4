"""Codes on disk, and whole recordings to and from them.

    samples ─encode_whole─► Coded ─write─► speech.npz ─read─► Coded ─decode_whole─► samples, as many as there were

The file is a NumPy archive without pickled objects, so that reading one runs nothing: `version` (1), `codes` (K, T)
as uint16, `samples` (length of the sound in samples at `sample_rate`), `sample_rate`, `frame_size`, and `codebook`,
which says whose codes they are: another codec's mean something else. It does not say what was said, or by whom.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from zipfile import BadZipFile

import numpy as np

from vivavoce.codecs.streaming import State
from vivavoce.codecs.tokenizer import CARDINALITY, FRAME_SIZE, NUM_CODEBOOKS, SAMPLE_RATE, Codes, Samples

VERSION: Final = 1
MAX_CODES: Final = 1 << 20
"""Of a file: half a day of speech. What claims more is not ours, and is not unpacked."""
PIECE: Final = 24
"""Frames that a whole recording is worked through at a time (1.1 s), so that its length costs no memory."""


class CodesError(Exception):
    """A file of codes that cannot be used; the message names it and says what was expected."""


@dataclass(frozen=True, slots=True)
class Coded:
    """Speech as codes: `codes` (K, T); `samples`: how long it was, at most T frames; `codebook`: whose codes."""

    codes: Codes
    samples: int
    codebook: str

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return self.samples / SAMPLE_RATE


class Tokenizer(Protocol):
    """What of `AudioTokenizer` this module needs."""

    @property
    def codebook(self) -> str: ...
    def init_encoding(self, slots: int = 1) -> State: ...
    def init_decoding(self, slots: int = 1) -> State: ...
    def encode(self, samples: list[Samples], state: State) -> list[Codes]: ...
    def decode(self, codes: list[Codes], state: State) -> list[Samples]: ...
    def finish_encoding(self, state: State, slot: int) -> Codes: ...
    def finish_decoding(self, state: State, slot: int) -> Samples: ...


def encode_whole(tokenizer: Tokenizer, samples: Samples) -> Coded:
    """A recording, (n,) at 24 kHz, as ceil(n / 1120) codes."""
    state = tokenizer.init_encoding()
    step = PIECE * FRAME_SIZE
    pieces = [tokenizer.encode([samples[at : at + step]], state)[0] for at in range(0, len(samples), step)]
    return Coded(np.concatenate([*pieces, tokenizer.finish_encoding(state, 0)], 1), len(samples), tokenizer.codebook)


def decode_whole(tokenizer: Tokenizer, coded: Coded) -> Samples:
    """The sound of all codes, (coded.samples,) at 24 kHz. Raises `CodesError` for another codec's codes."""
    if coded.codebook != tokenizer.codebook:
        raise CodesError(f"the codes are of the codebook {coded.codebook!r}, this codec's is {tokenizer.codebook!r}")
    state = tokenizer.init_decoding()
    total = coded.codes.shape[1]
    pieces = [tokenizer.decode([coded.codes[:, at : at + PIECE]], state)[0] for at in range(0, total, PIECE)]
    return np.concatenate([*pieces, tokenizer.finish_decoding(state, 0)])[: coded.samples]


def write(path: Path, coded: Coded) -> None:
    """Writes the file, whatever its name ends in. Raises `OSError`."""
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            version=np.int64(VERSION),
            codes=coded.codes.astype(np.uint16),
            samples=np.int64(coded.samples),
            sample_rate=np.int64(SAMPLE_RATE),
            frame_size=np.int64(FRAME_SIZE),
            codebook=np.array(coded.codebook),
        )


def read(path: Path) -> Coded:
    """Raises `CodesError`."""
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise CodesError(f"{path} is no file of codes.")
            _check_size(path, archive)
            version = int(archive["version"])
            if version != VERSION:
                raise CodesError(f"{path} has version {version} of the format; expected {VERSION}.")
            codes = np.asarray(archive["codes"])
            about = {name: int(archive[name]) for name in ("samples", "sample_rate", "frame_size")}
            codebook = str(archive["codebook"])
    except OSError as error:
        raise CodesError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, TypeError, KeyError, EOFError, BadZipFile) as error:
        raise CodesError(f"{path} is no file of codes.") from error
    return Coded(_checked(path, codes, about), about["samples"], codebook)


def _check_size(path: Path, archive: Any) -> None:
    """An archive of a few bytes can claim to hold terabytes."""
    if any(entry.file_size > 2 * NUM_CODEBOOKS * MAX_CODES + 1024 for entry in archive.zip.infolist()):
        raise CodesError(f"{path} holds too much; expected at most {MAX_CODES} codes.")


def _checked(path: Path, codes: np.ndarray, about: dict[str, int]) -> Codes:
    expected = {"sample_rate": SAMPLE_RATE, "frame_size": FRAME_SIZE}
    for name, value in expected.items():
        if about[name] != value:
            raise CodesError(f"{path}: expected {name} {value}, got {about[name]}.")
    if codes.dtype != np.uint16 or codes.ndim != 2 or len(codes) != NUM_CODEBOOKS:
        raise CodesError(f"{path}: expected codes of shape ({NUM_CODEBOOKS}, T), got {codes.dtype} {codes.shape}.")
    if codes.size and codes.max() >= CARDINALITY:
        raise CodesError(f"{path}: expected codes below {CARDINALITY}, got {codes.max()}.")
    if not 0 <= about["samples"] <= codes.shape[1] * FRAME_SIZE:
        raise CodesError(f"{path}: {codes.shape[1]} codes cannot be {about['samples']} samples.")
    return codes.astype(np.int64)
