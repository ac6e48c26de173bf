"""The application that the tests start workers of: its tasks note each start and end in the file that NOTES names."""

from __future__ import annotations

import os
import time

import shipit_worker
from celery import Celery
from celery.exceptions import Ignore, Reject

URL = os.environ.get("QUEUE_URL", "")
QUEUE = URL.rpartition("/")[2] or "celery"
_, _, host, *_ = [*URL.split("/"), "", "", ""]

app = Celery("proj", broker=f"sqs://KEY:SECRET@{host}" if URL else os.environ["BROKER_URL"])
app.conf.update(
    task_default_queue=QUEUE,
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_time_limit=600,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)
if URL:
    app.conf.broker_transport_options = {
        "region": "eu-west-1",
        "wait_time_seconds": int(os.environ.get("WAIT", "1")),
        "polling_interval": 0.1,
        "predefined_queues": {QUEUE: {"url": URL}},
    }
PLUGINS = shipit_worker.PLUGINS


def note(what: str, number: int) -> None:
    """Append a line, whole."""
    with open(os.environ["NOTES"], "ab", buffering=0) as file:
        file.write(f"{time.time():.2f} {what} {number}\n".encode())


@app.task(name="work")
def work(number: int, seconds: float = 0.0) -> None:
    note("start", number)
    time.sleep(seconds)
    note("end", number)


@app.task(name="fail")
def fail() -> None:
    raise RuntimeError("on purpose")


@app.task(name="again", bind=True, max_retries=1)
def again(self: object) -> None:
    if not self.request.retries:
        raise self.retry(countdown=0)


@app.task(name="reject")
def reject() -> None:
    raise Reject("on purpose", requeue=False)


@app.task(name="ignore")
def ignore() -> None:
    raise Ignore


@app.task(name="limited", time_limit=1)
def limited() -> None:
    time.sleep(30)


@app.task(name="dies", reject_on_worker_lost=False)
def dies() -> None:
    os._exit(9)
