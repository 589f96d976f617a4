"""A GGUF language model through llama.cpp, in process.

llama.cpp's own server runs inside this process without a port: it batches the conversations' slots, keeps each slot's KV cache, and reuses the longest
common prefix of the prompt. We pin a conversation to a slot, render the prompt, and bound how calls may look with a grammar.

    Thread ── one OS thread ──► server.handle_completions(slot=n) ──callback──► deliver(Piece)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from vivavoce.model.cascade.language import Calls, Deliver, Prompt, Stopped, Words, chatml
from vivavoce.model.cascade.language.calls import CallParser, grammar
from vivavoce.model.dialogue import DialogueError, Usage

SLOT_TOKENS = 4096
"""Context of one conversation. A spoken hour is about 9 000 words, so long calls forget their beginning."""

CHARS_PER_TOKEN = 3.0
"""Pessimistic for English (4.2 with Qwen's vocabulary); what still does not fit is cut in half once more."""

SPARE_TOKENS = 512  # room for the reply


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
        self._prefill: Future[None] | None = None
        self._generation = LlamaGeneration()

    def prefill(self, prompt: Prompt) -> None:
        if self._prefill is None or self._prefill.done():
            text = chatml.render_growing(chatml.trimmed(prompt, self._model.max_chars))
            self._prefill = self._pool.submit(self._model.prefill, text, self._slot)

    def generate(self, prompt: Prompt, max_tokens: int, deliver: Deliver) -> LlamaGeneration:
        self._generation.cancel()
        self._generation = generation = LlamaGeneration()
        self._pool.submit(self._run, prompt, max_tokens, deliver, generation)
        return generation

    def close(self) -> None:
        self._generation.cancel()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._model.give_back(self._slot)

    def _run(self, prompt: Prompt, max_tokens: int, deliver: Deliver, generation: LlamaGeneration) -> None:
        parser = CallParser(prompt.tools)
        stopped = Stopped("error", error="The language model ended without an answer.")
        for room in (self._model.max_chars, self._model.max_chars // 2):
            text = chatml.render(chatml.trimmed(prompt, room))
            stopped = self._model.complete(
                text, self._slot, max_tokens, grammar(prompt.tools, prompt.tool_choice), generation,
                lambda words: [deliver(piece) for piece in parser.push(words)],
            )  # fmt: skip
            if stopped.error != CONTEXT_FULL:
                break
        deliver(stopped)


CONTEXT_FULL = "The conversation no longer fits into the language model."


class LlamaModel:
    """A loaded GGUF file with `slots` places for conversations."""

    vision = False

    def __init__(self, path: Path, slots: int, threads: int, temperature: float = 0.2) -> None:
        import xllamacpp  # takes 0.1 s: not before a model is wanted

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = SLOT_TOKENS * slots
        params.n_parallel = slots
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.cache_ram_mib = 0  # each conversation keeps its own slot; nothing is swapped out
        params.verbosity = -1
        self._server = xllamacpp.Server(params)
        self._sampling = {"temperature": temperature, "top_p": 0.9, "repeat_penalty": 1.05, "seed": 1}
        self._free = list(range(slots))
        self._lock = threading.Lock()
        self.max_chars = int((SLOT_TOKENS - SPARE_TOKENS) * CHARS_PER_TOKEN)

    def open(self) -> LlamaThread:
        with self._lock:
            if not self._free:
                raise DialogueError("All places of the language model are taken.")
            return LlamaThread(self, self._free.pop())

    def give_back(self, slot: int) -> None:
        with self._lock:
            self._free.append(slot)

    def close(self) -> None:
        del self._server

    def prefill(self, text: str, slot: int) -> None:
        """Puts `text` into the slot's cache."""
        request = {"prompt": text, "n_predict": 0, "stream": True, "cache_prompt": True, "id_slot": slot}
        self._server.handle_completions(request, lambda event: None)

    def complete(
        self,
        text: str,
        slot: int,
        max_tokens: int,
        grammar: str | None,
        generation: LlamaGeneration,
        say: Callable[[str], object],
    ) -> Stopped:
        """Generates until the end, `max_tokens` or `generation.cancel()`; blocks."""
        if generation.cancelled:
            return Stopped("cancelled")
        request: dict[str, Any] = {
            "prompt": text, "n_predict": max_tokens, "stream": True, "cache_prompt": True, "id_slot": slot,
            "stream_options": {"include_usage": True}, **self._sampling,
        }  # fmt: skip
        if grammar:
            request["grammar"] = grammar
        outcome = _Outcome(generation, say)
        self._server.handle_completions(request, outcome.receive)
        return outcome.stopped


class _Outcome:
    """Collects what llama.cpp's callback says; returning True from it stops the generation."""

    def __init__(self, generation: LlamaGeneration, say: Callable[[str], object]) -> None:
        self._generation = generation
        self._say = say
        self.stopped = Stopped("error", error="The language model ended without an answer.")

    def receive(self, message: Any) -> bool:
        for event in message if isinstance(message, list) else [message]:
            self._take(event)
        if self._generation.cancelled:
            self.stopped = Stopped("cancelled", self.stopped.usage)
        return self._generation.cancelled

    def _take(self, event: Mapping[str, Any]) -> None:
        if error := event.get("error"):
            full = error.get("type") == "exceed_context_size_error"
            self.stopped = Stopped("error", error=CONTEXT_FULL if full else str(error.get("message", error)))
            return
        for choice in event.get("choices", ()):
            if choice.get("text") and not self._generation.cancelled:
                self._say(choice["text"])
            if reason := choice.get("finish_reason"):
                self.stopped = Stopped("length" if reason == "length" else "stop", self.stopped.usage)
        if usage := event.get("usage"):
            self.stopped = Stopped(self.stopped.reason, _usage(usage), self.stopped.error)


def _usage(counts: Mapping[str, Any]) -> Usage:
    return Usage(
        input_text=counts["prompt_tokens"],
        cached=counts.get("prompt_tokens_details", {}).get("cached_tokens", 0),
        output_text=counts["completion_tokens"],
    )
