"""Converses by a cascade: ASR -> LLM -> TTS, each stage streaming into the next, behind the contract `Dialogue`.

Cascade (one per process: weights and threads) ── open() ──► CascadeDialogue (one per conversation: slots)
    asr/   sound to text            Moonshine, Whisper
    llm/   conversation to text     llama.cpp in process, or any OpenAI-compatible endpoint
    tts/   text to sound            hibari, Piper, Kokoro
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.codecs.resample import Resampler
from vivavoce.model.abilities import Abilities
from vivavoce.model.cascade.asr import SAMPLE_RATE as ASR_RATE
from vivavoce.model.cascade.asr import open_asr
from vivavoce.model.cascade.dialogue import CascadeDialogue
from vivavoce.model.cascade.llm import Llm, Prompt
from vivavoce.model.cascade.llm.llama_cpp import LlamaModel
from vivavoce.model.cascade.llm.openai_endpoint import Endpoint
from vivavoce.model.cascade.speech_queue import SpeechQueue
from vivavoce.model.cascade.threads import Threads
from vivavoce.model.cascade.tts import open_tts
from vivavoce.model.cascade.tts.names import known_names
from vivavoce.model.dialogue import Tool
from vivavoce.model.settings import CascadeSettings
from vivavoce.model.tool_schemas import check_tool
from vivavoce.model.vision.eyes import Eyes, Looking

INSTRUCTIONS: Final = (
    "You are Vivavoce, a friendly voice assistant. What you write is spoken aloud, so answer in one or two short "
    "sentences of plain words: no lists, no markdown, no emoji. If you do not know something, say so."
)
"""The beginning of every prompt; the session's own instructions follow."""

LARGE: Final = 800_000_000
"""Bytes of a language model from which on it gets both cores of a small machine, and is loaded once: on one thread
Qwen2.5 1.5B needs 0.28 s for its first word and writes 20 tokens a second, on two 0.15 s and 29."""


class Cascade:
    """The loaded stages. Loading blocks for seconds: do it on a thread."""

    def __init__(self, settings: CascadeSettings, directory_of: Callable[[str], Path]) -> None:
        """`directory_of` returns the folder of a catalog artefact, and raises `ModelError` for one that is missing.

        Raises `ModelError`."""
        # Every stage gets half the cores. They work at the same time, next to a browser that draws and decodes, and
        # threads that fight over a core wait for each other: with a busy neighbour the first word took 0.3 to 0.7 s on
        # one thread and 1 to 4 s on two (model/LOG.md); ASR of 5 s took 67 ms on one, 90 to 170 ms on two.
        threads = settings.threads or max(min(os.cpu_count() or 1, 8) // 2, 1)
        with ThreadPoolExecutor(3, thread_name_prefix="loading") as loading:
            asr = loading.submit(open_asr, settings.spoken, directory_of, threads)
            llm = loading.submit(open_llm, settings, directory_of, threads)
            tts = loading.submit(open_tts, settings.voice, directory_of, threads)
        self.asr, self.llm, self.tts = asr.result(), llm.result(), tts.result()
        self._threads = Threads()
        self._speech_queue = SpeechQueue(self.tts, self._threads)
        self._looking = Looking(partial(Eyes, directory_of)) if settings.looks else None
        self._warm_up()

    def open(self) -> CascadeDialogue:
        """A new conversation, on the running event loop. Raises `DialogueError` when all slots of the LLM are taken."""
        return CascadeDialogue(self.asr, self.llm, self._speech_queue, self._threads, INSTRUCTIONS, self._looking)

    def fits(self, instructions: str, tools: tuple[Tool, ...] = ()) -> bool:
        """Whether a session's instructions and tools leave room for a conversation; True where that is not known, as at
        an endpoint. Returns within some milliseconds."""
        offered = tuple(tool for tool in tools if not tool.cue)  # the others come one by one
        return self.llm.fits(Prompt(f"{INSTRUCTIONS}\n\n{instructions}".strip(), (), offered))

    @property
    def sees(self) -> bool:
        """Whether pictures are looked at: by the LLM, or in its place."""
        return self.llm.vision or self._looking is not None

    @property
    def abilities(self) -> Abilities:
        """The voices of the TTS, the languages of the ASR, the tools that can be called, and what fits into the LLM."""
        return Abilities(known_names(self.tts.names), self.asr.languages, check_tool, self.fits)

    @property
    def lateness(self) -> float:
        """Seconds by which ASR, LLM or TTS have been late at worst in the last ten."""
        return max(self._threads.lateness, self.llm.lateness)

    def _warm_up(self) -> None:
        """Runs every graph once: the first run allocates, which would delay a call."""
        resampler = Resampler(SAMPLE_RATE, ASR_RATE)
        recognition = self.asr.open()
        for speech in self.tts.speak("Hello there."):
            recognition.push(resampler.push(speech.samples))
        recognition.finish()

    def close(self) -> None:
        if self._looking is not None:
            self._looking.close()
        self._threads.close()
        self.llm.close()


def open_llm(settings: CascadeSettings, directory_of: Callable[[str], Path], threads: int) -> Llm:
    """Opens the endpoint or the GGUF file that `settings` names. Raises `MissingModel`, `DamagedModel`."""
    if settings.remote:
        model, key = settings.endpoint_model, settings.endpoint_key
        return Endpoint(settings.language, model, key, settings.endpoint_vision, settings.endpoint_ahead)
    if settings.language.endswith(".gguf"):
        file = Path(settings.language)
    else:
        (file,) = directory_of(settings.language).glob("*.gguf")
    cores = os.cpu_count() or 1
    copies = max(min(cores // threads, 2), 1) if settings.conversations > 2 else 1
    if file.is_file() and file.stat().st_size >= LARGE:
        threads, copies = settings.threads or min(2 * threads, cores), 1
    return LlamaModel(file, settings.conversations, threads, settings.copies or copies)
