"""The page's files, as browsers get them: with headers that let nothing from elsewhere run in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from starlette.responses import Response
from starlette.staticfiles import StaticFiles

WEB: Final = Path(__file__).parents[1] / "web"

HEADERS: Final = (
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"),
    (b"permissions-policy", b"microphone=(self), camera=(self)"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-cache"),  # asks each time, gets 304: a new version is there at once
)


class Page(StaticFiles):
    """The folder `WEB`."""

    def __init__(self) -> None:
        super().__init__(directory=WEB, html=True)

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.raw_headers.extend(HEADERS)
        return response
