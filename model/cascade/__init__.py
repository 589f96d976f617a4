"""The cascade: recogniser -> language model -> voice, each stage streaming into the next, behind the contract
`Dialogue`.

    Cascade (one per process: weights and threads) ── open() ──► CascadeDialogue (one per conversation: slots)
        ears/       sound to words               Moonshine, Whisper
        language/   conversation to words        llama.cpp in process, or any OpenAI-compatible endpoint
        voice/      words to sound               Piper, Kokoro
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.codecs.resample import Resampler
from vivavoce.model.cascade.asr import open_asr
from vivavoce.model.cascade.dialogue import CascadeDialogue
from vivavoce.model.cascade.llm import Llm
from vivavoce.model.cascade.llm.llama_cpp import LlamaModel
from vivavoce.model.cascade.llm.openai_endpoint import Endpoint
from vivavoce.model.cascade.speech_queue import SpeechQueue
from vivavoce.model.cascade.threads import Threads
from vivavoce.model.cascade.tts import open_voice
from vivavoce.model.settings import CascadeSettings

INSTRUCTIONS: Final = (
    "You are Vivavoce, a friendly voice assistant. What you write is spoken aloud, so answer in one or two short "
    "sentences of plain words: no lists, no markdown, no emoji. If you do not know something, say so."
)
"""What every conversation begins with; the session's own instructions follow it."""


class Cascade:
    """The loaded stages. Loading blocks for seconds: do it on a thread."""

    def __init__(self, settings: CascadeSettings, directory_of: Callable[[str], Path]) -> None:
        """`directory_of` gives the folder of a catalog artefact; it raises `ModelError` for one that is not there."""
        # Every stage gets half the cores. They work at the same time, next to a browser that draws and decodes, and
        # threads that fight over a core wait for each other: with a busy neighbour the first word took 0.3 to 0.7 s on
        # one thread and 1 to 4 s on two (model/LOG.md); the ears' 5 s took 67 ms on one, 90 to 170 ms on two.
        threads = settings.threads or max(min(os.cpu_count() or 1, 8) // 2, 1)
        with ThreadPoolExecutor(3, thread_name_prefix="loading") as loading:
            ears = loading.submit(open_asr, settings.spoken, directory_of, threads)
            language = loading.submit(_language, settings, directory_of, threads)
            voice = loading.submit(open_voice, settings.voice, directory_of, threads)
        self.ears, self.language, self.voice = ears.result(), language.result(), voice.result()
        self._threads = Threads()
        self._mouth = SpeechQueue(self.voice, self._threads)
        self._warm_up()

    def open(self) -> CascadeDialogue:
        """A new conversation, on the running event loop. Raises `DialogueError` when there is no place for one more."""
        return CascadeDialogue(self.ears, self.language, self._mouth, self._threads, INSTRUCTIONS)

    @property
    def lateness(self) -> float:
        """Seconds by which ears, language model or voice have been late at worst in the last ten."""
        return max(self._threads.lateness, self.language.lateness)

    def _warm_up(self) -> None:
        """The first run of a graph allocates: let nobody wait for that in a call."""
        resampler = Resampler(SAMPLE_RATE, 16_000)
        listening = self.ears.open()
        for speech in self.voice.speak("Hello there."):
            listening.push(resampler.push(speech.samples))
        listening.finish()

    def close(self) -> None:
        self._threads.close()
        self.language.close()


def _language(settings: CascadeSettings, directory_of: Callable[[str], Path], threads: int) -> Llm:
    if settings.remote:
        model, key = settings.endpoint_model, settings.endpoint_key
        return Endpoint(settings.language, model, key, settings.endpoint_vision, settings.endpoint_ahead)
    spare = (os.cpu_count() or 1) // threads
    copies = settings.copies or (max(min(spare, 2), 1) if settings.conversations > 2 else 1)
    if settings.language.endswith(".gguf"):
        return LlamaModel(Path(settings.language), settings.conversations, threads, copies)
    folder = directory_of(settings.language)
    (file,) = folder.glob("*.gguf")
    return LlamaModel(file, settings.conversations, threads, copies)
