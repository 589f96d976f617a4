"""Play the user's last turn back through the audio codec: encoder, codes, decoder.

    GET /v1/realtime/calls/{id}/as-heard ─► the session's last turn of sound ─► codes ─► speech ─► 200 audio/wav
                                            (kept anyway, for `conversation.item.retrieve`)   Vivavoce-Codes: 69

Allowed to every client that may hang up the call. Neither the codes nor the sound outlive the response, and an ended
call has none. The server makes one preview at a time, of at most `LONGEST` seconds of speech, a second at a time on a
thread; a client that disconnects stops it.
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
"""Seconds of speech: the end of a longer turn. At a quarter of real time that is five seconds of work."""
RETRY: Final = 3.0
"""Seconds after which a client may try again when the codec is busy."""
COUNT: Final = "Vivavoce-Codes"
"""Header of the response: the number of codes."""


class CodecPreview:
    """The route. The codec is opened at the first request."""

    def __init__(self, config: ServerConfig, admission: Admission) -> None:
        self._config = config
        self._admission = admission
        self._codec: AudioTokenizer | None = None
        self._busy = False

    def routes(self) -> list[Route]:
        """Under /v1."""
        return [Route("/realtime/calls/{call_id}/as-heard", self._preview)]

    async def _preview(self, request: Request) -> Response:
        check(self._config, request.headers)
        kept = self._admission.find(request.path_params["call_id"]).session.last_sound
        if not kept:
            raise Denied(404, "nothing_heard", "Nothing has been said in this call yet.")
        if self._busy:
            raise Denied(429, "codec_busy", "The codec is busy. Please try again in a moment.", retry_after=RETRY)
        self._busy = True
        try:
            return await self._response(request, kept)
        finally:
            self._busy = False

    async def _response(self, request: Request, kept: bytes) -> Response:
        samples = np.frombuffer(kept, "<i2")[-LONGEST * SAMPLE_RATE :].astype(np.float32) / np.float32(32_768)
        if not all((WEIGHTS / f"{name}.onnx").is_file() for name in ("encoder", "decoder")):
            raise Denied(501, "codec_missing", "This server has no audio codec.")
        if self._codec is None:
            self._codec = await asyncio.to_thread(AudioTokenizer, WEIGHTS)
        pieces, count, sounds = through(self._codec, samples), 0, []
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            count += piece[0]
            sounds.append(piece[1])
            if await request.is_disconnected():
                return Response(status_code=499)  # not read
        file = io.BytesIO()
        write_wav(file, np.concatenate(sounds)[: len(samples)])
        return Response(file.getvalue(), 200, {COUNT: str(count), "Cache-Control": "no-store"}, "audio/wav")


def through(codec: AudioTokenizer, samples: Samples) -> Iterator[tuple[int, Samples]]:
    """Encodes and decodes a piece at a time: (number of codes, decoded sound)."""
    encoding, decoding = codec.init_encoding(), codec.init_decoding()
    for start in range(0, len(samples), CHUNK * FRAME_SIZE):
        (codes,) = codec.encode([samples[start : start + CHUNK * FRAME_SIZE]], encoding)
        yield codes.shape[1], codec.decode([codes], decoding)[0]
    codes = codec.finish_encoding(encoding, 0)
    yield codes.shape[1], codec.decode([codes], decoding)[0]
    yield 0, codec.finish_decoding(decoding, 0)
