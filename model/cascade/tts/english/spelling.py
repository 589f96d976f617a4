"""Spells out abbreviations, acronyms, Roman numerals and signs. Pure.

ABBREVIATIONS  before the numbers are read ("No. 5", "St.", "e.g.")
RULES          after them: acronyms letter by letter, Roman numerals where a number is meant, signs between words
"""

from __future__ import annotations

import re
from typing import Final

from vivavoce.model.cascade.tts.aligned import Rule, word_list
from vivavoce.model.cascade.tts.english.numerals import cardinal, ordinal

TITLES: Final = {
    "Dr": "Doctor",
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Miss",
    "Prof": "Professor",
    "Gen": "General",
    "Sen": "Senator",
    "Gov": "Governor",
    "Capt": "Captain",
    "Sgt": "Sergeant",
    "Lt": "Lieutenant",
    "Col": "Colonel",
    "Rev": "Reverend",
    "Mt": "Mount",
    "Ft": "Fort",
    "vs": "versus",
    "approx": "approximately",
    "Fig": "Figure",
    "fig": "figure",
    "Vol": "Volume",
    "vol": "volume",
    "Ch": "Chapter",
    "pp": "pages",
    "e.g": "for example",
    "i.e": "that is",
    "cf": "compare",
    "avg": "average",
    "ca": "circa",
}
"""Abbreviations (without the last dot) that never end a sentence."""

CLOSERS: Final = {
    "etc": "et cetera",
    "Jr": "Junior",
    "Sr": "Senior",
    "Inc": "Incorporated",
    "Ltd": "Limited",
    "Corp": "Corporation",
    "Co": "Company",
    "Ave": "Avenue",
    "Blvd": "Boulevard",
    "Rd": "Road",
    "dept": "department",
    "Dept": "Department",
    "govt": "government",
    "max": "maximum",
    "min": "minimum",
    "est": "established",
    "a.k.a": "also known as",
    "et al": "and others",
    "Ph.D": "PHD",
    "M.D": "MD",
    "B.A": "BA",
    "M.A": "MA",
}
"""Abbreviations that may end a sentence: there the dot is both."""

_WORDS: Final = frozenset(
    word_list("""
    NASA NATO UNESCO UNICEF OPEC FIFA UEFA LASER RADAR SONAR SCUBA RAM ROM RAID GIF PIN SIM ZIP JSON CUDA COVID
    AIDS IKEA LEGO ASCII WASM YAML TOML CAPTCHA NAFTA SWAT BIOS LAN WAN GUI SAT AWOL FAQ POTUS SCOTUS NASDAQ
    DARPA PEP VAD CRUD REST SOAP SQUID GAN LLAMA MIDI DOS SAP DEL CAD
    """)
)
_SPELLED_LONG: Final = frozenset(
    word_list("""
    HTTPS XHTML MLOPS HTML CPUS
    """)
)
_PLAIN: Final = frozenset(
    word_list("""
    NOT AND OR YES NO STOP ALL ANY THE THIS THAT NEVER ALWAYS MUST DO IS ARE VERY BUT YOU CAN ONLY ONE TWO WHY
    HOW WHAT WHEN WHERE NOW HERE GO WILL WITH FROM YOUR MY ME WE OUR BE TO OF IN ON AT FOR IF SO AN AS BY UP HE
    SHE NEW OLD BIG FREE HELP LOVE LOOK WOW HEY HI DONT CANT EACH BOTH MORE MOST SAME READ NOTE TIP WAIT TRUE
    LESS OUT OFF OVER THEN THEY THEM HAVE HAS HAD DOES DID WAS WERE GOOD BAD BEST REAL REALLY SOME JUST LIKE
    WORK CALL OPEN SAVE COOL FUN OH AH HA UH UM AHA HMM MAY BEEN
    """)
)
_NUMBERED: Final = (
    "Chapter|Part|Section|Act|Scene|Volume|Book|Type|Phase|Figure|Appendix|Article|Title|Level|Stage|Class|Grade|Rocky|"
    "Super Bowl|Final Fantasy|World War|Star Wars|Apollo|Saturn|Unit|Schedule|Mark"
)
_REGNAL: Final = (
    "Henry|Louis|Charles|George|Edward|William|Richard|James|John|Paul|Elizabeth|Philip|Catherine|Benedict|Pius|Napoleon|Ramses|"
    "Ramesses|Frederick|Nicholas|Alexander|Gregory|Leo|Peter|Francis|Innocent|Clement|Urban|Friedrich|Wilhelm|Felipe|Juan|Mary"
)
_ROMAN: Final = {"I": 1, "V": 5, "X": 10, "L": 50}
_SIGNS: Final = {
    "+": "plus",
    "=": "equals",
    "≈": "is about",
    "≠": "is not equal to",
    "≤": "is at most",
    "≥": "is at least",
    "±": "plus or minus",
    "√": "the square root of",
    "∞": "infinity",
    "π": "pi",
    "%": "percent",
    "&": "and",
    "@": "at",
    "§": "section",
    "°": "degrees",
    "€": "euros",
    "£": "pounds",
    "$": "dollars",
    "∑": "the sum of",
    "∈": "in",
}


