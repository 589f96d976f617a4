"""What the codec makes of the user: the last thing they said, through encoder and decoder, for them to hear.

    GET /v1/realtime/calls/{id}/as-heard ─► the session's last turn of sound ─► codes ─► speech ─► 200 audio/wav
                                            (kept anyway, for `conversation.item.retrieve`)   Vivavoce-Codes: 69

Whoever may hang up a call may ask. Nothing is kept: neither the codes nor the sound outlive the answer, and a call
that is over has nothing to give. One is made at a time, at most `LONGEST` seconds of speech, a second at a time on a
thread, and whoever does not wait for it any more stops it.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from typing import Final

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vivavoce.codecs.audio import SAMPLE_RATE
from vivavoce.codecs.files import CHUNK
from vivavoce.codecs.media import write_wav
from vivavoce.codecs.tokenizer import FRAME_SIZE, WEIGHTS, AudioTokenizer, Samples
from vivavoce.realtime.admission.admission import Admission
from vivavoce.realtime.admission.auth import Denied, check
from vivavoce.realtime.config import ServerConfig

LONGEST: Final = 20
"""Seconds of speech: of a longer turn its end. At a quarter of real time that is five seconds of work."""
RETRY: Final = 3.0
"""Seconds after which somebody who was not the only one may ask again."""
COUNT: Final = "Vivavoce-Codes"
"""Header of the answer: how many codes the speech was."""


class AsHeard:
    """The route. The codec is opened when it is first asked for."""

    def __init__(self, config: ServerConfig, door: Admission) -> None:
        self._config = config
        self._door = door
        self._codec: AudioTokenizer | None = None
        self._busy = False

    def routes(self) -> list[Route]:
        """Under /v1."""
        return [Route("/realtime/calls/{call_id}/as-heard", self._give)]

    async def _give(self, request: Request) -> Response:
        check(self._config, request.headers)
        kept = self._door.find(request.path_params["call_id"]).session.last_sound
        if not kept:
            raise Denied(404, "nothing_heard", "Nothing has been said in this call yet.")
        if self._busy:
            raise Denied(429, "codec_busy", "The codec is busy. Please try again in a moment.", retry_after=RETRY)
        self._busy = True
        try:
            return await self._spoken(request, kept)
        finally:
            self._busy = False

    async def _spoken(self, request: Request, kept: bytes) -> Response:
        samples = np.frombuffer(kept, "<i2")[-LONGEST * SAMPLE_RATE :].astype(np.float32) / np.float32(32_768)
        if not all((WEIGHTS / f"{name}.onnx").is_file() for name in ("encoder", "decoder")):
            raise Denied(501, "codec_missing", "This server has no audio codec.")
        if self._codec is None:
            self._codec = await asyncio.to_thread(AudioTokenizer, WEIGHTS)
        work, count, sounds = through(self._codec, samples), 0, []
        while (piece := await asyncio.to_thread(next, work, None)) is not None:
            count += piece[0]
            sounds.append(piece[1])
            if await request.is_disconnected():
                return Response(status_code=499)  # nobody reads it
        file = io.BytesIO()
        write_wav(file, np.concatenate(sounds)[: len(samples)])
        return Response(file.getvalue(), 200, {COUNT: str(count), "Cache-Control": "no-store"}, "audio/wav")


def through(codec: AudioTokenizer, samples: Samples) -> Iterator[tuple[int, Samples]]:
    """Encodes and decodes a piece at a time: how many codes it was, and what sound they gave."""
    hearing, speaking = codec.init_encoding(), codec.init_decoding()
    for start in range(0, len(samples), CHUNK * FRAME_SIZE):
        (codes,) = codec.encode([samples[start : start + CHUNK * FRAME_SIZE]], hearing)
        yield codes.shape[1], codec.decode([codes], speaking)[0]
    codes = codec.finish_encoding(hearing, 0)
    yield codes.shape[1], codec.decode([codes], speaking)[0]
    yield 0, codec.finish_decoding(speaking, 0)
