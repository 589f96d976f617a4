"""Several sides of one peer, which leaves once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from vivavoce.realtime.transports import PeerGone


async def until_gone(*sides: Coroutine[Any, Any, None]) -> None:
    """Runs `sides` next to each other until one of them finds that the peer has gone, or all are done. Raises that
    `PeerGone`, alone: whoever serves a peer wants its words, not a group of errors."""
    gone: PeerGone | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            for side in sides:
                tasks.create_task(side)
    except* PeerGone as left:
        gone = next(error for error in left.exceptions if isinstance(error, PeerGone))
    if gone is not None:
        raise gone
