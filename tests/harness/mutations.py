"""Damaged input for parsers: valid messages with bytes changed, inserted, cut out and repeated, by a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

_PIECES = (
    *(
        b"\r\n",
        b"\n",
        b"\r\n ",
        b" ",
        b"\t",
        b";",
        b"=",
        b":",
        b",",
        b"<",
        b">",
        b'"',
        b"\\",
        b"[",
        b"]",
        b"{",
        b"}",
        b"--",
    ),
    *(b"\0", b"\xff", b"\xc2\xb2", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"%00", b"\\ud800", b"\\n", b"*", b"/", b"@"),
    *(b"-1", b"0", b"65536", b"4294967296", b"99999999999999999999", b"1e999", b"NaN", b"null", b"true", b"0x10"),
)


def mutations(valid: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """`count` inputs: a tenth of them random bytes, the others of `valid` with one to six changes."""
    dice = random.Random(seed)
    for _ in range(count):
        if dice.random() < 0.1:
            yield dice.randbytes(dice.randrange(300))
            continue
        data = bytearray(dice.choice(valid))
        for _ in range(dice.randint(1, 6)):
            _change(data, dice, valid)
        yield bytes(data)


def _change(data: bytearray, dice: random.Random, valid: Sequence[bytes]) -> None:
    at, length = dice.randrange(len(data) + 1), dice.randint(1, 60)
    match dice.randrange(6):
        case 0:
            data[at : at + 1] = dice.randbytes(1)
        case 1:
            data[at:at] = dice.choice(_PIECES)
        case 2:
            del data[at : at + length]
        case 3:
            data[at:at] = data[at : at + length] * dice.randint(1, 5)
        case 4:
            data[at : at + length] = dice.choice(_PIECES)
        case _:
            other = dice.choice(valid)
            begins = dice.randrange(len(other) + 1)
            data[at:at] = other[begins : begins + length]
