"""One line for each task that ended, in CloudWatch's embedded metric format: P50 and P99 per queue, and per build.

SQS tells no processing times, and Celery's events do not work on it. The line goes to standard output, past the
redirection of Celery's logs, in one write that is shorter than PIPE_BUF, so that processes do not tear each other's.

Written where the task ended: in the pool's process for success, failure, retry, reject; in the main process for what
ended without it: a revoked task, one killed by its time limit, one whose process died and which does not run again.
A task whose message goes back unfinished has not ended, and has no line. SHIPIT_METRICS=off: no lines.
"""

from __future__ import annotations

import functools
import json
import os
import time
import weakref
from datetime import datetime, timezone
from typing import Any

from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.signals import before_task_publish, task_failure, task_postrun, task_prerun, task_received, task_revoked

from shipit_worker.plugin import on, sqs_info

#: The header that says when a task was sent, in seconds since 1970; written by whoever sends it.
SENT = "shipit_sent"
UNITS = {"task_runtime": "Seconds", "task_wait": "Seconds", "receive_count": "Count", "tasks": "Count"}
#: Requests of the main process by the task's id, for what ends without a process of the pool.
_received: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()


def connect() -> None:
    """Write a line whenever a task has ended, and note the time when one is sent."""
    on(before_task_publish, _sent)
    on(task_received, _noted)
    on(task_prerun, _started)
    on(task_postrun, _ended)
    on(task_failure, _killed)
    on(task_revoked, _revoked)


def line(
    *,
    task: str,
    task_id: str,
    queue: str,
    state: str,
    runtime: float | None = None,
    wait: float | None = None,
    receive_count: int | None = None,
    now: float,
) -> str:
    """Return the line of one task: seconds, and `now` in seconds since 1970. What is not known is left out."""
    values = {"task_runtime": runtime, "task_wait": wait, "receive_count": receive_count, "tasks": 1}
    known = {name: round(value, 6) for name, value in values.items() if value is not None}
    directive = {
        "Namespace": "shipit",
        "Dimensions": [["queue"], ["queue", "build"]],
        "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in known],
    }
    row: dict[str, Any] = {
        "_aws": {"Timestamp": int(now * 1000), "CloudWatchMetrics": [directive]},
        # CloudWatch takes no empty dimension.
        "queue": _short(queue) or "unknown",
        "build": _short(os.environ.get("SHIPIT_BUILD", "")) or "unknown",
        "task": _short(task),
        "task_id": _short(task_id),
        "state": state,
        **known,
    }
    if instance := _instance():
        row["instance_id"] = _short(instance)
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n"


def _short(text: str) -> str:
    """Return the text in at most 256 bytes of printable characters, so that the whole line stays below PIPE_BUF."""
    return "".join(c if c.isprintable() else "?" for c in text).encode()[:256].decode(errors="ignore")


@functools.lru_cache(maxsize=1)
def _instance() -> str:
    """Return the instance's id as cloud-init wrote it down; an empty string where it did not."""
    try:
        with open(f"{os.environ.get('SHIPIT_ROOT', '')}/var/lib/cloud/data/instance-id", encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""


def _sent(headers: Any = None, **_: Any) -> None:
    if isinstance(headers, dict):
        headers[SENT] = time.time()


def _noted(request: Any = None, **_: Any) -> None:
    _received[request.id] = request


def _started(task: Any = None, **_: Any) -> None:
    task.request.shipit_started = time.time(), time.monotonic()


def _ended(task: Any = None, task_id: str = "", state: str | None = None, **_: Any) -> None:
    request = task.request
    started = getattr(request, "shipit_started", None)
    # Without a state the process is on its way out, and the main process tells what became of the task. Called
    # directly (apply), it has no message.
    if not state or not started or request.is_eager:
        return
    properties = getattr(request, "properties", None) or {}
    _tell(
        request.__dict__,
        task=task.name,
        task_id=task_id,
        info=properties.get("delivery_info") or {},
        state=state,
        started=started[0],
        runtime=time.monotonic() - started[1],
    )


def _killed(sender: Any = None, task_id: str = "", exception: Any = None, **_: Any) -> None:
    # Every other failure was told by the process that it happened in.
    if isinstance(exception, (TimeLimitExceeded, WorkerLostError)):
        _of_main_process(task_id, "FAILURE")


def _revoked(sender: Any = None, request: Any = None, **_: Any) -> None:
    if request.id in _received:
        _of_main_process(request.id, "REVOKED")
    else:  # Expired when it came, it was never passed on.
        info = (request.properties or {}).get("delivery_info") or {}
        _tell(
            request.__dict__,
            task=sender.name,
            task_id=request.id,
            info=info,
            state="REVOKED",
            started=None,
            runtime=None,
        )


def _of_main_process(task_id: str, state: str) -> None:
    request = _received.pop(task_id, None)
    if request is not None:
        started = request.time_start
        _tell(
            request.request_dict,
            task=request.name,
            task_id=task_id,
            info=sqs_info(request.message) or {},
            state=state,
            started=started,
            runtime=max(0.0, time.time() - started) if started else None,
        )


def _tell(
    headers: dict[str, Any],
    *,
    task: str,
    task_id: str,
    info: dict[str, Any],
    state: str,
    started: float | None,
    runtime: float | None,
) -> None:
    attributes = (info.get("sqs_message") or {}).get("Attributes") or {}
    count = attributes.get("ApproximateReceiveCount")
    url = info.get("sqs_queue") or ""
    routing = (headers.get("delivery_info") or {}).get("routing_key")
    text = line(
        task=task,
        task_id=task_id,
        queue=url.rpartition("/")[2] or routing or os.environ.get("SHIPIT_QUEUE", ""),
        state=state,
        runtime=runtime,
        wait=_waited(headers, attributes, started),
        receive_count=int(count) if count else None,
        now=time.time(),
    )
    os.write(1, text.encode())


def _waited(headers: dict[str, Any], attributes: dict[str, Any], started: float | None) -> float | None:
    """Return the seconds from when the task could start to when it did, by SQS's clock or else the sender's."""
    sent = float(attributes["SentTimestamp"]) / 1000 if "SentTimestamp" in attributes else headers.get(SENT)
    if sent is None or started is None:
        return None
    return max(0.0, started - max(float(sent), _eta(headers.get("eta"))))


def _eta(text: Any) -> float:
    try:
        moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
