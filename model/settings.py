"""Which models a cascade uses. Apart from `cascade/`, so that reading the settings loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

Language = Annotated[str, Meta(pattern=r"\A(auto|[a-z]{2,3})\Z", title="a language code such as en, or auto")]


@dataclass(frozen=True, slots=True)
class CascadeSettings:
    """Models of the stages: ASR, LLM, TTS."""

    language: Annotated[
        str,
        Meta(
            description="Language model: a name of the model catalog, a path that ends in `.gguf`, or the URL of an "
            "OpenAI-compatible endpoint."
        ),
    ] = "qwen2.5-0.5b"
    endpoint_model: Annotated[str, Meta(description="Name of the model at the endpoint.")] = ""
    endpoint_key: Annotated[str, Meta(description="API key of the endpoint.")] = field(default="", repr=False)
    endpoint_vision: Annotated[bool, Meta(description="The endpoint's model is shown the camera picture.")] = False
    endpoint_ahead: Annotated[
        bool,
        Meta(description="Replies are started there at every pause: quicker, but it costs more tokens."),
    ] = False
    sight: Annotated[
        bool,
        Meta(description="Pictures and the camera are looked at, for a language model without vision."),
    ] = True
    voice: Annotated[
        str,
        Meta(
            description="`heart`, or another voice of hibari (`emma`, `fable`, `fenrir`, `kore`); `joe`, `joe-codec` "
            "(joe through the audio codec); or a voice of Kokoro such as `af_heart`."
        ),
    ] = "heart"
    spoken: Annotated[Language, Meta(description="Language of the user (ISO 639-1).")] = "en"
    threads: Annotated[
        int,
        Meta(ge=0, le=256, description="CPU threads of each stage; 0: chosen for the machine."),
    ] = 0
    conversations: Annotated[int, Meta(description="Conversations at the same time.")] = 4
    copies: Annotated[
        int,
        Meta(
            ge=0,
            le=64,
            description="How often the language model is loaded, for people who talk at the same time (each half a "
            "gigabyte); 0: chosen for the machine.",
        ),
    ] = 0

    @property
    def remote(self) -> bool:
        """The language model is behind an endpoint."""
        return self.language.startswith(("http://", "https://"))

    @property
    def looks(self) -> bool:
        """Pictures are looked at in the place of a language model without vision."""
        return self.sight and not (self.remote and self.endpoint_vision)


def needed(settings: CascadeSettings) -> tuple[str, ...]:
    """Artefacts of the model catalog that a call with these settings uses, those of turn-taking included."""
    llm = () if settings.remote or settings.language.endswith(".gguf") else (settings.language,)
    asr = ("moonshine-tiny-en",) if settings.spoken == "en" else ("moonshine-tiny-en", "whisper-base")
    sight = ("ssd-mobilenet-v2", "efficientnet-lite3", "pp-ocrv6") if settings.looks else ()
    return ("silero-vad", "smart-turn", *asr, *llm, *_tts(settings.voice), *sight)


def _tts(voice: str) -> tuple[str, ...]:
    """The names are those of `cascade/tts/names.py`."""
    if voice in ("joe", "joe-codec"):
        return ("piper-joe",)
    if voice.startswith(("af_", "am_", "bf_", "bm_")):
        return ("kokoro",)
    return ("hibari", "hibari-voices") if voice in ("emma", "fable", "fenrir", "kore") else ("hibari",)
