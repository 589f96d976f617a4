"""Asks another process whether a grammar compiles, and whether the arguments of a call fit their schema.

    SchemaChecker ──a line of JSON──► schema_child.py: llguidance, jsonschema      bounded in memory and time
                  ◄─────────────────  problem, "" for none; None where it cannot tell

Grammars come from strangers, and native code compiles them: what takes all memory, or crashes, takes the child and not
the calls. The child is started when it is first needed (50 ms), answers within a millisecond as a rule, and is started
anew after it has died. Safe to use from several threads.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

CHILD: Final = Path(__file__).with_name("schema_child.py")

PATIENCE: Final = 3.0
"""Seconds for one answer, on a machine that is busy, the start of the child included; what takes longer counts as a
problem."""

TOO_COSTLY: Final = "takes too much memory or time"

log = logging.getLogger(__name__)


class SchemaChecker:
    """Starts and stops the child."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def compiles(self, grammar: str) -> str | None:
        """Why llama.cpp could not use a grammar of llguidance; "" where it can, None where that is not known."""
        return self._ask({"grammar": grammar})

    def fits(self, schema: Any, arguments: Any) -> str | None:
        """Why the arguments do not fit the schema; "" where they do, None where that is not known."""
        return self._ask({"schema": schema, "arguments": arguments})

    def close(self) -> None:
        """Ends the child. It is started anew when it is needed again."""
        with self._lock:
            self._stop()

    def _ask(self, request: dict[str, Any]) -> str | None:
        with self._lock:
            try:
                answer = self._answer(json.dumps(request).encode() + b"\n")
            except (OSError, ValueError) as error:
                log.warning("schema checker failed", extra={"reason": type(error).__name__})
                self._stop()
                return None
        if answer is None:
            log.warning("schema too costly")
            return TOO_COSTLY
        if "unknown" in answer:
            log.info("schema not checked", extra={"reason": answer["unknown"].partition(":")[0]})
            return None
        return str(answer["problem"])

    def _answer(self, request: bytes) -> dict[str, str] | None:
        """The child's answer; None where it has died over it, or taken too long."""
        if self._child is None or self._child.poll() is not None:
            self._stop()
            self._child = subprocess.Popen(
                [sys.executable, "-I", str(CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # an interrupt of the terminal is the server's
            )
        child = self._child
        assert child.stdin is not None
        assert child.stdout is not None
        with suppress(BrokenPipeError):  # it has died: the end of its output says so
            child.stdin.write(request)
            child.stdin.flush()
        line, until = b"", time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(until - time.monotonic(), 0)):
                    break
                if not (piece := os.read(child.stdout.fileno(), 1 << 16)):
                    break
                line += piece
        if not line.endswith(b"\n"):
            self._stop()
            return None
        answer: dict[str, str] = json.loads(line)
        return answer

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            with suppress(BrokenPipeError):  # something is left in its input
                child.communicate()
