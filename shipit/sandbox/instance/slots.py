"""Bound how many jobs *work* at once, however many wait."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

Job = Callable[["Slot"], None]


class Slot:
    """Hold one of the places; `give_up` hands it on early."""

    def __init__(self, slots: Slots) -> None:
        """Hold a place of `slots` until `give_up`."""
        self._slots: Slots | None = slots

    def give_up(self) -> None:
        """Let the next job start; called again, it does nothing."""
        slots, self._slots = self._slots, None
        if slots:
            slots._next()


class Slots:
    """Run jobs on threads, `count` at a time, in the order given.

    A job that waits rather than works (a hook that hangs for its whole timeout) gives its slot up: otherwise four
    hanging instances would stop the whole fleet.
    """

    def __init__(self, count: int) -> None:
        """Allow `count` jobs at a time."""
        self._free = count
        self._waiting: deque[Job] = deque()
        self._lock = threading.Lock()

    def submit(self, job: Job) -> None:
        """Run `job` as soon as a slot is free, and return at once."""
        with self._lock:
            if not self._free:
                self._waiting.append(job)
                return
            self._free -= 1
        self._start(job)

    def clear(self) -> None:
        """Forget the jobs that have not started."""
        with self._lock:
            self._waiting.clear()

    def _next(self) -> None:
        with self._lock:
            if not self._waiting:
                self._free += 1
                return
            job = self._waiting.popleft()
        self._start(job)

    def _start(self, job: Job) -> None:
        threading.Thread(target=self._run, args=(job,), name="instance-agent", daemon=True).start()

    def _run(self, job: Job) -> None:
        slot = Slot(self)
        try:
            job(slot)
        finally:
            slot.give_up()
