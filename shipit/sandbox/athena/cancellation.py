"""End a query from another thread, wherever it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

#: Seconds between two interrupts.
_AGAIN = 0.02


class Cancelled(Exception):
    """End a query that StopQueryExecution has stopped."""


class Interruptible(Protocol):
    """Let another thread end what it computes: what a connection of DuckDB's can."""

    def interrupt(self) -> None:
        """End the statement that runs; one that is about to begin is not."""


class Cancellation:
    """Stop a query wherever it is: waiting, reading, or inside DuckDB."""

    def __init__(self) -> None:
        """Start uncancelled."""
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._guarded: Interruptible | None = None

    def cancel(self) -> None:
        """End the query, and return when it has ended; one that has not begun to compute will end by itself."""
        self._event.set()
        # DuckDB forgets an interrupt that comes before a statement has begun: hence again, until all is over.
        while self._interrupted():
            time.sleep(_AGAIN)

    def _interrupted(self) -> bool:
        with self._lock:
            if self._guarded is None:
                return False
            self._guarded.interrupt()
            return True

    @contextmanager
    def guard(self, connection: Interruptible) -> Iterator[None]:
        """Interrupt this connection when cancelled, as long as the block lasts."""
        with self._lock:
            self._guarded = connection
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._guarded = None

    def check(self) -> None:
        """Raise Cancelled where it has been."""
        if self._event.is_set():
            raise Cancelled

    def wait(self, seconds: float) -> None:
        """Wait for that long, or raise Cancelled as soon as it is."""
        self._event.wait(seconds)
        self.check()
