"""The sandbox's time: it may run faster than ours, so that an hour's timeout is seen in a minute.

Everything in the sandbox that waits does so on a clock, and there is one thread for all of it.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)

#: A heap with fewer cancelled entries than this is not worth cleaning.
_TOLERATED_CANCELLED = 256


class Handle(Protocol):
    """Hold a callback that may still be cancelled."""

    def cancel(self) -> None:
        """Drop the callback if it has not begun; cancelling twice is harmless."""


class Timer(Protocol):
    """Tell the time and call back later: what the engine and its agents need of a clock."""

    def now(self) -> float:
        """Return the time in epoch seconds."""

    def call_later(self, seconds: float, fn: Callable[[], None]) -> Handle:
        """Call `fn` that many seconds from now, never within this call."""


class Clock:
    """Run `factor` times as fast as real time from its creation on; callbacks share one daemon thread.

    Callbacks must not block. One that raises is logged, and the clock goes on.
    """

    def __init__(self, factor: float = 1.0) -> None:
        """Start the clock at the present time. Raises ValueError where `factor` is not positive."""
        if factor <= 0:
            raise ValueError(f"a clock's factor must be positive, not {factor}")
        self.factor = factor
        self._born_at = time.time()
        self._born = time.monotonic()
        self._agenda = _Agenda()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="sandbox-clock", daemon=True)
        self._thread.start()

    def now(self) -> float:
        """Return the sandbox's time in epoch seconds; it never goes backwards."""
        return self._born_at + (time.monotonic() - self._born) * self.factor

    def sleep(self, seconds: float) -> None:
        """Block the caller for that many of the sandbox's seconds."""
        time.sleep(max(0.0, seconds) / self.factor)

    def call_later(self, seconds: float, fn: Callable[[], None]) -> Handle:
        """Call `fn` on the clock's thread after that many of the sandbox's seconds; ties run in order."""
        with self._changed:
            entry = self._agenda.add(self.now() + seconds, fn)
            if self._agenda.next_at() == entry.at:
                self._changed.notify()
        return entry

    def close(self) -> None:
        """Stop the thread; what is still to come is dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        while (entry := self._next_due()) is not None:
            try:
                entry.fn()
            except Exception:
                log.exception("a callback of the clock failed")

    def _next_due(self) -> _Entry | None:
        """Wait for the next callback that is due; None when the clock is closed."""
        with self._changed:
            while not self._closed:
                entry = self._agenda.pop_due(self.now())
                if entry is not None:
                    return entry
                at = self._agenda.next_at()
                self._changed.wait(None if at is None else max(0.0, at - self.now()) / self.factor)
            return None


class ManualClock:
    """Stand still until told: the clock of tests and benchmarks, for one thread."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        """Start at `start`, in epoch seconds."""
        self._now = start
        self._agenda = _Agenda()

    def now(self) -> float:
        """Return the time in epoch seconds."""
        return self._now

    def call_later(self, seconds: float, fn: Callable[[], None]) -> Handle:
        """Call `fn` once `advance` has come that far."""
        return self._agenda.add(self._now + seconds, fn)

    def advance(self, seconds: float = 0.0) -> None:
        """Let that many seconds pass and run what falls due in them, each callback at its own time."""
        end = self._now + seconds
        while (entry := self._agenda.pop_due(end)) is not None:
            self._now = max(self._now, entry.at)
            entry.fn()
        self._now = end

    def run(self) -> None:
        """Let time pass until nothing is left to call."""
        while (at := self._agenda.next_at()) is not None:
            self.advance(max(0.0, at - self._now))


class _Entry:
    """One callback; ordered by its time, then by when it was asked for."""

    __slots__ = ("_agenda", "at", "cancelled", "fn", "number", "popped")

    def __init__(self, agenda: _Agenda, at: float, number: int, fn: Callable[[], None]) -> None:
        self.at = at
        self.number = number
        self.fn = fn
        self.cancelled = False
        self.popped = False
        self._agenda = agenda

    def __lt__(self, other: _Entry) -> bool:
        return (self.at, self.number) < (other.at, other.number)

    def cancel(self) -> None:
        if not self.cancelled and not self.popped:
            self.cancelled = True
            self._agenda.note_cancelled()


class _Agenda:
    """A heap of callbacks that forgets cancelled ones: most timeouts are cancelled long before they fall due.

    It has a lock of its own because `cancel` comes from any thread.
    """

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._numbers = itertools.count()
        self._cancelled = 0
        self._lock = threading.Lock()

    def add(self, at: float, fn: Callable[[], None]) -> _Entry:
        with self._lock:
            entry = _Entry(self, at, next(self._numbers), fn)
            heapq.heappush(self._heap, entry)
            return entry

    def note_cancelled(self) -> None:
        with self._lock:
            self._cancelled += 1
            if self._cancelled > _TOLERATED_CANCELLED and self._cancelled * 2 > len(self._heap):
                self._heap = [entry for entry in self._heap if not entry.cancelled]
                heapq.heapify(self._heap)
                self._cancelled = 0

    def next_at(self) -> float | None:
        with self._lock:
            self._drop_cancelled()
            return self._heap[0].at if self._heap else None

    def pop_due(self, now: float) -> _Entry | None:
        with self._lock:
            self._drop_cancelled()
            if not self._heap or self._heap[0].at > now:
                return None
            entry = heapq.heappop(self._heap)
            entry.popped = True
            return entry

    def _drop_cancelled(self) -> None:
        while self._heap and self._heap[0].cancelled:
            heapq.heappop(self._heap)
            self._cancelled -= 1
