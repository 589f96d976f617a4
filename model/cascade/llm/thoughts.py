"""Takes the thoughts of a reasoning model out of its text: they are neither spoken nor shown.

    "<think>Which colour?</think>\\n\\nIt is blue."   ──push, any pieces──►  "It is blue."

           ┌────────── "<think>", "[THINK]", … ─────────►┐
        ANSWER ◄───── "</think>", "[/THINK]", … ──── THOUGHT
           │                                             ▲
           └─ "<|channel|>" ─► HEADER ─ "<|message|>" ──►┘  (back to ANSWER for the channel "final")

Some chat templates open the thoughts themselves, so that only their end arrives: then all text before it was thoughts,
and has to be withheld until the end is seen, or is not expected any more (`Opened`). A mark may arrive torn; a "<" that
begins no mark is text. Pure.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import cache
from typing import Final

THOUGHT_TOKENS: Final = 2000
"""Room for the thoughts of one answer, where a limit of tokens counts them."""

_TAGS: Final = ("think", "thinking", "thought", "thoughts", "reasoning", "reflection", "scratchpad", "seed:think")
ENDS: Final = {
    **{f"<{name}>": f"</{name}>" for name in _TAGS},
    "[think]": "[/think]",
    "◁think▷": "◁/think▷",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|start_thinking|>": "<|end_thinking|>",
    "<|channel>thought": "<channel|>",
}
"""The end of thoughts, by their beginning, in lower case."""

CHANNEL, MESSAGE, START = "<|channel|>", "<|message|>", "<|start|>"
CHANNEL_ENDS: Final = frozenset((CHANNEL, START, "<|end|>", "<|return|>", "<|call|>"))
"""gpt-oss: `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…<|return|>`."""

BARE, BARE_END = "analysis", "assistantfinal"
"""The same, from a server that drops special tokens: `analysisThe user asks …assistantfinalIt is blue.`"""

SILENT: Final = frozenset(
    (
        *(CHANNEL_ENDS - {CHANNEL, START}),
        *("<|message|>", "<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|end_of_text|>"),
        *("<|begin_of_solution|>", "<|end_of_solution|>", "<|start_response|>", "<|end_response|>"),
    )
)
"""Special tokens that say nothing."""

WRAPPERS: Final = frozenset(f"<{end}{name}>" for name in ("answer", "response", "final") for end in ("", "/"))
"""Tags around an answer that follows thoughts."""

IN_ANSWER: Final = frozenset((*ENDS, *ENDS.values(), CHANNEL, START, *SILENT))
IN_HEADER: Final = CHANNEL_ENDS | {MESSAGE}

MUSINGS: Final = tuple(
    f"{opening}{words}"
    for opening in ("", "okay, ", "okay, so ", "ok, ", "alright, ", "hmm, ", "so, ", "so ", "first, ")
    for words in ("the user ", "user asks", "user wants", "we need to ", "we are asked", "i'm being asked")
)
"""How thoughts begin, and answers do not, in lower case."""


class Opened(Enum):
    """Whether the chat template opens thoughts, so that only their end arrives."""

    NO = auto()
    UNKNOWN = auto()
    YES = auto()


class State(Enum):
    """Of the text that comes next."""

    ANSWER = auto()
    THOUGHT = auto()
    HEADER = auto()  # the name of a channel


class Thoughts:
    """The text of one answer. `seen`: it has thoughts; `unopened`: only their end arrived."""

    def __init__(self, opened: Opened = Opened.NO) -> None:
        self.seen = self.unopened = False
        self._opened = opened
        self._text = ""  # not sorted yet
        self._state, self._marks = State.ANSWER, IN_ANSWER
        self._withheld = ""  # the answer, or thoughts that were not opened
        self._spoke = False

    @property
    def withholds(self) -> bool:
        """Text is withheld that may be the answer."""
        return bool(self._withheld.strip())

    @property
    def thinking(self) -> bool:
        """Thoughts are under way, and nothing was given out before them."""
        return not self._spoke and self._state is not State.ANSWER

    def push(self, text: str) -> str:
        """Takes the answer's next piece; returns the text that is certainly for the user."""
        self._text += text
        return self._passed(self._sorted(final=False))

    def release(self) -> str:
        """An end of thoughts has been waited for long enough: returns the text withheld, unless it reads like
        thoughts."""
        return "" if self._opened is Opened.YES or self._muses else self._let_go()

    def flush(self, cut: bool = False) -> str:
        """The answer is complete, or was `cut`: returns the rest of it. What reads like thoughts, and was cut before
        their end, is thoughts."""
        shown = self._passed(self._sorted(final=True))
        if cut and self._withheld and self._muses:
            self.seen, self._withheld = True, ""
        return shown + self._let_go()

    @property
    def _muses(self) -> bool:
        """The text withheld reads like thoughts."""
        return self._withheld.lstrip().lower().startswith(MUSINGS)

    # --- withholding -------------------------------------------------------------------------------------------

    def _passed(self, text: str) -> str:
        """The text that need not be withheld any more, once `text` of the answer has come."""
        self._withheld += text
        if self._spoke or self.seen:
            return self._let_go()
        if self._opened is not Opened.NO:
            return ""
        start = self._withheld.lstrip().lower()
        may_muse = bool(start) and any(musing.startswith(start) or start.startswith(musing) for musing in MUSINGS)
        return "" if may_muse else self._let_go()

    def _let_go(self) -> str:
        text, self._withheld = self._withheld, ""
        if not self._spoke:
            text = text.lstrip()  # between thoughts and answer
            self._spoke = bool(text)
        return text

    # --- sorting -----------------------------------------------------------------------------------------------

    def _sorted(self, final: bool) -> str:
        """The text in hand without thoughts and marks; a mark that may be torn stays in hand."""
        shown = ""
        self._look_for_bare_channel()
        while (found := _pattern(self._marks).search(self._text)) is not None:
            before, self._text = self._text[: found.start()], self._text[found.end() :]
            if self._state is State.ANSWER:
                shown += before
            if self._enters_answer_anew(found[0].lower(), before):
                shown = self._withheld = ""
        if self._state is State.HEADER or (not final and self._begins and BARE.startswith(self._text.strip() or "-")):
            return shown
        end = len(self._text) - (0 if final else _torn(self._text, self._marks))
        rest, self._text = self._text[:end], self._text[end:]
        return shown + rest if self._state is State.ANSWER else shown

    def _enters_answer_anew(self, mark: str, before: str) -> bool:
        """Follows a mark, with the text before it. Returns whether all text so far was thoughts."""
        drop = False
        if mark in (CHANNEL, START):
            self._enter(State.HEADER)
        elif self._state is State.HEADER:
            spoken = mark != MESSAGE or before.strip().lower().startswith(("final", "assistant"))
            self._enter(*((State.ANSWER,) if spoken else (State.THOUGHT, CHANNEL_ENDS)))
        elif self._state is State.THOUGHT:
            self._enter(State.ANSWER)
        elif mark in ENDS:
            self._enter(State.THOUGHT, frozenset((ENDS[mark],)))
        elif mark not in SILENT | WRAPPERS:  # an end without a beginning
            self.unopened = True
            drop = not self._spoke
            self._enter(State.ANSWER)
        return drop

    def _enter(self, state: State, ends: frozenset[str] = frozenset()) -> None:
        self.seen = True
        self._state = state
        self._marks = {State.ANSWER: IN_ANSWER | WRAPPERS, State.THOUGHT: ends, State.HEADER: IN_HEADER}[state]

    def _look_for_bare_channel(self) -> None:
        start = self._text.lstrip()
        if self._begins and start.startswith(BARE) and start[len(BARE) :][:1].isupper():
            self._enter(State.THOUGHT, frozenset((BARE_END,)))

    @property
    def _begins(self) -> bool:
        return not (self._spoke or self.seen or self._withheld)


@cache
def _pattern(marks: frozenset[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(marks, key=len, reverse=True))), re.IGNORECASE)


@cache
def _longest(marks: frozenset[str]) -> int:
    return max(map(len, marks))


def _torn(text: str, marks: frozenset[str]) -> int:
    """Characters at the end of `text` that may be the beginning of a mark."""
    tail = text[max(len(text) - _longest(marks) + 1, 0) :].lower()
    return next((len(tail) - at for at in range(len(tail)) if any(mark.startswith(tail[at:]) for mark in marks)), 0)
