"""A visibility timeout outlasts the tasks or is extended, and what kills workers ends in a dead-letter queue."""

from __future__ import annotations

import pytest
from bundles import File, look

from shipit.models import QueueFacts, Severity

APP = """
    from celery import Celery
    app = Celery("x", broker="sqs://")
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_time_limit=600,
        worker_prefetch_multiplier=1,
        broker_transport_options={"wait_time_seconds": 2},
    )
    """
GOOD = QueueFacts(name="email", visibility_timeout=601, dead_letter="arn:aws:sqs:x:1:email-dead", max_receives=3)
SHORT = QueueFacts(name="email", visibility_timeout=30, dead_letter="arn:aws:sqs:x:1:email-dead", max_receives=3)


def said(text: str, *queues: QueueFacts) -> list[tuple[str, str]]:
    files: dict[str, str | File] = {"app.py": text}
    return [(f.rule, f.what) for f in look(files, queues=queues).findings if f.file == "sqs"]


def test_a_queue_that_outlasts_its_tasks_has_no_findings() -> None:
    assert said(APP, GOOD) == []


def test_a_queue_that_is_not_there_is_found() -> None:
    assert said(APP, QueueFacts(name="email", exists=False)) == [
        ("sqs-queue-missing", "email: there is no such queue")
    ]


def test_a_task_that_kills_its_process_needs_somewhere_to_end() -> None:
    bare = QueueFacts(name="email", visibility_timeout=900)
    assert [rule for rule, _ in said(APP, bare)] == ["sqs-no-dead-letter-queue"]
    assert said(APP.replace("lost=True", "lost=False"), bare) == []
    by_task = "import celery\n@app.task(reject_on_worker_lost=True)\ndef f(): pass\n"
    assert [rule for rule, _ in said(by_task, bare)] == ["sqs-no-dead-letter-queue"]
    [finding] = look({"app.py": by_task}, queues=[bare]).findings
    assert finding.severity is Severity.ERROR


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (APP, "email: visibility timeout 30 s, tasks may run 10 min (app.py:6)"),
        (
            APP.replace("task_time_limit=600,", "") + "\n    f.apply_async(countdown=60 * 60)\n",
            "email: visibility timeout 30 s, a countdown of 1 h (app.py:11)",
        ),
        (
            "import celery\n@app.task(time_limit=40)\ndef f(): pass\n",
            "email: visibility timeout 30 s, tasks may run 40 s (app.py:2)",
        ),
        (
            "import celery\n@app.task(default_retry_delay=31)\ndef f(): pass\n",
            "email: visibility timeout 30 s, a countdown of 31 s (app.py:2)",
        ),
    ],
)
def test_a_timeout_below_what_tasks_may_take_is_found(text: str, what: str) -> None:
    assert said(text, SHORT) == [("sqs-visibility-timeout", what)]


@pytest.mark.parametrize(
    "text",
    [
        APP + "\n    import shipit_worker\n",
        APP.replace("=600", "=limit()"),
        APP.replace("=600", "=30"),
        APP.replace("task_time_limit=600,", "") + "\n    f.retry(countdown=30)\n",
    ],
)
def test_a_timeout_that_is_extended_or_long_enough_or_of_unknown_tasks_is_none(text: str) -> None:
    assert said(text, SHORT) == []


def test_each_queue_is_judged_by_itself() -> None:
    linted = look({"app.py": APP}, queues=[GOOD, SHORT, QueueFacts(name="video", exists=False)])
    assert (linted.queues, len(linted.findings)) == (3, 2)


def test_the_keeper_that_is_switched_off_extends_nothing() -> None:
    files: dict[str, str | File] = {
        "app.py": APP + "\n    import shipit_worker\n",
        "scripts/defaults.env": "SHIPIT_VISIBILITY=0\n",
    }
    assert [f.rule for f in look(files, queues=[SHORT]).findings] == ["sqs-visibility-timeout"]
