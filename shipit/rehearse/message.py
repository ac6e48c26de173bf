"""Write a task as Celery sends it to SQS, without Celery: its message protocol 2 inside kombu's envelope.

Sources: Celery's "Message Protocol" (docs.celeryq.dev/en/stable/internals/protocol.html), and what
`kombu.transport.SQS` writes: the envelope's JSON in base64, whose body is base64 once more.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

#: What the message says of its sender.
_ORIGIN = "shipit rehearse"


@dataclass(frozen=True, kw_only=True)
class TaskMessage:
    """Name a task with what it is called with; arguments are what JSON can hold."""

    name: str
    queue: str
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)


def encode(task: TaskMessage, task_id: str) -> str:
    """Return the body of the SQS message that asks for the task, under an id of the sender's choice."""
    callbacks = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    body = json.dumps([list(task.args), dict(task.kwargs), callbacks])
    envelope = {
        "body": _base64(body),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": task.name,
            "id": task_id,
            "shadow": None,
            "eta": None,
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": task_id,
            "parent_id": None,
            "argsrepr": repr(task.args),
            "kwargsrepr": repr(dict(task.kwargs)),
            "origin": _ORIGIN,
            "ignore_result": True,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
        },
        "properties": {
            "correlation_id": task_id,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": task.queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    return _base64(json.dumps(envelope))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
