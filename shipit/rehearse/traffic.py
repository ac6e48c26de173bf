"""Send tasks at a steady rate, round and round, and keep what was sent."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shipit.rehearse.message import TaskMessage, encode


class Sender(Protocol):
    """Put messages into queues by their names; raises what it likes where one could not be put."""

    def send(self, queue: str, body: str) -> None:
        """Put one message into a queue."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """Tell that a task was sent, and when: seconds since 1970, from before it could be in its queue."""

    id: str
    task: str
    queue: str
    at: float


class Traffic:
    """Send `tasks` in turn from a thread of its own, `rate` a second in all."""

    def __init__(self, sender: Sender, tasks: Sequence[TaskMessage], rate: float) -> None:
        """Begin with `start`."""
        self._sender = sender
        self._tasks = tuple(tasks)
        self._pause = 1 / rate
        self._sent: list[Sent] = []
        self._failed: Exception | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def start(self) -> None:
        """Send from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more; raises what the sender raised. Without a start, or again, it does nothing."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

    @property
    def sent(self) -> tuple[Sent, ...]:
        """Return what was sent so far."""
        return tuple(self._sent)

    def _run(self) -> None:
        due = time.monotonic()
        for task in itertools.cycle(self._tasks):
            if self._over.is_set():
                return
            name, at = str(uuid.uuid4()), time.time()
            try:
                self._sender.send(task.queue, encode(task, name))
            except Exception as error:
                # Whether it arrived nobody knows: it is not counted, and the rehearsal is none.
                self._failed = error
                return
            self._sent.append(Sent(id=name, task=task.name, queue=task.queue, at=at))
            due += self._pause
            self._over.wait(max(0.0, due - time.monotonic()))