def roman(text: str) -> int | None:
    """ "XIV" -> 14; None unless it is written as the Romans would, below 40."""
    if not re.fullmatch(r"X{0,3}(?:IX|IV|V?I{0,3})", text) or not text:
        return None
    values = [_ROMAN[letter] for letter in text]
    return sum(-now if now < after else now for now, after in zip(values, [*values[1:], 0], strict=True))


def _keep_stop(match: re.Match[str], words: str) -> str:
    """The abbreviation's dot stays when a sentence ends with it."""
    rest = match.string[match.end() :]
    return f"{words}." if re.match(r"\s*$|\s+[A-Z]", rest) else words


def _closer(match: re.Match[str]) -> str:
    return _keep_stop(match, CLOSERS[match[1]])


def _company(match: re.Match[str]) -> str:
    """ "Apple Inc. said": the company's dot ends a sentence only at the end of the text."""
    return CLOSERS[match[1]] + ("." if match.end() == len(match.string.rstrip()) else "")


def _initials(match: re.Match[str]) -> str:
    return _keep_stop(match, match[0].replace(".", ""))


def _numbered(match: re.Match[str]) -> str | None:
    value = roman(match[2])
    if value is None or (
        match[2] == "I" and match[1] != "World War" and re.match(r" [a-z]", match.string[match.end() :])
    ):
        return None
    return f"{match[1]} {cardinal(value)}"


def _regnal(match: re.Match[str]) -> str | None:
    value = roman(match[2])
    return None if value in (None, 1) else f"{match[1]} the {ordinal(value or 0)}"


def _acronym(match: re.Match[str]) -> str | None:
    letters, ending = match[1], match[2] or ""
    if letters in _WORDS:
        return letters.capitalize() + ending
    if letters in _PLAIN and not ending:
        return letters.lower()
    long_word = len(letters) > 4 and re.search(r"[AEIOU]", letters) and letters not in _SPELLED_LONG
    if long_word or (len(letters) > 3 and _shouting(match)):
        return letters.capitalize() + ending
    return " ".join(letters) + ("" if not ending else "'s")


def _shouting(match: re.Match[str]) -> bool:
    """Whole sentences in capitals are loud, not abbreviated."""
    words = re.findall(r"[A-Za-z]{2,}", match.string)
    return len(words) > 2 and all(word.isupper() for word in words)


ABBREVIATIONS: Final[tuple[Rule, ...]] = (
    (re.compile(r"\b(e\.g|i\.e)\.,?"), lambda m: f"{TITLES[m[1]]},"),
    (re.compile(r"\b(eg|ie)\.?,(?= )"), lambda m: {"eg": "for example,", "ie": "that is,"}[m[1]]),
    (re.compile(r"\bw/o\b"), "without"),
    (re.compile(r"\bw/(?=\s?\w)\s?"), "with "),
    (re.compile(r"\bp\. (?=\d)"), "page "),
    (re.compile(r"(?<=[a-z] )St\.(?=\s*(?:$|[a-z,;.!?]))"), "Street"),
    (re.compile(r"\bSt\. (?=[A-Z])"), "Saint "),
    (re.compile(rf"\b({'|'.join(map(re.escape, TITLES))})\.(?=\s|,|$)"), lambda m: TITLES[m[1]]),
    (re.compile(r"\bvs\b"), "versus"),
    (re.compile(r"\b(Inc|Ltd|Corp|Co)\.(?!\w)"), _company),
    (re.compile(rf"\b({'|'.join(map(re.escape, CLOSERS))})\.(?!\w)"), _closer),
    (re.compile(r"\b(?:[A-Z]\.){2,}(?!\w)"), _initials),
    (re.compile(r"\b([A-Z])\.(?= [A-Z](?:[a-z]|\.))"), lambda m: m[1]),
)

RULES: Final[tuple[Rule, ...]] = (
    (re.compile(rf"\b({_NUMBERED}) ([IVX]+)\b"), _numbered),
    (re.compile(rf"\b((?:{_REGNAL})) ([IVX]+)\b"), _regnal),
    (re.compile(r"\b([A-Z]{2,5})('?s)?\b"), _acronym),
    (re.compile(r"#(?=[A-Za-z])"), "hashtag "),
    (re.compile(r"(?<=\S)&(?=\S)"), " and "),
    (re.compile(r"~(?=\s?[a-z])"), "about "),
    (re.compile(r"\bC\+\+"), "C plus plus"),
    (re.compile(r"\bC#"), "C sharp"),
    (re.compile(r"<=|≤"), " is at most "),
    (re.compile(r">=|≥"), " is at least "),
    (re.compile(r"!=|≠"), " is not equal to "),
    (re.compile(r"={2,3}"), " equals "),
    (re.compile(r"(?<=\w) < (?=\w)"), " is less than "),
    (re.compile(r"(?<=\w) > (?=\w)"), " is greater than "),
    (re.compile("[" + re.escape("".join(_SIGNS)) + "]"), lambda m: f" {_SIGNS[m[0]]} "),
    (re.compile(r"\band/or\b"), "and or"),
    (re.compile(r"(?<=[a-z])/(?=[a-z])"), " or "),
)
