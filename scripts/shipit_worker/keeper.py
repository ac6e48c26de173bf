"""Keep the messages that this worker holds invisible to others, for as long as it holds them.

A visibility timeout is a guess of the longest task: too short, and a second worker runs the task as well; too long,
and what a killed worker held waits for it. A thread extends instead, so that the timeout need only outlast a few
missed extensions: SHIPIT_VISIBILITY seconds (120; 0 switches the keeper off), renewed after a third of that.

It goes on during a warm shutdown, ends for a message once it is acknowledged or rejected, and for all when the worker
gives its messages back. A task without a time limit is not kept, since one that hangs would be kept for ever; nor is
one past its limit, or a message past the 12 hours that SQS allows in all.
"""

from __future__ import annotations

import threading
import time
import weakref
from typing import Any

from celery import bootsteps
from celery.signals import task_received, worker_init
from celery.worker import state

from shipit_worker.clients import Clients
from shipit_worker.plugin import guarded, log, number, on, sqs_info

#: Seconds that SQS lets a message be invisible, counted from its receipt, less a minute for what clocks differ.
LONGEST = 12 * 3600 - 60
#: Seconds past its time limit at which a task is no longer believed to be ended by it.
LENIENCE = 60
#: SQS's default visibility timeout in seconds: assumed where the role may not ask for the queue's.
ASSUMED = 30
#: Codes of an extension that cannot work however often it is tried: the message is visible, or gone.
FINAL = ("ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue")


def connect() -> None:
    """Give each worker's consumer a keeper."""
    on(worker_init, _install)


def _install(sender: Any = None, **_: Any) -> None:
    sender.app.steps["consumer"].add(KeeperStep)


class Held:
    """A message that the worker holds, and when its visibility is to be extended next (monotonic seconds)."""

    def __init__(self, info: dict[str, Any]) -> None:
        self.queue: str = info["sqs_queue"]
        self.handle: str = info["sqs_message"]["ReceiptHandle"]
        self.received = time.monotonic()
        self.due: float | None = None
        self.done = False


