"""Rules for the queues themselves: what SQS does with a message whose task is slow, or kills its worker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shipit.lint.celery import Celery
from shipit.lint.rules import Rule
from shipit.models import Finding, QueueFacts, Severity
from shipit.wording import duration

MISSING = Rule(
    id="sqs-queue-missing",
    finds="a group whose queue does not exist (`--live`)",
    why="its workers have nothing to consume: with predefined queues every poll fails, without them kombu creates "
    "the queue with a visibility timeout of its own (30 min) and no dead-letter queue",
    fix="create the queue, or correct the group's tag (`queue-tag` in shipit.toml)",
)
DEAD_LETTER = Rule(
    id="sqs-no-dead-letter-queue",
    finds="`task_reject_on_worker_lost` with a queue that has no RedrivePolicy (`--live`)",
    why="measured: a task that always kills its process comes back for ever, and takes a process each time; with "
    "maxReceiveCount 3 it ran 3 times and went to the dead-letter queue",
    fix='set a RedrivePolicy: {"deadLetterTargetArn": "…", "maxReceiveCount": "3"}',
    severity=Severity.ERROR,
)
VISIBILITY = Rule(
    id="sqs-visibility-timeout",
    finds="a visibility timeout below `task_time_limit` or a countdown in the source, without the keeper (`--live`)",
    why="measured with a timeout of 3 s, tasks of 8 s and two workers: both tasks ran twice; with the keeper (6 s, "
    "tasks of 20 s) none did, and what a killed worker held started elsewhere after 5.2 s",
    fix="`import shipit_worker` in the Celery module (then 60 to 120 s suffice), or raise the queue's visibility "
    "timeout",
)
RULES = (MISSING, DEAD_LETTER, VISIBILITY)

#: What findings in the queues call their file.
PLACE = "sqs"


def check_queues(queues: Iterable[QueueFacts], found: Celery) -> Iterator[Finding]:
    """Yield what is wrong with the queues, given what the source says of the tasks."""
    limit = found.time_limit
    delay = max(((s, m.file, n) for m in found.modules for n, s in m.delays), default=None)
    for queue in queues:
        if not queue.exists:
            yield MISSING.at(PLACE, 0, f"{queue.name}: there is no such queue")
            continue
        if found.rejects and not queue.dead_letter:
            yield DEAD_LETTER.at(PLACE, 0, f"{queue.name}: has no dead-letter queue")
        if found.keeper:
            continue
        timeout = f"{queue.name}: visibility timeout {duration(queue.visibility_timeout)}"
        if limit and isinstance(limit.value, int | float) and limit.value > queue.visibility_timeout:
            said = f"tasks may run {duration(limit.value)} ({limit.file}:{limit.line})"
            yield VISIBILITY.at(PLACE, 0, f"{timeout}, {said}")
        elif delay and delay[0] > queue.visibility_timeout:
            yield VISIBILITY.at(PLACE, 0, f"{timeout}, a countdown of {duration(delay[0])} ({delay[1]}:{delay[2]})")
