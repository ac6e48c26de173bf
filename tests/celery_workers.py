"""Real Celery workers as processes, on moto's SQS on loopback."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from celery import Celery
from daemons import eventually
from moto.backends import get_backend
from moto.server import ThreadedMotoServer
from project import REPOSITORY, free_port

from shipit.sandbox.instance.facts import ACCOUNT

SCRIPTS = REPOSITORY / "scripts"
PROJECT = REPOSITORY / "tests/worker/project"


class Broker:
    """An SQS on loopback that can go away and come back, with what it held."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.port = free_port()
        self.start()

    def start(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def queue(self, visibility: int = 600) -> Queue:
        """Return a new queue; a message that nobody gives back is out of sight for longer than any test."""
        return Queue(self.port, visibility)


class Queue:
    """A queue, and tasks to send to it."""

    def __init__(self, port: int, visibility: int) -> None:
        self.name = f"q-{uuid.uuid4().hex[:8]}"
        self.client = boto3.client(
            "sqs",
            region_name="eu-west-1",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="KEY",
            aws_secret_access_key="SECRET",
        )
        created = self.client.create_queue(QueueName=self.name, Attributes={"VisibilityTimeout": str(visibility)})
        self.url: str = created["QueueUrl"]
        self.app = Celery("sender", broker=f"sqs://KEY:SECRET@127.0.0.1:{port}", set_as_current=False)
        self.app.conf.task_ignore_result = True
        self.app.conf.broker_transport_options = {
            "region": "eu-west-1",
            "predefined_queues": {self.name: {"url": self.url}},
        }

    def send(self, task: str, *args: object, **options: Any) -> None:
        self.app.send_task(task, args, queue=self.name, **options)

    def count(self, which: str = "") -> int:
        """Return how many messages can be received; `NotVisible`: how many somebody holds."""
        key = f"ApproximateNumberOfMessages{which}"
        return int(self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=[key])["Attributes"][key])

    def hidden_for(self) -> float:
        """Return for how many seconds from now what was received stays out of sight: moto itself knows."""
        held = get_backend("sqs")[ACCOUNT]["eu-west-1"].queues[self.name].pending_messages
        return max((message.visible_at / 1000 - time.time() for message in held), default=0.0)


class Worker:
    """A prefork worker of tests/worker/project, and what it said."""

    def __init__(self, folder: Path, queue: Queue | None, *words: str, wait: int = 1, **environment: str) -> None:
        folder.mkdir(exist_ok=True)
        self.notes, self.out, self.err = folder / "notes", folder / f"{uuid.uuid4().hex}.out", folder / "err"
        self.notes.touch()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "SHIPIT_"))}
        env = {**kept, "PYTHONPATH": f"{SCRIPTS}:{PROJECT}", "NOTES": str(self.notes), "WAIT": str(wait)}
        env |= {"QUEUE_URL": queue.url} if queue else {"BROKER_URL": "memory://"}
        command = [sys.executable, "-m", "celery", "--app", "proj", "worker", "--without-mingle", "--without-gossip"]
        command += ["--loglevel", "INFO", "--concurrency", "2", *words]
        self.err = self.out.with_suffix(".err")
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                command, env=env | environment, cwd=folder, stdout=out, stderr=err, start_new_session=True
            )

    @property
    def log(self) -> str:
        return self.err.read_text(errors="replace")

    def until(self, text: str, seconds: float = 30) -> Worker:
        """Wait until its log has this text."""
        eventually(lambda: text in self.log, seconds)
        return self

    def ready(self) -> Worker:
        return self.until(" ready.")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 40) -> int:
        return self.process.wait(seconds)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The metrics that it wrote."""
        return [json.loads(row) for row in self.out.read_text().splitlines() if row.startswith("{")]

    def kill(self) -> None:
        """Kill it and its pool, all of a sudden."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


def noted(folder: Path) -> Counter[str]:
    """Return how often each task started and ended, in all workers of the folder: `start 3`, `end 3`."""
    file = folder / "notes"
    rows = file.read_text().splitlines() if file.exists() else []
    return Counter(row.partition(" ")[2] for row in rows)


def drain(worker: Worker, *words: str) -> subprocess.Popen[str]:
    """Start drain.py on a worker."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SHIPIT_")}
    command = [sys.executable, "-I", "-S", str(SCRIPTS / "drain.py"), "--pid", str(worker.process.pid), *words]
    return subprocess.Popen(command, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what drain.py said last, once it has ended, and its exit code as `code`."""
    out, err = process.communicate(timeout=60)
    assert err == ""
    return {**json.loads(out.splitlines()[-1]), "code": process.returncode}


@contextlib.contextmanager
def broker() -> Iterator[Broker]:
    server = Broker()
    try:
        yield server
    finally:
        server.stop()
