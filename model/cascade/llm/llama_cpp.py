"""Runs a GGUF model with llama.cpp, in process.

    LlamaSlot ── OS thread n ──► server.handle_completions(slot=n) ──callback──► Completion ──► deliver(Piece)
                                                              ▲ after each piece of the prompt, and each token
                                                              └── True: given up; what was read stays in the cache

llama.cpp's own server runs inside this process: it batches the conversations' slots, keeps each slot's KV cache, and
reuses the longest common prefix of the prompt. Here a conversation is pinned to a slot, its prompt is rendered, and a
grammar constrains its tool calls. The threads belong to the slots: a conversation that is closed gives its slot back at
once, and the next one's work waits there until the rest of the old has ended.
"""

from __future__ import annotations

import logging
import re
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Final

from vivavoce.model.cascade.llm import CONTEXT_FULL, SIGN_OF_LIFE, Deliver, Prompt, Stopped, chatml
from vivavoce.model.cascade.llm.schema_checker import SchemaChecker
from vivavoce.model.cascade.llm.thoughts import THOUGHT_TOKENS, Thoughts
from vivavoce.model.cascade.llm.tool_calls import (
    CallGate,
    CheckedCall,
    Grammars,
    ToolCallParser,
    effective_choice,
    second_try,
)
from vivavoce.model.cascade.threads import Lateness
from vivavoce.model.dialogue import ToolCall, Usage, Working
from vivavoce.model.errors import DamagedModel, DialogueError, InvalidTool, MissingModel, ToolCallError

log = logging.getLogger(__name__)


NO_ANSWER: Final = "The language model ended without an answer."

SLOT_TOKENS: Final = 6144
"""Context of one conversation. A spoken hour is about 9 000 words, so long calls lose their beginning. Twenty tools and
8 000 characters of instructions are 4 900 tokens."""

PIECE_TOKENS: Final = 64
"""Of a prompt, read at once: 0.8 s on one thread, in which nothing else happens in the same copy of the model. 64 cost
6 % more than 512 at a time, 32 cost 23 %."""

SPARE_TOKENS: Final = 512  # room for the reply

MAX_CHARS: Final = (SLOT_TOKENS - SPARE_TOKENS) * 3
"""Of a prompt. English has 4.2 characters per token of Qwen; text with fewer may be refused, and is tried shorter."""

TRIES: Final = 4
"""Each with half the characters of the one before; the last fits text of one or two tokens per character."""

SAMPLING: Final = {"temperature": 0.2, "top_p": 0.9, "repeat_penalty": 1.05, "seed": 1}
"""Close to the likeliest tokens, which a small model needs to stay correct; the same prompt gets the same reply."""

STREAMING: Final = {
    "stream": True,
    "stream_options": {"include_usage": True},
    "timings_per_token": True,
    "cache_prompt": True,
}

PROGRESS: Final = {"return_progress": True}
"""An event after each piece of the prompt, where it can be given up."""

FIRST_TOKEN: Final = 0.4
"""Seconds until the first token on two cores that are not busy, at most, ..."""

READ: Final = 0.02
"""... and seconds for each prompt token that was not in the cache: new tools are some hundred."""


