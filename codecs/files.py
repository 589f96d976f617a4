"""Files of codes, and whole recordings to and from codes.

    samples ─encode_whole─► CodedSpeech ─write─► speech.npz ─read─► CodedSpeech ─decode_whole─► as many samples

The file is a NumPy archive without pickled objects, so that reading one runs no code: `version` (1), `codes` (K, T)
as uint16, `samples` (length of the sound in samples at `sample_rate`), `sample_rate`, `frame_size`, and `codebook`, the
fingerprint of the codebook: the codes of another one mean something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from zipfile import BadZipFile

import numpy as np

from vivavoce.codecs.errors import CodesError
from vivavoce.codecs.streaming import State
from vivavoce.codecs.tokenizer import CARDINALITY, FRAME_SIZE, NUM_CODEBOOKS, SAMPLE_RATE, Codes, Samples

VERSION: Final = 1
MAX_CODES: Final = 1 << 20
"""Codes of one file, half a day of speech. A file that claims more is refused unread."""
CHUNK: Final = 24
"""Frames encoded or decoded at a time (1.1 s), so that long recordings need no more memory."""


@dataclass(frozen=True, slots=True)
class CodedSpeech:
    """A recording as codes: `codes` (K, T); its length in `samples`, at most T frames; `codebook`: fingerprint."""

    codes: Codes
    samples: int
    codebook: str

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return self.samples / SAMPLE_RATE


class Tokenizer(Protocol):
    """The part of `AudioTokenizer` that this module uses."""

    @property
    def codebook(self) -> str: ...
    def init_encoding(self, slots: int = 1) -> State: ...
    def init_decoding(self, slots: int = 1) -> State: ...
    def encode(self, samples: list[Samples], state: State) -> list[Codes]: ...
    def decode(self, codes: list[Codes], state: State) -> list[Samples]: ...
    def finish_encoding(self, state: State, slot: int) -> Codes: ...
    def finish_decoding(self, state: State, slot: int) -> Samples: ...


def encode_whole(tokenizer: Tokenizer, samples: Samples) -> CodedSpeech:
    """Encodes a recording, (n,) at 24 kHz, to ceil(n / 1120) codes."""
    state = tokenizer.init_encoding()
    step = CHUNK * FRAME_SIZE
    chunks = [tokenizer.encode([samples[at : at + step]], state)[0] for at in range(0, len(samples), step)]
    codes = np.concatenate([*chunks, tokenizer.finish_encoding(state, 0)], 1)
    return CodedSpeech(codes, len(samples), tokenizer.codebook)


def decode_whole(tokenizer: Tokenizer, coded: CodedSpeech) -> Samples:
    """Decodes to (coded.samples,) at 24 kHz. Raises `CodesError` for codes of another codebook."""
    if coded.codebook != tokenizer.codebook:
        raise CodesError(f"the codes are of the codebook {coded.codebook!r}, this codec's is {tokenizer.codebook!r}")
    state = tokenizer.init_decoding()
    total = coded.codes.shape[1]
    chunks = [tokenizer.decode([coded.codes[:, at : at + CHUNK]], state)[0] for at in range(0, total, CHUNK)]
    return np.concatenate([*chunks, tokenizer.finish_decoding(state, 0)])[: coded.samples]


def write(path: Path, coded: CodedSpeech) -> None:
    """Writes the file; its suffix does not matter. Raises `OSError`."""
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


def read(path: Path) -> CodedSpeech:
    """Reads a file. Raises `CodesError`."""
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise CodesError(f"{path} is not a file of codes.")
            _check_size(path, archive)
            version = int(archive["version"])
            if version != VERSION:
                raise CodesError(f"{path} has version {version} of the format; expected {VERSION}.")
            codes = np.asarray(archive["codes"])
            header = {name: int(archive[name]) for name in ("samples", "sample_rate", "frame_size")}
            codebook = str(archive["codebook"])
    except OSError as error:
        raise CodesError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, TypeError, KeyError, EOFError, BadZipFile) as error:
        raise CodesError(f"{path} is not a file of codes.") from error
    return CodedSpeech(_checked(path, codes, header), header["samples"], codebook)


def _check_size(path: Path, archive: Any) -> None:
    """Refuses archives whose entries unpack to too much: a few bytes can claim terabytes."""
    if any(entry.file_size > 2 * NUM_CODEBOOKS * MAX_CODES + 1024 for entry in archive.zip.infolist()):
        raise CodesError(f"{path} holds too much; expected at most {MAX_CODES} codes.")


def _checked(path: Path, codes: np.ndarray, header: dict[str, int]) -> Codes:
    expected = {"sample_rate": SAMPLE_RATE, "frame_size": FRAME_SIZE}
    for name, value in expected.items():
        if header[name] != value:
            raise CodesError(f"{path}: expected {name} {value}, got {header[name]}.")
    if codes.dtype != np.uint16 or codes.ndim != 2 or len(codes) != NUM_CODEBOOKS:
        raise CodesError(f"{path}: expected codes of shape ({NUM_CODEBOOKS}, T), got {codes.dtype} {codes.shape}.")
    if codes.size and codes.max() >= CARDINALITY:
        raise CodesError(f"{path}: expected codes below {CARDINALITY}, got {codes.max()}.")
    if not 0 <= header["samples"] <= codes.shape[1] * FRAME_SIZE:
        raise CodesError(f"{path}: {codes.shape[1]} codes cannot be {header['samples']} samples.")
    return codes.astype(np.int64)
