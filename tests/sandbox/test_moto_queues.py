"""Each message of a sandbox's queue goes to one living consumer at a time, however many ask at once."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from shipit.sandbox.moto_door import Moto
from shipit.sandbox.moto_queues import DEAD, RECEIVES, FairQueues


@pytest.fixture
def moto() -> Iterator[Moto]:
    moto = Moto("us-east-1")
    yield moto
    moto.sqs.reset()


@pytest.fixture
def queues(moto: Moto) -> FairQueues:
    queues = FairQueues(moto, moto.sqs)
    queues.create(["reports"], 30)
    return queues


def receive(moto: Moto, wait: float = 0, visibility: int = 30) -> list[str]:
    return [m.body for m in moto.sqs.receive_message("reports", 10, wait, visibility)]


def test_a_queue_has_its_timeout_and_a_dead_letter_queue(moto: Moto, queues: FairQueues) -> None:
    found = moto.sqs.get_queue_attributes("reports", ["All"])
    assert found["VisibilityTimeout"] == 30
    assert moto.sqs.get_queue("reports").dead_letter_queue.name == f"reports-{DEAD}"


def test_many_consumers_at_once_get_each_message_once_and_none_is_dropped(moto: Moto, queues: FairQueues) -> None:
    got: list[str] = []
    over = threading.Event()

    def consume() -> None:
        while not over.is_set() or moto.sqs.get_queue("reports").messages:
            for message in moto.sqs.receive_message("reports", 1, 0.05, 30):
                got.append(message.body)
                moto.sqs.delete_message("reports", message.receipt_handle)

    consumers = [threading.Thread(target=consume) for _ in range(8)]
    for thread in consumers:
        thread.start()
    for n in range(400):
        moto.sqs.send_message("reports", str(n))
    over.set()
    for thread in consumers:
        thread.join()
    assert Counter(got) == Counter(map(str, range(400)))


def test_a_consumer_that_died_in_its_long_poll_takes_nothing_with_it(moto: Moto) -> None:
    moto.sqs.create_queue("reports")
    polled: list[list[str]] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        polled.append(receive(moto, wait=20))
        return []

    queues = FairQueues(application, moto.sqs)
    ours, theirs = socket.socketpair()
    with ours:
        poller = threading.Thread(target=queues, args=({"werkzeug.socket": ours}, None))
        poller.start()
        theirs.close()
        moto.sqs.send_message("reports", "late")
        poller.join()
    assert polled == [[]]
    assert receive(moto) == ["late"]


def test_a_message_that_becomes_visible_again_ends_a_long_poll(moto: Moto, queues: FairQueues) -> None:
    moto.sqs.send_message("reports", "again")
    assert receive(moto, visibility=1) == ["again"]
    assert receive(moto) == []
    assert receive(moto, wait=20) == ["again"]


def test_a_message_that_comes_back_too_often_goes_to_the_dead_letter_queue(moto: Moto, queues: FairQueues) -> None:
    moto.sqs.send_message("reports", "poison")
    for _ in range(RECEIVES):
        assert receive(moto, visibility=0) == ["poison"]
        time.sleep(0.002)  # moto's clock has milliseconds, and visible means past the moment
    assert receive(moto) == []
    assert [m.body for m in moto.sqs.receive_message(f"reports-{DEAD}", 1, 0, 30)] == ["poison"]