class LlamaGeneration:
    """A completion under way on the slot's thread."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()


class LlamaSlot:
    """Slot `number` of `model`. All its work runs in order on the slot's thread, in a copy of the caller's context: its
    log lines carry the id of the call. Implements `LlmSlot`."""

    def __init__(self, model: LlamaModel, number: int, thread: ThreadPoolExecutor) -> None:
        self._model = model
        self.number = number
        self._thread = thread
        self._prefill: Future[None] | None = None
        self._next_prefill: tuple[Prompt, bool] | None = None
        self._generation = LlamaGeneration()
        self._window = chatml.ContextWindow(MAX_CHARS)
        self._closed = False

    def prefill(self, prompt: Prompt, complete: bool = False) -> None:
        self._next_prefill = (prompt, complete)
        if self._prefill is None or self._prefill.done():
            self._prefill = self._thread.submit(copy_context().run, self._run_prefills)

    def generate(self, prompt: Prompt, max_tokens: int, deliver: Deliver) -> LlamaGeneration:
        self._generation.cancel()
        self._next_prefill = None
        self._generation = generation = LlamaGeneration()
        self._thread.submit(copy_context().run, self._run_generation, prompt, max_tokens, deliver, generation)
        return generation

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._next_prefill = None
            self._generation.cancel()
            self._model.release(self)

    def _run_prefills(self) -> None:
        while (newest := self._next_prefill) is not None:
            self._next_prefill = None
            prompt, complete = newest
            prompt = self._window.fit(prompt)
            text = chatml.render(prompt) if complete else chatml.render_growing(prompt)
            waiting = self._generation  # another one comes as soon as a reply is requested

            def given_up(pieces: int, waiting: LlamaGeneration = waiting) -> bool:
                newer = self._next_prefill is not None or self._generation is not waiting
                return self._closed or (newer and pieces > 0)  # else one that is replaced soon would never get on

            self._model.prefill(text, self.number, given_up)

    def _run_generation(self, prompt: Prompt, max_tokens: int, deliver: Deliver, generation: LlamaGeneration) -> None:
        try:
            deliver(self._answer(prompt, max_tokens, deliver, generation))
        except (InvalidTool, ToolCallError) as error:
            deliver(Stopped("error", error=str(error), again=False))
        except Exception:  # the border of the LLM's thread: the reply would wait for tokens forever
            log.exception("LLM failed")
            deliver(Stopped("error", error=NO_ANSWER))

    def _answer(self, prompt: Prompt, max_tokens: int, deliver: Deliver, generation: LlamaGeneration) -> Stopped:
        """Answers; calls are delivered whole, at the end. One that does not fit is tried once more."""
        stopped, calls = self._complete(prompt, max_tokens, deliver, generation)
        for checked in calls:
            fitting: CheckedCall | None = checked
            if checked.problem:
                stopped, again = self._complete(second_try(prompt, checked), max_tokens, deliver, generation)
                if stopped.reason not in ("stop", "length"):
                    return stopped
                fitting = next((one for one in again if one.call.final and not one.problem), None)
            if fitting is None:
                return Stopped("error", stopped.usage, checked.error, again=False)
            deliver(fitting.call)
        return stopped

    def _complete(
        self, prompt: Prompt, max_tokens: int, deliver: Deliver, generation: LlamaGeneration
    ) -> tuple[Stopped, list[CheckedCall]]:
        """One completion; delivers its words, and returns its calls."""
        choice = effective_choice(prompt)
        parser, thoughts, made = ToolCallParser(prompt.tools, choice), Thoughts(), ""
        gate = CallGate(prompt.tools, self._model.checker)

        def say(text: str) -> None:
            for piece in parser.push(text) if text else ():
                if isinstance(piece, ToolCall):
                    gate.take(piece)
                else:
                    deliver(piece)

        def on_text(text: str) -> None:
            nonlocal made
            made += text
            say(thoughts.push(text))

        def live() -> None:
            deliver(Working())

        request = {"n_predict": max_tokens, "grammar": self._model.grammars.of(prompt.tools, choice) or ""}
        stopped, prompt = Stopped("error", error=CONTEXT_FULL), self._window.fit(prompt)
        for halved in range(TRIES):
            text = chatml.render(chatml.trimmed(prompt, MAX_CHARS >> halved))
            stopped = self._model.complete(self.number, {"prompt": text, **request}, generation, on_text, live)
            if stopped.error != CONTEXT_FULL:
                break
        if stopped.reason == "length" and thoughts.thinking:
            more = {**request, "prompt": text + made, "n_predict": max_tokens + THOUGHT_TOKENS}
            stopped = self._model.complete(self.number, more, generation, on_text, live)
        if stopped.reason not in ("stop", "length"):
            return stopped, []
        say(thoughts.flush(cut=stopped.reason == "length"))
        return stopped, gate.checked()


class LlamaModel:
    """A loaded GGUF file with `slots` for conversations, about 75 MB each with Qwen2.5 0.5B. Implements `Llm`.

    `copies`: how often it is loaded, each with `threads` of its own. On a CPU two replies at once cost nearly twice the
    time of one, batched or not, and a second thread for one reply takes a core from the ASR. So conversations are dealt
    out to copies: two at the same time are answered on two cores, and one alone is as fast as with one copy."""

    vision = False
    speculative = True

    def __init__(self, path: Path, slots: int, threads: int, copies: int = 1) -> None:
        """Blocks for a second or two. Raises `MissingModel`, `DamagedModel`."""
        copies = min(copies, slots)
        with ThreadPoolExecutor(copies, thread_name_prefix="loading") as loading:
            per_copy = -(-slots // copies)
            self._servers: list[Any] = list(loading.map(lambda _: _load(path, per_copy, threads), range(copies)))
        self._free = list(range(slots))  # slot n is slot n // copies of copy n % copies
        self._open: list[LlamaSlot] = []
        self._taken = [0] * copies
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix=f"llm-{number}") for number in range(slots)]
        self.counter = TokenCounter(path)
        self.checker = SchemaChecker()
        self.grammars = Grammars(self.checker)
        self._late = Lateness()
        self._lock = threading.Lock()

    def fits(self, prompt: Prompt) -> bool:
        text = chatml.render(replace(prompt, items=()))
        room = SLOT_TOKENS - SPARE_TOKENS
        exact = self.counter.exact  # asked first: it begins to load
        if len(text.encode(errors="replace")) <= room:  # no token is less than a byte
            return True
        return (self.counter.count(text) if exact else len(re.findall(r"\w+", text))) <= room

    def open(self) -> LlamaSlot:
        with self._lock:
            if not self._free:
                raise DialogueError("All places of the language model are taken.")
            slot = min(self._free, key=lambda free: self._taken[free % len(self._taken)])
            self._free.remove(slot)
            self._taken[slot % len(self._taken)] += 1
            self._open.append(opened := LlamaSlot(self, slot, self._threads[slot]))
            return opened

    @property
    def lateness(self) -> float:
        return self._late.worst

    def release(self, slot: LlamaSlot) -> None:
        """`LlamaSlot.close` calls this."""
        with self._lock:
            self._open.remove(slot)
            self._free.append(slot.number)
            self._taken[slot.number % len(self._taken)] -= 1

    def close(self) -> None:
        for slot in [*self._open]:
            slot.close()
        for thread in self._threads:
            thread.shutdown(wait=True)
        self.counter.close()
        self.checker.close()
        self._servers.clear()  # the last references: the destructor joins llama.cpp's threads and frees the weights

    def prefill(self, text: str, slot: int, given_up: Callable[[int], bool]) -> None:
        """Reads `text` into the KV cache of `slot`. `given_up` is asked before it and after each piece, with their
        number."""
        server, slot_of_copy = self._copy_of(slot)
        request = {"prompt": text, "n_predict": 0, "stream": True, "cache_prompt": True, "id_slot": slot_of_copy}
        pieces = count()
        server.handle_completions(request | PROGRESS, lambda event: given_up(next(pieces)))

    def complete(
        self,
        slot: int,
        request: Mapping[str, Any],
        generation: LlamaGeneration,
        on_text: Callable[[str], None],
        live: Callable[[], None],
    ) -> Stopped:
        """Generates in `slot` until the end, a limit in `request`, or `generation.cancel()`. Blocks. `live`: called now
        and then while the prompt is read."""
        if generation.cancelled:
            return Stopped("cancelled")
        began = time.monotonic()

        def on_first_token(read: int) -> None:
            if sum(self._taken) > 1:  # a conversation alone waits for no other
                self._late.note(time.monotonic() - began - FIRST_TOKEN - READ * read)

        completion = Completion(generation, on_text, on_first_token, live)
        server, slot_of_copy = self._copy_of(slot)
        request = {**SAMPLING, **STREAMING, **PROGRESS, **request, "id_slot": slot_of_copy}
        server.handle_completions(request, completion.receive)
        return completion.stopped

    def _copy_of(self, slot: int) -> tuple[Any, int]:
        """The copy that holds `slot`, and the slot's number there."""
        return self._servers[slot % len(self._servers)], slot // len(self._servers)


