"""`vivavoce codec encode | decode | eval`: speech as tokens, from file to file, and how good it is.

encode  speech.wav ─► codes.npz          decode  codes.npz ─► speech.wav          eval  a table, report.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vivavoce.codecs.files import CodesError, decode_whole, encode_whole, read, write
from vivavoce.codecs.tokenizer import WEIGHTS, AudioTokenizer
from vivavoce.model import catalog
from vivavoce.model.store import Store
from vivavoce.realtime.commands import Unusable
from vivavoce.realtime.config import Config
from vivavoce.realtime.media import Unreadable, read_sound, write_sound


def run(config: Config, options: argparse.Namespace) -> int:
    """Returns the exit code: 0 done, 1 failed, 2 wrong usage. Raises `ModelError`."""
    try:
        match options.action:
            case "encode":
                _encode(options.speech, options.output)
            case "decode":
                _decode(options.codes, options.output)
            case _:
                from vivavoce.realtime.commands.codec_eval import evaluate  # encoding a file needs none of it

                evaluate(Store(config.home, catalog.load()), options)
    except (Unreadable, CodesError, Unusable) as error:
        print(f"vivavoce: {error}", file=sys.stderr)
        return 2 if isinstance(error, Unreadable | CodesError) else 1
    except OSError as error:
        print(f"vivavoce: {error.filename or options.output} cannot be written: {error.strerror}.", file=sys.stderr)
        return 1
    return 0


def _encode(speech: Path, output: Path) -> None:
    sound = read_sound(speech)
    coded = encode_whole(_tokenizer("encoder"), sound)
    write(output, coded)
    count = coded.codes.size
    print(f"{coded.seconds:.2f} s of speech: {count} codes, {count * 12 / coded.seconds:.0f} bit/s -> {output}")


def _decode(codes: Path, output: Path) -> None:
    coded = read(codes)
    sound = decode_whole(_tokenizer("decoder"), coded)
    write_sound(output, sound)
    print(f"{coded.codes.size} codes: {coded.seconds:.2f} s of speech -> {output}")


def _tokenizer(*directions: str) -> AudioTokenizer:
    """Opened in `directions` only. Raises `Unusable`."""
    for name in directions:
        if not (WEIGHTS / f"{name}.onnx").is_file():
            raise Unusable(f"the codec's weights {name}.onnx are not in this installation")
    return AudioTokenizer(WEIGHTS, encodes="encoder" in directions, decodes="decoder" in directions)
