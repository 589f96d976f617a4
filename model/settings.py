"""Which models a cascade uses. Apart from `cascade/`, so that reading the settings loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CascadeSettings:
    """Models of the stages.

    `language`: a name of the model catalog, a path that ends in `.gguf`, or the URL of an OpenAI-compatible endpoint
    (then the settings `endpoint_…` belong to it; `endpoint_ahead`: answers are begun there at every pause, which is
    quicker and costs more tokens). `spoken`: the user's language (ISO 639-1) or "auto". `threads`: CPU threads of each
    stage; 0 leaves it to the machine. `conversations`: how many at the same time. `copies`: how often the language
    model is loaded, for people who talk at the same time (each half a gigabyte); 0 leaves it to the machine.
    """

    language: str = "qwen2.5-0.5b"
    endpoint_model: str = ""
    endpoint_key: str = ""
    endpoint_vision: bool = False
    endpoint_ahead: bool = False
    voice: str = "joe"
    spoken: str = "en"
    threads: int = 0
    conversations: int = 4
    copies: int = 0

    @property
    def remote(self) -> bool:
        """The language model is behind an endpoint."""
        return self.language.startswith(("http://", "https://"))


def needed(settings: CascadeSettings) -> tuple[str, ...]:
    """Artefacts of the model catalog that a call with these settings uses, the turn-taking's included."""
    language = () if settings.remote or settings.language.endswith(".gguf") else (settings.language,)
    ears = ("moonshine-tiny-en",) if settings.spoken == "en" else ("moonshine-tiny-en", "whisper-base")
    voice = ("piper-joe",) if settings.voice in ("joe", "joe-codec") else ("piper-joe", "kokoro")
    return ("silero-vad", "smart-turn", *ears, *language, *voice)
