"""Tasks are sent in turn, counted once each, and a message that could not be sent is not."""

from __future__ import annotations

import json
import threading
from base64 import b64decode
from collections import Counter

import pytest

from shipit.rehearse import TaskMessage, Traffic

TASKS = [TaskMessage(name="nap", queue="email"), TaskMessage(name="nap", queue="reports")]


class Queues:
    """Keep what is sent, raise from the `fails`-th message on, and tell when `enough` came."""

    def __init__(self, enough: int = 10**9, fails: int = 10**9) -> None:
        self.bodies: list[tuple[str, str]] = []
        self.full = threading.Event()
        self._enough = enough
        self._fails = fails

    def send(self, queue: str, body: str) -> None:
        if len(self.bodies) >= self._fails:
            self.full.set()
            raise ConnectionError("no such queue")
        self.bodies.append((queue, body))
        if len(self.bodies) >= self._enough:
            self.full.set()


def test_what_was_sent_is_what_arrived_in_turn() -> None:
    queues = Queues(enough=5)
    traffic = Traffic(queues, TASKS, 1000)
    traffic.start()
    assert queues.full.wait(30)
    traffic.stop()
    ids = [json.loads(b64decode(body))["headers"]["id"] for _, body in queues.bodies]
    assert [one.id for one in traffic.sent] == ids
    assert len(set(ids)) == len(ids)
    assert [one.queue for one in traffic.sent[:4]] == ["email", "reports", "email", "reports"]
    counts = Counter(one.queue for one in traffic.sent)
    assert abs(counts["email"] - counts["reports"]) <= 1


def test_nothing_is_sent_after_the_stop() -> None:
    queues = Queues(enough=1)
    traffic = Traffic(queues, TASKS, 1000)
    traffic.start()
    assert queues.full.wait(30)
    traffic.stop()
    before = len(queues.bodies)
    traffic.stop()
    assert len(queues.bodies) == before == len(traffic.sent)


def test_a_message_that_could_not_be_sent_is_raised_once_and_not_counted() -> None:
    queues = Queues(fails=2)
    traffic = Traffic(queues, TASKS, 1000)
    traffic.start()
    assert queues.full.wait(30)
    with pytest.raises(ConnectionError):
        traffic.stop()
    traffic.stop()
    assert len(traffic.sent) == 2


def test_a_stop_without_a_start_does_nothing() -> None:
    traffic = Traffic(Queues(), TASKS, 1)
    traffic.stop()
    assert traffic.sent == ()
