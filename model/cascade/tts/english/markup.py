"""Removes what is only written: markdown, HTML, emoji, punctuation of addresses, quotation marks, brackets.

`RULES` are applied in order by `spoken`. Link texts stay, link targets go; a bare address is read as its host; a line
that ends without punctuation gets a pause. Markup of which a clause has one half only is removed too. Pure.
"""

from __future__ import annotations

import re
from typing import Final

from vivavoce.model.cascade.tts.aligned import Rule

_EMOJI: Final = (
    "[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u23e9-\u23fa\u231a\u231b\u2190-\u2193\u21a9\u21aa"
    "\ufe0e\ufe0f\u200d\u20e3\U000e0000-\U000e007f]+"
)


def _address(match: re.Match[str]) -> str:
    """The host of an address, and its first folder where there is one: "github dot com slash viva"."""
    host, _, path = match["where"].partition("/")
    folder = re.split(r"[/?#]", path)[0]
    words = _dotted(host.removeprefix("www.").partition(":")[0])
    return f"{words} slash {_dotted(folder)}" if re.fullmatch(r"[A-Za-z][\w.-]{0,19}", folder) else words


def _dotted(text: str) -> str:
    return re.sub(r"[-_+]+", " ", text.replace(".", " dot ")).strip()


def _file_name(match: re.Match[str]) -> str:
    return f"{match[1].replace('_', ' ')} dot {match[2]}"


_MARKS: Final = r"[1-9]\d{0,2}(?:\s?[,;–-]\s?[1-9]\d{0,2})*"
_NAMED: Final = (
    r"(?:arrays?|lists?|vectors?|matrix|tuples?|interval|range|values?|set|numbers?|is|are|=|see|in|and|or|of|from|by|to|"
    r"with|than|sources?|references?|refs?\.?|citations?|notes?|cf\.)"
)
"""Words and signs before brackets that are read: a list, or a source that is named in the sentence."""

_SUBSCRIPTS: Final = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")


def _reference(match: re.Match[str]) -> str | None:
    """A mark that leads to a source: "blue [1].", "blue.[2][3]"."""
    before = match.string[: match.start()]
    return None if re.search(rf"(?:^|\W){_NAMED}\s*$", before, re.I) else ""


RULES: Final[tuple[Rule, ...]] = (
    (re.compile(rf"(?:(?<=[A-Za-z][A-Za-z])|(?<=[\d.,;:!?)\]\"”’%]))(?:\[{_MARKS}\])+(?!\()"), _reference),
    (re.compile(rf"[ \t]+(?:\[{_MARKS}\][ \t]*)+(?=[.,;:!?)]|\s*$)", re.M), _reference),
    (re.compile(r"[ \t]*(?:\[(?:citation needed|sic|(?:note|nb) \d+)\]|【[^】\n]{0,60}】)", re.I), ""),
    (re.compile(r"(?<=[a-z]{4})[¹²³⁴⁵⁶⁷⁸⁹⁰]+(?!\w)|(?<=[.,!?])[¹²³⁴⁵⁶⁷⁸⁹⁰]+(?!\w)"), ""),
    (re.compile(r"[₀₁₂₃₄₅₆₇₈₉]+"), lambda m: m[0].translate(_SUBSCRIPTS)),
    (re.compile(r"```[ \t]*\w*[ \t]*\n?|~~~+"), ""),
    (re.compile(r"<br\s*/?>", re.I), "\n"),
    (re.compile(r"</?[A-Za-z][^<>\n]{0,200}>|<!--.*?-->", re.S), ""),
    (re.compile(r"&nbsp;|[\u00a0\u2000-\u200a\u202f]"), " "),
    (re.compile(r"&amp;"), "&"),
    (re.compile(r"&quot;|&#39;|[\u00ad\u200b\u200c\u2060\ufeff]"), ""),
    (re.compile(r"^[ \t]*(?:[-*_][ \t]*){3,}$|^[ \t]*\|?[ \t]*:?-{3,}[-:| \t]*$", re.M), ""),
    (re.compile(r"^[ \t]*(?:#{1,6}(?=\s|$)|>+[ \t]?)[ \t]*|[ \t]+#+[ \t]*$", re.M), ""),
    (re.compile(r"^[ \t]*[-*+•◦‣▪·][ \t]+(?:\[[ xX]\][ \t]*)?", re.M), ""),
    (re.compile(r"^[ \t]*(\d{1,2})[.)][ \t]+(?=\S)", re.M), lambda m: f"{m[1]}, "),
    (re.compile(r"^[ \t]*\||\|[ \t]*$", re.M), ""),
    (re.compile(r"\]\([^()\s]*\)?"), ""),
    (re.compile(r"(?<=[\w*`)])\((?:https?://|www\.|mailto:|/|#)[^\s()]*\)?"), ""),
    (re.compile(r"[\w.+-]*(?<=[\w+-])@(?=[\w-]+\.[a-z])"), lambda m: f"{_dotted(m[0][:-1])} at "),
    (re.compile(r"(?:https?://|www\.)(?P<where>[^\s<>\"'`\])]*[^\s<>\"'`\]).,;:!?*_])", re.I), _address),
    (
        re.compile(
            r"(?<![\w.])(?P<where>(?:[a-z0-9-]+\.)+(?:com|org|net|io|ai|dev|edu|gov|de|uk|eu)(?:/[\w./-]*\w)?)\b"
        ),
        _address,
    ),
    (re.compile(r"\b([a-z]\w*)\.(py|js|ts|md|txt|csv|toml|yaml|html|exe|zip|png)\b"), _file_name),
    (re.compile(r"!?\[(?=[^\]\n]*(?:\]|$))"), ""),
    (re.compile(r"\]"), ""),
    (re.compile(r"[ \t]*\|[ \t]*"), ", "),
    (re.compile(r"\*\*+|~~|`+|(?<!\w)_+(?=\w)|(?<=[\w.,!?])_+(?!\w)"), ""),
    (re.compile(r"(?<![\w)*])(?<!\d )\*(?=[^\s*])|(?<=[^\s*])\*(?![\w(*]| \d)"), ""),
    (re.compile(r"(?<!\w)[:;]-?[)(DP](?!\w)"), ""),
    (re.compile(r"\u2192|->|=>"), ", "),
    (re.compile(_EMOJI), ""),
    (re.compile(r"[\u2018\u2019\u02bc]"), "'"),
    (re.compile(r"(?<=\d)\u2033|[\"\u201c\u201d\u201e\u00ab\u00bb]"), ""),
    (re.compile(r"(?<!\w)'(?=\w)(?!\d0s|tis\b|twas\b|em\b|cause\b)|(?<=[\w.,!?])'(?!\w)(?<!s')"), ""),
    (re.compile(r"\s*\u2014\s*|\s+[\u2013-]{1,2}\s+(?!\d)|(?<=[a-z])--(?=[a-z])|\s*\u2026(?=\s+[a-z])"), ", "),
    (re.compile(r"\u2026|\.{2,}"), "."),
    (re.compile(r"(?<=[.!?:;,])[ \t]*(?:\r?\n\s*)+"), " "),
    (re.compile(r"[ \t]*(?:\r?\n[ \t]*){2,}(?=\S)"), ". "),
    (re.compile(r"[ \t]*\r?\n[ \t]*(?=\S)"), ", "),
)
