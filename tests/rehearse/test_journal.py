"""A worker's line about a task is read for what it says; any other line is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.rehearse import Ran, read_line

LINE = {
    "_aws": {"Timestamp": 1764115200500, "CloudWatchMetrics": []},
    "queue": "email",
    "build": "v1",
    "task": "nap",
    "task_id": "an-id",
    "state": "SUCCESS",
    "task_runtime": 0.5,
    "task_wait": 0.1,
    "receive_count": 2,
    "tasks": 1,
}


def test_a_line_is_a_task_that_ended() -> None:
    found = read_line(json.dumps(LINE))
    assert found == Ran(id="an-id", state="SUCCESS", ended_at=1764115200.5, runtime=0.5, received=2, build="v1")
    assert found.started_at == 1764115200.0


def test_what_a_line_leaves_out_is_not_known() -> None:
    short = {k: v for k, v in LINE.items() if k not in ("task_runtime", "receive_count", "build")}
    found = read_line(json.dumps(short))
    assert found
    assert (found.runtime, found.received, found.build) == (0, 0, "")


def test_a_line_behind_something_that_was_printed_without_an_end_is_read() -> None:
    assert read_line("50% done" + json.dumps(LINE)) is not None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[2026-11-25 23:40:52,584: INFO/MainProcess] Task nap[an-id] succeeded",
        json.dumps({"_aws": {}}),
        json.dumps(LINE)[:-5],
        json.dumps({**LINE, "_aws": {"Timestamp": "yesterday"}}),
        json.dumps({**LINE, "task_runtime": "long"}),
        '{"_aws": null, "task_id": "x", "state": "SUCCESS"}',
    ],
)
def test_any_other_line_is_none(line: str) -> None:
    assert read_line(line) is None


@given(st.text())
def test_no_line_is_ever_an_error(line: str) -> None:
    read_line(line)
    read_line('{"_aws"' + line)
