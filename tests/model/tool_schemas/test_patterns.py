"""model/tool_schemas/patterns.py."""

import re
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.model.errors import InvalidPattern
from vivavoce.model.tool_schemas.patterns import LONGEST, read

KNOWN = [
    # pattern, for the grammar, for Python, exact, shortest text
    (r"^[0-9]{5}$", r"^(?:[0-9]){5,5}$", r"^(?:[0-9]){5}\Z", True, 5),
    (r"^(?!\.)[a-z.]+$", r"^(?:[a-z.]){1,}$", r"^(?!\.)(?:[a-z.])+\Z", False, 1),
    (r"^\p{L}+$", r"^(?:\p{L}){1,}$", r"^(?:[^\W\d_])+\Z", True, 1),
    (r"[\p{L}\d_-]?", r"(?:[\p{L}\d_\-]){0,1}", r"(?:[\w\d_\-])?", True, 0),
    (r"^(?<y>\d{4})-\k<y>$", r"^(?:(?:\d){4,4})\-[\s\S]*$", r"^(?P<y>(?:\d){4})\-(?P=y)\Z", False, 5),
    (r"^([a-z]+)\1$", r"^(?:(?:[a-z]){1,})[\s\S]*$", r"^((?:[a-z])+)\1\Z", False, 1),
    (r"^[a-z]{1,100000}$", r"^(?:[a-z]){1,}$", r"^(?:[a-z]){1,100000}\Z", False, 1),
    (r"([a-z]{0,100}){0,100}", r"(?:(?:(?:[a-z]){0,100})){0,}", r"(?:((?:[a-z]){0,100})){0,100}", False, 0),
    (r"\bfoo\b", "foo", r"\bfoo\b", False, 3),
    (r"^\u0041\x42$", "^AB$", r"^AB\Z", True, 2),
    (r"a|bc", "a|bc", "a|bc", True, 1),
    (r"x{,5}", r"x\{,5\}", r"x\{,5\}", True, 5),
    (r"[^]", r"[\s\S]", r"[\s\S]", True, 1),
    (r"^a|b$", "^a|b$", r"^a|b\Z", True, 1),
    (r"a+?b??", "(?:a){1,}(?:b){0,1}", "(?:a)+?(?:b)??", True, 1),
    ("", "", "", True, 0),
]
REFUSED = {
    "((": "has a '(' that is not closed",
    "a)": "has a ')' that closes nothing",
    "[a": "breaks off",
    "a\\": "breaks off",
    "*a": "repeats nothing at '*'",
    "^*": "repeats nothing at '*'",
    "a{2}{3}": "repeats a repetition at '{3}'",
    "[z-a]": "has a range that runs backwards, 'z-a'",
    "[]": "has a class without characters",
    "a{3,1}": "has a count whose end is before its beginning, '{3,1}'",
    "(ab){1000000000}": "asks for more than 1000 characters",
    "(a{100}){100}": "asks for more than 1000 characters",
    "(?>a)": "has an unknown group '(?>a'",
    "a(?i)": "sets flags within",
    "\\p": "has an unknown property of characters",
    "\\u{110000}": "has a character that does not exist",
    "(" * 30 + ")" * 30: "has more than 20 groups within each other",
    "a" * (LONGEST + 1): f"has {LONGEST + 1} characters, at most {LONGEST} are allowed",
    "^(?=.*a)b$": "can match no text",
    "^(?!a)a$": "can match no text",
    "^(a|b)(?<!a)(?<!b)$": "can match no text",
}
COMMON = [
    r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
    r"^(?=.{8,}$)(?=.*\d)(?=.*[a-z]).*$",
    r"^\+?[1-9]\d{1,14}$",
    r"[\w.-]+@[\w-]+\.\w{2,}",
    r"^(?!\.)(?!.*\.\.)([A-Z0-9_'+\-\.]*)[A-Z0-9_+-]@([A-Z0-9][A-Z0-9\-]*\.)+[A-Z]{2,}$",
    r"^https?:\/\/(www\.)?[-a-zA-Z0-9@:%._\+~#=]{1,256}\.[a-zA-Z0-9()]{1,6}\b([-a-zA-Z0-9()@:%_\+.~#?&//=]*)$",
    r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$",
    r"(?i)^(red|green|blue)$",
]
COSTLY = [
    *("(" * 500, "[" * 1000, "a{1,9}" * 160, "(a|" * 300, "(?=" * 300, "\\" * 999),
    *("^(?=(a+)+b)a{8}$", "(a?){8}" * 100, "^((((a?){2}){2}){2})(?!a)$"),
]


@pytest.mark.parametrize(("pattern", "grammar", "check", "exact", "least"), KNOWN)
def test_a_pattern_is_read(pattern: str, grammar: str, check: str, exact: bool, least: int) -> None:
    known = read(pattern)
    assert (known.grammar, known.check, known.exact, known.least) == (grammar, check, exact, least)


@pytest.mark.parametrize(("pattern", "message"), REFUSED.items())
def test_what_is_no_pattern_or_matches_nothing_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(InvalidPattern, match=re.escape(message)):
        read(pattern)


@pytest.mark.parametrize("pattern", COMMON)
def test_patterns_that_people_write_are_taken(pattern: str) -> None:
    re.compile(read(pattern).check)


PIECES = st.sampled_from(
    [
        *"abz09.|()[]{}^$*+?-\\,:=!<>",
        *(r"\d", r"\w", r"\p{L}", "(?:", "(?=", "(?!", "{2}", "{1,3}", "{2,}", "[a-c]", "[^x]"),
    ]
)


@given(st.lists(PIECES, max_size=25).map("".join))
def test_any_text_is_read_or_refused_and_python_understands_what_was_read(text: str) -> None:
    try:
        known = read(text)
    except InvalidPattern:
        return
    with suppress(re.error):  # look-behinds of several lengths, and references to no group: the checker does not know
        compiled = re.compile(known.check)
        if known.exact and not re.search(r"\\[pP]", text):
            grammar = re.compile(known.grammar.replace(r"\$", "\0").replace("$", r"\Z").replace("\0", r"\$"))
            for sample in ("", "a", "ab", "abz", "a0", "aaa", "...", "-"):
                assert bool(grammar.search(sample)) == bool(compiled.search(sample)), "an exact grammar is the pattern"


@pytest.mark.parametrize("pattern", COSTLY)
def test_no_pattern_takes_long(pattern: str) -> None:
    began = time.process_time()
    with suppress(InvalidPattern):
        read(pattern)
    assert time.process_time() - began < 0.5