class Completion:
    """Collects the events of llama.cpp's callback. `on_first_token` is called once, with the number of prompt tokens
    that were not in the cache; `live` now and then before it."""

    def __init__(
        self,
        generation: LlamaGeneration,
        on_text: Callable[[str], None],
        on_first_token: Callable[[int], None],
        live: Callable[[], None],
    ) -> None:
        self._generation = generation
        self._on_text = on_text
        self._live = live
        self._lived = time.monotonic()
        self._on_first_token: Callable[[int], None] | None = on_first_token
        self.stopped = Stopped("error", error=NO_ANSWER)

    def receive(self, message: Any) -> bool:
        """The callback: True stops the generation. Raises nothing, since the C++ side would swallow it."""
        if self._generation.cancelled:
            self.stopped = Stopped("cancelled")
            return True
        try:
            for event in message if isinstance(message, list) else [message]:
                self._take(event)
        except ToolCallError as error:
            self.stopped = Stopped("error", error=str(error), again=False)
            return True
        return False

    def _take(self, event: Mapping[str, Any]) -> None:
        if error := event.get("error"):
            full = error.get("type") == "exceed_context_size_error"
            self.stopped = Stopped(
                "error", error=CONTEXT_FULL if full else f"The language model failed: {error.get('message')}"
            )
            return
        if "prompt_progress" in event and time.monotonic() - self._lived >= SIGN_OF_LIFE:
            self._lived = time.monotonic()
            self._live()
        if self._on_first_token is not None and (timings := event.get("timings")):
            self._on_first_token(timings["prompt_n"])
            self._on_first_token = None
        for choice in event.get("choices", ()):
            if choice.get("text"):
                self._on_text(choice["text"])
            if reason := choice.get("finish_reason"):
                self.stopped = Stopped("length" if reason == "length" else "stop")
        if usage := event.get("usage"):
            self.stopped = Stopped(self.stopped.reason, _usage(usage), self.stopped.error)


