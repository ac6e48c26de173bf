"""An SQS on loopback, and workers that end with the test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery_workers import SCRIPTS, Broker, Queue, Worker, broker

# As the unit does on an instance; and as installing the tool does, whose editable form may be older than the tree.
if str(SCRIPTS) not in sys.path:
    sys.path.append(str(SCRIPTS))

Start = Callable[..., Worker]


@pytest.fixture(scope="module")
def sqs() -> Iterator[Broker]:
    with broker() as server:
        yield server


@pytest.fixture
def queue(sqs: Broker) -> Queue:
    return sqs.queue()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a worker of a queue, with words of the command line and settings of the environment."""
    started: list[Worker] = []

    def one(queue: Queue | None, *words: str, wait: int = 1, **environment: Any) -> Worker:
        started.append(Worker(tmp_path, queue, *words, wait=wait, **environment))
        return started[-1]

    yield one
    for worker in started:
        worker.kill()