class Keeper:
    """Extend what is held, queue by queue, ten messages a call; `clients` gives the SQS client of a queue's URL."""

    def __init__(self, clients: Any, seconds: float, time_limit: float | None = None) -> None:
        self.clients = clients
        self.seconds = max(1, int(seconds))
        self.time_limit = time_limit
        self.tick = min(1.0, self.seconds / 6)
        self._held: weakref.WeakKeyDictionary[Any, Held] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._calling = threading.Lock()
        self._timeouts: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        self._warned: set[str] = set()

    @guarded
    def received(self, request: Any = None, **_: Any) -> None:
        """Keep the message of this request, if it is one of SQS's."""
        info = sqs_info(request.message)
        if info:
            with self._lock:
                self._held[request] = Held(info)

    def forget_idle(self) -> None:
        """Forget what no process of the pool works on: a lost connection gave those messages back."""
        with self._lock:
            for request in list(self._held):
                if request not in state.active_requests:
                    del self._held[request]

    def run(self) -> None:
        """Extend until stopped. An error costs one turn."""
        while not self._stop.wait(self.tick):
            with self._calling:
                if not self._stop.is_set() and not state.should_terminate:
                    self.extend()

    def stop(self) -> None:
        """Extend nothing from now on; wait, but not for long, for the call that is out."""
        self._stop.set()
        if self._calling.acquire(timeout=5):
            self._calling.release()

    @guarded
    def extend(self) -> None:
        """Extend every message whose time has come."""
        now = time.monotonic()
        with self._lock:
            held = [(request, one) for request, one in self._held.items() if not one.done]
        due: dict[str, list[tuple[Any, Held]]] = {}
        for request, one in held:
            if request.acknowledged or not self._worth(request, one, now):
                one.done = True
                continue
            if one.due is None:
                one.due = one.received + min(self.seconds, self._timeout(one.queue)) / 3
            if one.due <= now:
                due.setdefault(one.queue, []).append((request, one))
        for queue, these in due.items():
            for first in range(0, len(these), 10):
                self._call(queue, these[first : first + 10])

    def _worth(self, request: Any, one: Held, now: float) -> bool:
        limit = (request.time_limits or (None,))[0] or getattr(request.task, "time_limit", None) or self.time_limit
        if not limit:
            self._warn(
                request.name, "%s has no time limit: its messages are not kept; set task_time_limit", request.name
            )
            return False
        if request.time_start and time.time() - request.time_start > limit + LENIENCE:
            self._warn(
                "", "%s[%s] is past its time limit of %g s: not kept any longer", request.name, request.id, limit
            )
            return False
        if now - one.received >= LONGEST:
            self._warn("", "%s[%s] is held for 12 hours: SQS lets nobody keep it longer", request.name, request.id)
            return False
        return True

    def _warn(self, once: str, text: str, *about: object) -> None:
        if not once or once not in self._warned:
            self._warned.add(once)
            log.warning(f"shipit_worker: {text}", *about)

    def _timeout(self, queue: str) -> float:
        """Return the queue's own visibility timeout in seconds, asked for once."""
        if queue not in self._timeouts:
            self._timeouts[queue] = ASSUMED
            try:
                found = self.clients.of(queue).get_queue_attributes(
                    QueueUrl=queue, AttributeNames=["VisibilityTimeout"]
                )
                self._timeouts[queue] = float(found["Attributes"]["VisibilityTimeout"])
            except Exception as error:
                log.info("shipit_worker: the visibility timeout of %s is not known: %s", queue, _line(error))
        return self._timeouts[queue]

    def _call(self, queue: str, these: list[tuple[Any, Held]]) -> None:
        now = time.monotonic()
        these = [(request, one) for request, one in these if not request.acknowledged]
        if not these:
            return
        entries = [
            {
                "Id": str(n),
                "ReceiptHandle": one.handle,
                "VisibilityTimeout": max(1, min(self.seconds, int(LONGEST - (now - one.received)))),
            }
            for n, (_, one) in enumerate(these)
        ]
        try:
            answer = self.clients.of(queue).change_message_visibility_batch(QueueUrl=queue, Entries=entries)
        except Exception as error:
            pause = self._pauses.get(queue, 0)
            if not pause:
                log.warning("shipit_worker: the visibility of messages is not extended: %s", _line(error))
            self._pauses[queue] = min(pause * 2 or self.tick, self.seconds / 3)
            for _, one in these:
                one.due = now + self._pauses[queue]
            return
        if self._pauses.pop(queue, None):
            log.info("shipit_worker: the visibility of messages is extended again")
        for _, one in these:
            one.due = now + self.seconds / 3
        for entry in answer.get("Failed", ()):
            self._refused(*these[int(entry["Id"])], entry)

    def _refused(self, request: Any, one: Held, entry: dict[str, Any]) -> None:
        if request.acknowledged:
            return  # Deleted in the meantime: as it should be.
        if str(entry.get("Code", "")).endswith(FINAL):
            one.done = True
            log.warning(
                "shipit_worker: the message of %s[%s] cannot be kept, so it may run twice: %s",
                request.name,
                request.id,
                entry.get("Message") or entry.get("Code"),
            )
        else:
            one.due = time.monotonic() + self.tick


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


class KeeperStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Start the keeper with a consumer on SQS; end it when the consumer gives its messages back, and not before."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, c: Any, **kwargs: Any) -> None:
        super().__init__(c, **kwargs)
        self.keeper: Keeper | None = None

    @guarded
    def start(self, c: Any) -> None:
        """Start the thread with the first connection; with later ones, forget what the lost one gave back."""
        if self.keeper:
            self.keeper.forget_idle()
        elif c.connection.transport.driver_type == "sqs":
            limit = c.controller.time_limit or c.app.conf.task_time_limit
            keeper = self.keeper = Keeper(Clients(c.app), number("VISIBILITY", 120), limit)
            task_received.connect(keeper.received, weak=False, dispatch_uid="shipit_worker.keeper")
            threading.Thread(target=keeper.run, name="keeper", daemon=True).start()

    def stop(self, c: Any) -> None:
        """Do nothing: a warm shutdown has tasks to finish, and their messages to keep."""

    @guarded
    def shutdown(self, c: Any) -> None:
        """End before the channel closes, which makes visible again what was not acknowledged."""
        if self.keeper:
            self.keeper.stop()
