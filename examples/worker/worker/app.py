"""The Celery application: `celery --app worker.app worker --queues NAME`."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

# Switches the plugins on: docs/worker.md of shipit. On an instance it comes with the bundle, in scripts/.
import shipit_worker  # noqa: F401
from celery import Celery

from worker.queues import QUEUES, ROUTES, url_of


def broker_url() -> str:
    """Return BROKER_URL, else SQS: at the endpoint that the environment names, or that of AWS."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_SQS", "")
    return os.environ.get("BROKER_URL") or f"sqs://{urlsplit(endpoint).netloc}"


app = Celery("worker", broker=broker_url(), include=["worker.tasks"])
app.conf.update(
    task_routes=ROUTES,
    task_ignore_result=True,
    # A message is deleted when its task is done, and comes back when the task's process dies. Tasks may thus run
    # twice: they must be idempotent, and their queues need a dead-letter queue for one that always kills its process.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # Without one the keeper would keep the message of a task that hangs.
    task_time_limit=600,
    # Spot instances go away: hold no more messages than there are processes to work on them.
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)
if app.conf.broker_url.startswith("sqs"):
    app.conf.broker_transport_options = {
        "region": os.environ.get("AWS_REGION", "us-east-1"),
        # Short: a drain begins with waiting for the polls that are out, SHIPIT_DRAIN_WAIT seconds: this and 1.5.
        "wait_time_seconds": 2,
        "polling_interval": 0.1,
        # Known by URL, so that the role needs no right to list or create queues.
        "predefined_queues": {name: {"url": url_of(name)} for name in QUEUES},
    }
