"""Compiles grammars and checks arguments in a process of its own, which may run out of memory or time, or crash.

    stdin   {"grammar": "%llguidance {} …"}              {"schema": {…}, "arguments": {…}}
    stdout  {"problem": ""}                               {"problem": "'x' is a required property"}

Run as a script, with Python's standard library and what it needs of others: `xllamacpp`'s library, which holds the very
compiler that will be given the grammar, and `jsonschema`. Imports nothing of this package. A line in, a line out; ends
with its input.
"""

from __future__ import annotations

import ctypes
import json
import resource
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

MEMORY: Final = 1 << 30
"""Bytes of address space; the libraries take 300 MB of it."""

LONGEST: Final = 300
"""Characters of a problem."""


class TokenizerInit(ctypes.Structure):
    """`LlgTokenizerInit` of llguidance.h, with room for what later versions add."""

    _fields_ = (
        ("vocab_size", ctypes.c_uint32),
        ("tok_eos", ctypes.c_uint32),
        ("token_lens", ctypes.c_void_p),
        ("token_bytes", ctypes.c_void_p),
        ("tokenizer_json", ctypes.c_char_p),
        ("tokenize_assumes_string", ctypes.c_bool),
        ("tokenize_fn", ctypes.c_void_p),
        ("use_approximate_greedy_tokenize_fn", ctypes.c_bool),
        ("tokenize_user_data", ctypes.c_void_p),
        ("slices", ctypes.c_void_p),
        ("spare", ctypes.c_uint64 * 16),
    )


class Compiler:
    """llguidance, as llama.cpp uses it, but for the vocabulary: one token for each byte. Raises `OSError` and
    `AttributeError` where the library lacks it."""

    def __init__(self) -> None:
        spec = find_spec("xllamacpp")
        folders = spec.submodule_search_locations if spec else None
        files = [file for folder in folders or () for file in Path(folder).glob("xllamacpp*.so")]
        if not files:
            raise OSError("xllamacpp is not installed")
        self._library = ctypes.CDLL(str(files[0]))
        self._declare()
        tokens = [*(bytes([code]) for code in range(256)), b"\xff<eos>"]
        lengths = (ctypes.c_uint32 * len(tokens))(*map(len, tokens))
        text = ctypes.create_string_buffer(b"".join(tokens))
        init = TokenizerInit(
            vocab_size=len(tokens),
            tok_eos=len(tokens) - 1,
            token_lens=ctypes.cast(lengths, ctypes.c_void_p),
            token_bytes=ctypes.cast(text, ctypes.c_void_p),
            use_approximate_greedy_tokenize_fn=True,
        )
        error = ctypes.create_string_buffer(1024)
        tokenizer = self._library.llg_new_tokenizer(ctypes.byref(init), error, len(error))
        if not tokenizer:
            raise OSError(error.value.decode(errors="replace"))
        self._init = ctypes.create_string_buffer(1024)  # LlgConstraintInit, with room
        self._library.llg_constraint_init_set_defaults(self._init, tokenizer)

    def _declare(self) -> None:
        library, pointer, text = self._library, ctypes.c_void_p, ctypes.c_char_p
        library.llg_new_tokenizer.restype = pointer
        library.llg_new_tokenizer.argtypes = (pointer, text, ctypes.c_size_t)
        library.llg_constraint_init_set_defaults.restype = None
        library.llg_constraint_init_set_defaults.argtypes = (pointer, pointer)
        library.llg_new_matcher.restype = pointer
        library.llg_new_matcher.argtypes = (pointer, text, text)
        library.llg_matcher_get_error.restype = text
        library.llg_matcher_get_error.argtypes = (pointer,)
        library.llg_matcher_compute_mask.restype = ctypes.c_int32
        library.llg_matcher_compute_mask.argtypes = (pointer,)
        library.llg_free_matcher.restype = None
        library.llg_free_matcher.argtypes = (pointer,)

    def problem(self, grammar: str) -> str:
        """Why it does not compile, or its first token cannot be found; "" where it does."""
        matcher = self._library.llg_new_matcher(self._init, b"lark", grammar.encode())
        try:
            self._library.llg_matcher_compute_mask(matcher)
            return (self._library.llg_matcher_get_error(matcher) or b"").decode(errors="replace")
        finally:
            self._library.llg_free_matcher(matcher)


def unfit(schema: Any, arguments: Any) -> str:
    """Why the arguments do not fit; "" where they do."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from referencing import Registry  # an empty one: nothing is fetched

    error = best_match(Draft202012Validator(schema, registry=Registry()).iter_errors(arguments))
    return "" if error is None else f"{error.message} (at {error.json_path})"


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    compiler: Compiler | None = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, str] = {}
        try:
            if "grammar" in request:
                compiler = compiler or Compiler()
                answer["problem"] = compiler.problem(request["grammar"])[:LONGEST]
            else:
                answer["problem"] = unfit(request["schema"], request["arguments"])[:LONGEST]
        except MemoryError:
            return
        except Exception as error:  # the process's border: a schema, or a library, that is not what it must be
            answer["unknown"] = f"{type(error).__name__}: {error}"[:LONGEST]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
