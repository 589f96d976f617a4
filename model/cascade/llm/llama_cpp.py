"""A GGUF language model through llama.cpp, in process.

llama.cpp's own server runs inside this process: it batches the conversations' slots, keeps each slot's KV cache, and
reuses the longest common prefix of the prompt. We pin a conversation to a slot, render the prompt, and bound how calls
may look with a grammar.

    Thread ── one OS thread ──► server.handle_completions(slot=n) ──callback──► deliver(Piece)
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from vivavoce.model.cascade.llm import Deliver, Prompt, Stopped, chatml
from vivavoce.model.cascade.llm.generation import CONTEXT_FULL, NO_ANSWER, Outcome
from vivavoce.model.cascade.llm.memory import Memory
from vivavoce.model.cascade.llm.tool_calls import CallParser, effective_choice, grammar
from vivavoce.model.cascade.threads import Lateness
from vivavoce.model.errors import DamagedModel, DialogueError, InvalidTool, MissingModel, ToolCallError

log = logging.getLogger(__name__)

SLOT_TOKENS: Final = 4096
"""Context of one conversation. A spoken hour is about 9 000 words, so long calls forget their beginning."""

SPARE_TOKENS: Final = 512  # room for the reply

MAX_CHARS: Final = (SLOT_TOKENS - SPARE_TOKENS) * 3
"""Of a prompt. English has 4.2 characters per token of Qwen's; what has fewer is found too long and tried shorter."""

TRIES: Final = 4
"""Each with half the characters of the one before; the last suits text with a token or two for every character."""

SAMPLING: Final = {"temperature": 0.2, "top_p": 0.9, "repeat_penalty": 1.05, "seed": 1}
"""Close to the likeliest words, which a small model needs to stay correct; the same question gets the same answer."""

STREAMING: Final = {
    "stream": True,
    "stream_options": {"include_usage": True},
    "timings_per_token": True,
    "cache_prompt": True,
}

FIRST_WORD: Final = 0.4
"""Seconds that a conversation waits for its first word on two cores that are not busy, at most, ..."""

READ: Final = 0.02
"""... and for each token that was not in its cache: tools named for the first time are some hundred."""