def _usage(counts: Mapping[str, Any]) -> Usage:
    return Usage(
        input_text=counts["prompt_tokens"],
        cached=counts.get("prompt_tokens_details", {}).get("cached_tokens", 0),
        output_text=counts["completion_tokens"],
    )


COUNTER_TOKENS: Final = 256
"""The smallest context that llama.cpp can have (with fewer it aborts), ..."""

PAD: Final = COUNTER_TOKENS + 44
"""... and tokens that are too many for it."""


class TokenCounter:
    """Counts tokens. llama.cpp counts those of a prompt that is too long for a context, so this is a context of the
    smallest size, on the same weights: 0.7 s and 70 MB, in the background, as soon as it is first needed. Its thread
    has nothing else to do: the others may be busy for a second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loading = ThreadPoolExecutor(1, thread_name_prefix="loading")
        self._server: Future[Any] | None = None

    @property
    def exact(self) -> bool:
        """It is loaded. Begins to load it."""
        if self._server is None:
            self._server = self._loading.submit(_load, self._path, 1, 1, counts=True)
        return self._server.done() and self._server.exception() is None

    def count(self, text: str) -> int:
        """Tokens of `text`, once it is `exact`."""
        assert self._server is not None
        counted: list[int] = []

        def receive(event: Any) -> bool:
            counted.append(event.get("error", {}).get("n_prompt_tokens", 0))
            return True

        request = {"prompt": text + " a" * PAD, "n_predict": 1, "stream": False}
        self._server.result().handle_completions(request, receive)
        return max(counted) - PAD

    def close(self) -> None:
        self._loading.shutdown()
        self._server = None


def _load(path: Path, slots: int, threads: int, counts: bool = False) -> Any:
    """`counts`: only to count tokens."""
    import xllamacpp  # takes 0.1 s

    if not path.is_file():
        raise MissingModel(f"There is no language model at {path}.")
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = COUNTER_TOKENS if counts else SLOT_TOKENS * slots
    params.n_parallel = slots
    params.n_batch = params.n_ubatch = PIECE_TOKENS
    if counts:
        params.no_extra_bufts, params.warmup, params.n_gpu_layers = True, False, 0
    # Prefill is bound by arithmetic (80 tokens/s on two threads, 52 on one), decoding by memory (19 on one, 16 to 19 on
    # two). Flash attention changed nothing; a KV cache of 8 bits costs 27 % of the prefill.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.cache_ram_mib = 0  # each conversation keeps its own slot: no cache is swapped out
    params.verbosity = -1
    params.ui = params.endpoint_slots = params.endpoint_props = False
    # llama.cpp's server needs a socket, which every user of this machine could use. So it gets one in a private folder,
    # which is deleted once it listens.
    with tempfile.TemporaryDirectory(prefix="vivavoce-") as folder:
        params.hostnames = [f"{folder}/none.sock"]
        try:
            server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise DamagedModel(f"{path} cannot be loaded as a language model (GGUF).") from error
    # llama.cpp's loop begins on a thread of its own. It does not notice a destructor that came before, which would wait
    # for its end forever. An answer shows that it runs (30 ms).
    server.handle_completions({"prompt": "a", "n_predict": 1, "stream": False}, lambda _: False)
    return server
