"""Read what workers print about the tasks that they ran: one line of CloudWatch's embedded metric format each."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

SUCCESS, FAILURE = "SUCCESS", "FAILURE"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """Tell that a worker was done with a task: times in seconds since 1970, `received` how often SQS gave it out.

    `state` is Celery's: SUCCESS, FAILURE, RETRY, REJECTED, REVOKED. What a line does not tell is 0.
    """

    id: str
    state: str
    ended_at: float
    runtime: float = 0.0
    received: int = 0
    build: str = ""

    @property
    def started_at(self) -> float:
        """Return when the task began."""
        return self.ended_at - self.runtime


def read_line(line: str) -> Ran | None:
    """Return what a line tells of a task; None for every line that is about something else."""
    # A worker's log goes to the same place, so the line may begin behind something that was printed without an end.
    begin = line.find('{"')
    if begin < 0 or '"_aws"' not in line:
        return None
    try:
        found = json.loads(line[begin:])
        stamp = found["_aws"]["Timestamp"]
        ran = Ran(
            id=str(found["task_id"]),
            state=str(found["state"]),
            ended_at=float(stamp) / 1000,
            runtime=_number(found.get("task_runtime")),
            received=int(_number(found.get("receive_count"))),
            build=str(found.get("build", "")),
        )
    except (ValueError, KeyError, TypeError):
        return None
    return ran if math.isfinite(ran.ended_at) else None


def _number(value: Any) -> float:
    number = float(value or 0)
    return number if math.isfinite(number) and number > 0 else 0.0