class LlamaGeneration:
    """A completion under way in its thread."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()


class LlamaThread:
    """One slot. All its work runs, one piece after the other, on one OS thread of its own."""

    def __init__(self, model: LlamaModel, slot: int) -> None:
        self._model = model
        self._slot = slot
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"language-{slot}")
        self._ahead: Future[None] | None = None  # reading ahead
        self._wanted: tuple[Prompt, bool] | None = None  # what to read ahead next
        self._generation = LlamaGeneration()
        self._memory = Memory(MAX_CHARS)
        self._closed = False

    def prefill(self, prompt: Prompt, complete: bool = False) -> None:
        self._wanted = (prompt, complete)
        if self._ahead is None or self._ahead.done():
            self._ahead = self._pool.submit(self._read_ahead)

    def generate(self, prompt: Prompt, max_tokens: int, deliver: Deliver) -> LlamaGeneration:
        self._generation.cancel()
        self._wanted = None
        self._generation = generation = LlamaGeneration()
        self._pool.submit(self._run, prompt, max_tokens, deliver, generation)
        return generation

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._generation.cancel()
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._model.give_back(self._slot)

    def _read_ahead(self) -> None:
        while (wanted := self._wanted) is not None:
            self._wanted = None
            prompt, complete = wanted
            prompt = self._memory.of(prompt)
            text = chatml.render(prompt) if complete else chatml.render_growing(prompt)
            self._model.prefill(text, self._slot)

    def _run(self, prompt: Prompt, max_tokens: int, deliver: Deliver, generation: LlamaGeneration) -> None:
        try:
            deliver(self._answer(prompt, max_tokens, deliver, generation))
        except (InvalidTool, ToolCallError) as error:
            deliver(Stopped("error", error=str(error)))
        except Exception:  # the border of the language model's thread: nobody else would see it, and wait for the words
            log.exception("the language model failed")
            deliver(Stopped("error", error=NO_ANSWER))

    def _answer(self, prompt: Prompt, max_tokens: int, deliver: Deliver, generation: LlamaGeneration) -> Stopped:
        choice = effective_choice(prompt)
        parser = CallParser(prompt.tools, choice)

        def say(text: str) -> None:
            for piece in parser.push(text):
                deliver(piece)

        request = {"n_predict": max_tokens, "grammar": grammar(prompt.tools, choice) or ""}
        stopped, prompt = Stopped("error", error=CONTEXT_FULL), self._memory.of(prompt)
        for halved in range(TRIES):
            text = chatml.render(chatml.trimmed(prompt, MAX_CHARS >> halved))
            stopped = self._model.complete(self._slot, {"prompt": text, **request}, generation, say)
            if stopped.error != CONTEXT_FULL:
                break
        return stopped


class LlamaModel:
    """A loaded GGUF file with `slots` places for conversations, about 50 MB each with Qwen2.5 0.5B.

    `copies`: how often it is loaded, each with `threads` of its own. On a CPU two answers at once cost nearly twice the
    time of one, batched or not, and a second thread for one answer takes a core from the ears. So conversations are
    dealt out to copies: two people at the same time are answered on two cores, and one person has what he had."""

    vision = False
    speculative = True

    def __init__(self, path: Path, slots: int, threads: int, copies: int = 1) -> None:
        """Blocks for a second or two. Raises `MissingModel`, `DamagedModel`."""
        copies = min(copies, slots)
        with ThreadPoolExecutor(copies, thread_name_prefix="loading") as loading:
            places = -(-slots // copies)
            self._servers: list[Any] = list(loading.map(lambda _: _load(path, places, threads), range(copies)))
        self._free = list(range(slots))  # slot n is place n // copies of copy n % copies
        self._taken = [0] * copies
        self._late = Lateness()
        self._lock = threading.Lock()

    def open(self) -> LlamaThread:
        with self._lock:
            if not self._free:
                raise DialogueError("All places of the language model are taken.")
            slot = min(self._free, key=lambda free: self._taken[free % len(self._taken)])
            self._free.remove(slot)
            self._taken[slot % len(self._taken)] += 1
            return LlamaThread(self, slot)

    @property
    def lateness(self) -> float:
        return self._late.worst

    def give_back(self, slot: int) -> None:
        """`LlamaThread.close` calls this."""
        with self._lock:
            self._free.append(slot)
            self._taken[slot % len(self._taken)] -= 1

    def close(self) -> None:
        self._servers.clear()  # the last reference: its destructor joins llama.cpp's threads and frees the weights

    def prefill(self, text: str, slot: int) -> None:
        """Puts `text` into the slot's cache."""
        server, place = self._place(slot)
        request = {"prompt": text, "n_predict": 0, "stream": True, "cache_prompt": True, "id_slot": place}
        server.handle_completions(request, lambda event: None)

    def complete(
        self, slot: int, request: Mapping[str, Any], generation: LlamaGeneration, say: Callable[[str], None]
    ) -> Stopped:
        """Generates in `slot` until the end, a limit in `request`, or `generation.cancel()`; blocks."""
        if generation.cancelled:
            return Stopped("cancelled")
        asked = time.monotonic()

        def begins(read: int) -> None:
            if sum(self._taken) > 1:  # whoever is alone waits for nobody
                self._late.note(time.monotonic() - asked - FIRST_WORD - READ * read)

        outcome = Outcome(generation, say, begins)
        server, place = self._place(slot)
        server.handle_completions({**SAMPLING, **STREAMING, **request, "id_slot": place}, outcome.receive)
        return outcome.stopped

    def _place(self, slot: int) -> tuple[Any, int]:
        """The copy of a slot, and the slot's number there."""
        return self._servers[slot % len(self._servers)], slot // len(self._servers)


def _load(path: Path, slots: int, threads: int) -> Any:
    import xllamacpp  # takes 0.1 s: not before a model is wanted

    if not path.is_file():
        raise MissingModel(f"There is no language model at {path}.")
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = SLOT_TOKENS * slots
    params.n_parallel = slots
    # Reading a prompt is arithmetic (80 tokens/s on two threads, 52 on one), generating waits for memory (19 on one, 16
    # to 19 on two). Flash attention and smaller batches changed nothing.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.cache_ram_mib = 0  # each conversation keeps its own slot; nothing is swapped out
    params.verbosity = -1
    params.ui = params.endpoint_slots = params.endpoint_props = False
    # llama.cpp's server cannot do without a socket, which anybody on this machine could use. So it gets one in a folder
    # of ours, whose name is gone once it listens.
    with tempfile.TemporaryDirectory(prefix="vivavoce-") as folder:
        params.hostnames = [f"{folder}/none.sock"]
        try:
            return xllamacpp.Server(params)
        except RuntimeError as error:
            raise DamagedModel(f"{path} cannot be loaded as a language model (GGUF).") from error
