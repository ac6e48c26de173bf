"""Each task that ended is one line, whatever became of it, and no process tears another's."""

from __future__ import annotations

import json
import select
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from celery_workers import Queue, Worker, drain, noted, said
from daemons import eventually
from hypothesis import given
from hypothesis import strategies as st
from shipit_worker.metrics import line

Start = Callable[..., Worker]


def test_every_end_of_a_task_is_one_line(queue: Queue, start: Start, tmp_path: Path) -> None:
    worker = start(queue, SHIPIT_BUILD="2026.01.02-030405-gabc").ready()
    for number in range(20):
        queue.send("work", number)
    for task in ("fail", "again", "reject", "ignore", "limited", "dies"):
        queue.send(task)
    queue.send("work", 99, expires=datetime.now(UTC) - timedelta(minutes=1))
    queue.send("work", 98, 1.5)
    expected = Counter(
        {
            ("work", "SUCCESS"): 21,
            ("work", "REVOKED"): 1,
            ("fail", "FAILURE"): 1,
            ("again", "RETRY"): 1,
            ("again", "SUCCESS"): 1,
            ("reject", "REJECTED"): 1,
            ("ignore", "IGNORED"): 1,
            ("limited", "FAILURE"): 1,
            ("dies", "FAILURE"): 1,
        }
    )
    eventually(lambda: len(worker.lines) >= sum(expected.values()))
    assert said(drain(worker, "--wait", "2.5", "--grace", "30"))["how"] == "warm"
    assert Counter((row["task"], row["state"]) for row in worker.lines) == expected
    assert not noted(tmp_path)["start 99"]
    for row in worker.lines:
        assert (row["queue"], row["build"]) == (queue.name, "2026.01.02-030405-gabc")
        assert (row["tasks"], row["receive_count"]) == (1, 1)
    [long] = [row for row in worker.lines if row["task"] == "work" and row.get("task_runtime", 0) > 1]
    assert 1.5 <= long["task_runtime"] < 10
    [limited] = [row for row in worker.lines if row["task"] == "limited"]
    assert limited["task_runtime"] >= 1
    # The test's process sends with the plugin, so the wait is known for all that started in the pool.
    assert all(row["task_wait"] >= 0 for row in worker.lines if row["state"] == "SUCCESS")


def test_a_redelivered_task_says_how_often_it_was_received(queue: Queue, start: Start, tmp_path: Path) -> None:
    first = start(queue).ready()
    queue.send("work", 1, 3.0)
    eventually(lambda: noted(tmp_path)["start 1"])
    # Not at the very moment of the start: docs/worker.md says what a SIGQUIT there may do.
    assert said(drain(first, "--wait", "0", "--grace", "0.5", "--cold", "30"))["how"] == "cold"
    second = start(queue).ready()
    eventually(lambda: second.lines)
    assert not first.lines
    assert [row["receive_count"] for row in second.lines] == [2]


def test_switched_off_there_are_no_lines(queue: Queue, start: Start, tmp_path: Path) -> None:
    worker = start(queue, SHIPIT_METRICS="off").ready()
    queue.send("work", 1)
    eventually(lambda: noted(tmp_path)["end 1"])
    assert said(drain(worker, "--wait", "2.5", "--grace", "30"))["how"] == "warm"
    assert not worker.lines


@given(
    st.text(),
    st.text(max_size=2000),
    st.text(max_size=2000),
    st.none() | st.floats(0, 1e6),
    st.none() | st.floats(0, 1e6),
    st.none() | st.integers(0, 1000),
)
def test_a_line_is_one_line_of_json_that_a_pipe_takes_whole(
    queue: str, task: str, task_id: str, runtime: float | None, wait: float | None, count: int | None
) -> None:
    text = line(
        task=task,
        task_id=task_id,
        queue=queue,
        state="SUCCESS",
        runtime=runtime,
        wait=wait,
        receive_count=count,
        now=1.5e9,
    )
    assert len(text.encode()) <= select.PIPE_BUF
    assert text.endswith("}\n")
    assert len(text.splitlines()) == 1
    row = json.loads(text)
    [directive] = row["_aws"]["CloudWatchMetrics"]
    # A metric that is announced and not there would make CloudWatch drop the whole line.
    assert {metric["Name"] for metric in directive["Metrics"]} <= set(row)
    assert all(row[name] for dimensions in directive["Dimensions"] for name in dimensions)


def test_quotes_and_backslashes_do_not_make_a_line_too_long() -> None:
    text = line(task='"' * 999, task_id="\\" * 999, queue='"' * 999, state="SUCCESS", runtime=1.0, now=1.5e9)
    assert len(text) <= select.PIPE_BUF
