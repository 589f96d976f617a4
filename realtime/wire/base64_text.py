"""Reads base64 as browsers and libraries write it.

RFC 4648 has two alphabets (sections 4 and 5), and leaves padding and line breaks to each application: MIME breaks lines
at 76 characters, JSON Web Tokens omit the padding. All of these are read. Pieces that were encoded one by one and then
joined are refused, and data URIs.
"""

from __future__ import annotations

import binascii
import string
from typing import Final

_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_BREAKS: Final = b" \t\r\n"
_ALPHABET: Final = (string.ascii_letters + string.digits + "+/").encode()


def read_base64(text: str) -> bytes:
    """Decodes `text`. Raises `ValueError`; its message names the fault, and repeats one character at most."""
    if text[:5].lower() == "data:":
        raise ValueError("it is a data URI; send what follows the comma")
    if not text.isascii():
        raise ValueError("it holds characters outside ASCII")
    body = text.encode().translate(_STANDARD, _BREAKS).rstrip(b"=")
    if foreign := body.translate(None, _ALPHABET):
        if foreign[:1] == b"=":
            raise ValueError("there is padding within it; encode the bytes as a whole, not piece by piece")
        raise ValueError(f"'{chr(foreign[0])}' is no character of base64")
    if len(body) % 4 == 1:
        raise ValueError("its last character is missing")
    return binascii.a2b_base64(body + b"=" * (-len(body) % 4))
