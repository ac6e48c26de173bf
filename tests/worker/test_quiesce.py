"""What the signals ask for holds whatever the consumer goes through."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from celery import Celery
from celery.worker.consumer import Consumer
from celery_workers import PROJECT, SCRIPTS
from shipit_worker.quiesce import RESUME, STOP, Quiesce, Wanted


class Fake:
    """A consumer as the step sees it: Celery's own queues and methods, and kombu's consumer on a broker in memory."""

    add_task_queue = Consumer.add_task_queue
    cancel_task_queue = Consumer.cancel_task_queue
    hub = None

    def __init__(self) -> None:
        self.app = Celery("fake", broker="memory://", set_as_current=False)
        self.app.conf.task_queues = None
        self.app.amqp.queues.add("one")
        self.app.amqp.queues.add("two")
        self.app.amqp.queues.select(["one", "two"])
        self.connection = self.app.connection_for_read()
        self.soon: list[Any] = []
        self.connect()

    def call_soon(self, call: Any, *args: object) -> None:
        self.soon.append(lambda: call(*args))

    def connect(self) -> None:
        """Make a new consumer of what is to be consumed, as a restart does before the steps that follow."""
        self.task_consumer = self.app.amqp.TaskConsumer(self.connection.channel())

    @property
    def polled(self) -> set[str]:
        self.task_consumer.consume()
        return {queue.name for queue in self.task_consumer.queues if self.task_consumer.consuming_from(queue)}


@pytest.fixture
def wanted() -> Wanted:
    Quiesce.wanted = Wanted()
    return Quiesce.wanted


def test_a_signal_before_the_consumer_is_ready_holds_for_it(wanted: Wanted) -> None:
    wanted.handle(STOP, None)
    consumer = Fake()
    Quiesce(consumer).start(consumer)
    assert consumer.polled == set()


def test_a_consumer_that_restarts_stays_quiesced_until_it_is_resumed(wanted: Wanted) -> None:
    consumer = Fake()
    step = Quiesce(consumer)
    step.start(consumer)
    assert consumer.polled == {"one", "two"}
    wanted.handle(STOP, None)
    for call in consumer.soon:
        call()
    assert consumer.polled == set()
    consumer.connect()
    step.start(consumer)
    assert consumer.polled == set()
    wanted.handle(RESUME, None)
    consumer.soon[-1]()
    assert consumer.polled == {"one", "two"}


def test_a_signal_while_there_is_no_consumer_is_done_when_there_is_one(wanted: Wanted) -> None:
    consumer = Fake()
    step = Quiesce(consumer)
    step.start(consumer)
    kept, consumer.task_consumer = consumer.task_consumer, None
    wanted.handle(STOP, None)
    consumer.soon[-1]()
    consumer.task_consumer = kept
    step.start(consumer)
    assert consumer.polled == set()


def test_any_number_of_signals_never_blocks_the_process(wanted: Wanted) -> None:
    for _ in range(70_000):  # more than a pipe holds
        wanted.handle(STOP, None)
    wanted.drain()
    assert wanted.stopped


def test_a_signal_to_a_process_of_the_pool_means_nothing_to_it(wanted: Wanted) -> None:
    child = os.fork()
    if not child:
        wanted.handle(STOP, None)
        os._exit(int(wanted.stopped))
    assert os.waitpid(child, 0)[1] == 0


def test_a_handler_of_the_application_is_left_in_place() -> None:
    code = (
        "import signal, shipit_worker.quiesce as q\n"
        "mine = lambda *_: None\n"
        "signal.signal(signal.SIGUSR2, mine)\n"
        "from celery import Celery\n"
        "from celery.signals import worker_init\n"
        "class W: app = Celery('x', broker='memory://')\n"
        "worker_init.send(sender=W)\n"
        "worker_init.send(sender=W)\n"
        "print(signal.getsignal(signal.SIGUSR2) is mine, callable(signal.getsignal(signal.SIGTTIN)))\n"
    )
    env = {**os.environ, "PYTHONPATH": f"{SCRIPTS}:{PROJECT}"}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert ran.stdout == "True True\n"
    assert ran.stderr.count("SIGUSR2 has a handler of the application's") == 2


def test_importing_it_changes_no_signal_of_a_process_that_is_no_worker() -> None:
    code = (
        "import signal, sys, threading, shipit_worker, importlib\n"
        "importlib.reload(shipit_worker)\n"
        "from celery.signals import task_postrun\n"
        "print(signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL, threading.active_count(),"
        " len(task_postrun.receivers))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("True 1 1\n", "")


def test_the_signals_are_those_that_the_page_names() -> None:
    assert (STOP, RESUME) == (signal.SIGUSR2, signal.SIGTTIN)
