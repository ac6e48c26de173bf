"""SIGUSR2 stops the polling of all queues while the worker works on; SIGTTIN resumes it.

On SQS a worker cannot be told to stop consuming by remote control, and on SIGTERM it leaves its loop at once: what a
long poll still brings in is held by nobody until its visibility timeout. Stopped this way, the loop goes on, late
messages come back to it, and kombu (5.7 and later) makes them visible again. SIGTERM may then follow.

The handlers are there from `worker_init` on, in the worker's main process alone. SHIPIT_QUIESCE=off: no handlers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import kombu
from celery import bootsteps
from celery.signals import worker_init, worker_shutting_down

from shipit_worker import ready
from shipit_worker.plugin import guarded, log, on

STOP, RESUME = signal.SIGUSR2, signal.SIGTTIN


def connect() -> None:
    """Give each worker of this process the signal handlers, and its consumer the step that acts on them."""
    on(worker_init, _install)


class Wanted:
    """What the last signal asked for, and a pipe that wakes the worker's loop to do it.

    A handler may interrupt anything, also code that holds one of kombu's locks: it sets a flag and writes a byte.
    """

    def __init__(self) -> None:
        self.stopped = False
        self.process = os.getpid()
        #: How to wake a loop that has no hub, and so no pipe: set by the consumer. It only appends to a deque.
        self.wake: Callable[[], object] | None = None
        self.reading, self._writing = os.pipe()
        for end in (self.reading, self._writing):
            os.set_blocking(end, False)

    def handle(self, number: int, _frame: object) -> None:
        """Note a signal. The pool's children inherit this handler: to them it means nothing."""
        if os.getpid() == self.process:
            self.stopped = number == STOP
            self.knock()
            if self.wake:
                self.wake()

    def knock(self) -> None:
        """Wake the loop through the pipe; a pipe that is full wakes it too."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._writing, b"\0")

    def drain(self) -> None:
        """Take out of the pipe what is in it."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.reading, 4096):
                pass


def _install(sender: Any = None, **_: Any) -> None:
    if threading.current_thread() is not threading.main_thread():
        log.info("shipit_worker: this worker runs in a thread, where no signal can be handled: quiesce stays off")
        return
    wanted = Wanted()
    for number in (STOP, RESUME):
        if signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN) and not _ours(number):
            log.warning("shipit_worker: %s has a handler of the application's: left as it is", number.name)
            continue
        signal.signal(number, wanted.handle)
    if kombu.VERSION < (5, 7) and sender.app.connection_for_read().transport.driver_type == "sqs":
        log.warning("shipit_worker: kombu %s does not give late messages back: use 5.7", kombu.__version__)
    Quiesce.wanted = wanted
    sender.app.steps["consumer"].add(Quiesce)
    on(worker_shutting_down, _hurry)


def _hurry(**_: Any) -> None:
    # Without polls nothing wakes the loop for seconds, and it would see only then that it has been told to end.
    if Quiesce.wanted.stopped:
        Quiesce.wanted.knock()


def _ours(number: signal.Signals) -> bool:
    return isinstance(getattr(signal.getsignal(number), "__self__", None), Wanted)


class Quiesce(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Stop and resume polling, in the consumer's own loop; what was stopped stays so when the consumer restarts."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    wanted: Wanted

    def __init__(self, c: Any, **kwargs: Any) -> None:
        super().__init__(c, **kwargs)
        self.queues: list[str] = []
        self.since = 0.0

    @guarded
    def start(self, c: Any) -> None:
        """Hold back a new consumer that has not begun to consume yet, if that is what the last signal asked for."""
        self._act(c)
        self.wanted.wake = None if c.hub else partial(c.call_soon, self._woken, c)

    @guarded
    def register_with_event_loop(self, c: Any, hub: Any) -> None:
        """Be woken by the pipe: called anew with each connection, since a lost one clears the hub."""
        hub.add_reader(self.wanted.reading, self._woken, c)

    @guarded
    def _woken(self, c: Any) -> None:
        self.wanted.drain()
        self._act(c)

    def _act(self, c: Any) -> None:
        if not c.task_consumer:
            return
        if self.wanted.stopped and not self.queues:
            self.queues, self.since = list(c.app.amqp.queues.consume_from), time.monotonic()
            for name in self.queues:
                c.cancel_task_queue(name)
            log.info("shipit_worker: stopped polling %s", ", ".join(self.queues))
            ready.notify("STATUS=quiesced")
        elif self.queues and not self.wanted.stopped:
            wait = self._late(c) - (time.monotonic() - self.since)
            if wait > 0:
                c.timer.call_after(wait, self._woken, (c,))
                return
            names, self.queues = self.queues, []
            for name in names:
                c.add_task_queue(name)
            log.info("shipit_worker: polling %s again", ", ".join(names))
            ready.notify("STATUS=consuming")

    @staticmethod
    def _late(c: Any) -> float:
        """Return for how many seconds a poll may be out: resumed before, a queue would be polled twice for ever."""
        if c.hub and c.connection.transport.driver_type == "sqs":
            return float(c.connection.default_channel.wait_time_seconds) + 1
        return 0.0
