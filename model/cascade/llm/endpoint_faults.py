"""Says what is wrong with an endpoint: to users in our words, to the operator in the endpoint's own.

    HTTP 401, "Incorrect API key provided: sk-ab***yz"  ──►  "… does not accept the server's key."   for users
                                                        └──► "Incorrect API key provided: …"         for the log

An endpoint's text may cite the prompt, keys and names of accounts, so it never reaches a client; in the log it stands
without what it cites of the prompt or of a key. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from vivavoce.model.cascade.llm import CONTEXT_FULL

UNREACHABLE: Final = "The language model cannot be reached."
SLOW: Final = "The language model takes too long to answer."
BROKEN: Final = "The connection to the language model broke."
BROKE_OFF: Final = "The language model broke off in the middle of its answer."
FAILED: Final = "The language model's endpoint failed while it answered."
WITHHELD: Final = "The language model's endpoint withheld its answer."
UNREADABLE: Final = "The language model's endpoint sent an answer that cannot be understood."
NO_KEY: Final = "The language model's endpoint does not accept the server's key."
BY_STATUS: Final = {
    401: NO_KEY,
    403: NO_KEY,
    404: "The language model's endpoint does not have this model.",
    408: SLOW,
    413: CONTEXT_FULL,
    429: "The language model's endpoint takes no more requests at the moment.",
    504: SLOW,
}

SHINGLE: Final = 12
"""Characters in a row that are taken for a citation."""

LONGEST_REASON: Final = 300
"""Characters of an endpoint's text in the log."""

_TOO_LONG: Final = re.compile(
    r"context[_ ](?:length|size|window)|maximum context|prompt is too long|input is too long|exceed_context",
    re.IGNORECASE,
)
_SECRETS: Final = re.compile(r"\b(?:sk|pk|key|gsk|xai|hf|AIza)[-_]?[\w*.-]{6,}|Bearer\s+\S+", re.IGNORECASE)


def too_long(text: str) -> bool:
    """Whether an endpoint's text says that the conversation does not fit into the model."""
    return bool(_TOO_LONG.search(text))


def by_status(status: int) -> str:
    """What users are told of an HTTP status."""
    other = "has failed" if status >= 500 else "refused the request"
    return BY_STATUS.get(status) or f"The language model's endpoint {other} (HTTP {status})."


def scrubbed(reason: str, prompt: list[str], key: str) -> str:
    """The endpoint's words for the log, without what they cite of the prompt or of a key."""
    reason = " ".join("; ".join(text for _, text in leaves(reason)).split())[:2000]
    if key:
        reason = reason.replace(key, "…")
    reason = _SECRETS.sub("…", reason)
    known: set[str] = set()
    for text in prompt:
        text = " ".join(text.split())
        known |= {text[at : at + SHINGLE] for at in range(len(text) - SHINGLE + 1)}
        if 4 <= len(text) < SHINGLE:
            reason = reason.replace(text, "…")
    cited = [False] * len(reason)
    for at in range(len(reason) - SHINGLE + 1):
        if reason[at : at + SHINGLE] in known:
            cited[at : at + SHINGLE] = [True] * SHINGLE
    kept = "".join("…" if hidden else letter for letter, hidden in zip(reason, cited, strict=True))
    return re.sub("…+", "…", kept)[:LONGEST_REASON]


def leaves(value: Any, key: str = "", depth: int = 10) -> Iterator[tuple[str, str]]:
    """The strings of a JSON value, each with the key it stands under; JSON within a string is opened. What the endpoint
    cites of the request is passed over."""
    if isinstance(value, str):
        try:
            inner = json.loads(value) if value.lstrip()[:1] in ("{", "[") and depth else None
        except (ValueError, RecursionError):
            inner = None
        if inner is None:
            yield key, value
        else:
            yield from leaves(inner, key, depth - 1)
    elif isinstance(value, dict) and depth:
        for name, inner in value.items():
            if name not in ("input", "body", "ctx", "url"):
                yield from leaves(inner, name, depth - 1)
    elif isinstance(value, list) and depth:
        if key == "loc":  # ["body", "stream_options"]
            yield key, ".".join(str(step) for step in value if step != "body")
            return
        for inner in value:
            yield from leaves(inner, key, depth - 1)
