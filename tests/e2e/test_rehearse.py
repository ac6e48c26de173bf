"""A rehearsal by the real command line: real Celery workers, rollouts, reclaims, kills, and every task counted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from project import Project, Ran

from shipit.sandbox.instance.processes import MARK

START = "worker/scripts/start_worker.sh"
TASKS = """
[rehearse]
rate = 5.0
groups = 2
notice = "15s"
visibility = "20s"
tasks = [
  { name = "nap", queue = "email-digest", args = [0.2] },
  { name = "nap", queue = "images-resize", kwargs = { seconds = 0.5 } },
]
"""
NAP = """

@app.task(name="nap")
def nap(seconds: float) -> None:
    import time

    time.sleep(seconds)
"""
ALONE = """
[rehearse]
instances = 1
groups = 1
notice = "1s"
"""


class Rehearsed(Project):
    """A project whose worker has the plugins, one process, and a task that takes its time."""

    def __init__(self, root: Path, more: str) -> None:
        super().__init__(root, more=more)
        tasks = root / "worker/worker/tasks.py"
        tasks.write_text(tasks.read_text() + NAP)
        with (root / "worker/scripts/settings.env").open("a") as settings:
            settings.write("SHIPIT_CELERY_ARGS=--concurrency 1\n")
        self.commit("the build before")

    def rehearse(self, *flags: str) -> Ran:
        process = self.start("rehearse", "--json", *flags)
        out, err = process.communicate(timeout=240)
        return Ran(process.returncode, out, err)

    @property
    def left(self) -> list[str]:
        """Return what a rehearsal left: processes with a folder of its instances in their environment, and files."""
        mark = f"{MARK}={self.root}/.shipit/rehearsal/".encode()
        found = [path.name for path in (self.root / ".shipit").glob("rehearsal*") if path.suffix != ".lock"]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if mark in Path(f"/proc/{pid}/environ").read_bytes():
                    found.append(Path(f"/proc/{pid}/cmdline").read_bytes().decode())
            except OSError:
                continue
        return found


@pytest.fixture
def flowing(tmp_path: Path) -> Iterator[Rehearsed]:
    """A project with tasks that flow, two commits, and no sandbox of its own that runs."""
    project = Rehearsed(tmp_path, TASKS)
    project.commit("the new build")
    yield project
    project.stop()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Rehearsed]:
    """A project of one group and one instance, without tasks."""
    project = Rehearsed(tmp_path, ALONE)
    yield project
    project.stop()


def answer(ran: Ran) -> dict[str, Any]:
    [found] = [e for e in ran.events if e["event"] == "value" and e["kind"] == "rehearsal"]
    return dict(found["fields"])


def notices(ran: Ran) -> str:
    return "\n".join(e["text"] for e in ran.events if e["event"] == "notice")


def test_no_task_is_lost_stranded_or_done_twice_through_three_rollouts_and_two_reclaims(flowing: Rehearsed) -> None:
    ran = flowing.rehearse()
    found = answer(ran)
    [*queues, total] = found["tasks"]
    assert [row["queue"] for row in queues] == ["email-digest", "images-resize"]
    assert {name: total[name] for name in ("lost", "stranded", "twice", "failed")} == dict.fromkeys(
        ("lost", "stranded", "twice", "failed"), 0
    ), ran.all
    assert all(row["sent"] == row["done"] > 20 for row in queues)
    ends = {row["rollout"]: row["ended"] for row in found["rollouts"]}
    broken = ends.pop("a broken build")
    assert broken == "2 of 2 groups failed"
    assert set(ends.values()) == {"well"}
    assert list(ends) == ["the build before", "the new build", "rollback"]
    assert "its worker said: broken on purpose" in notices(ran)
    assert "spot takes an instance of email-digest and images-resize" in notices(ran)
    assert "2 of 2 drained before they went" in notices(ran)
    [explained, *_] = [e for e in ran.events if e["event"] == "group_diagnosed"]
    assert "ApplicationStart" in str(explained)
    assert ran.code == 0, ran.all
    assert flowing.left == []
    assert not flowing.state.exists(), "the project's own sandbox was started"


def test_what_killed_workers_held_is_done_elsewhere_within_ten_seconds(flowing: Rehearsed) -> None:
    ran = flowing.rehearse("--kill")
    found = answer(ran)
    total = found["tasks"][-1]
    assert (total["lost"], total["failed"]) == (0, 0), ran.all
    assert total["redelivered"] > 0, "no worker was killed over a task"
    assert total["redelivery"] <= 10
    assert "killed a worker of email-digest and images-resize" in notices(ran)
    assert ran.code == 0, ran.all
    assert flowing.left == []


def test_a_first_commit_without_tasks_rehearses_its_build_twice_and_says_what_is_missing(alone: Rehearsed) -> None:
    alone.git("checkout", "--quiet", "--orphan", "fresh")
    alone.commit("the only one")
    ran = alone.rehearse()
    assert ran.code == 0, ran.all
    assert "no task flows" in notices(ran)
    assert "no commit before HEAD" in notices(ran)
    found = answer(ran)
    assert "tasks" not in found
    assert len({row["build"] for row in found["rollouts"]}) == 3
    assert found["verdict"] == "every rollout ended as it should; no task flowed"


def test_an_interrupt_leaves_nothing_behind_and_the_projects_own_sandbox_alone(alone: Rehearsed) -> None:
    alone.inv("sandbox.start")
    before = alone.control("status")["pid"]
    ran = alone.interrupted("rehearse", at="rehearsal: the new build")
    assert ran.code == 130, ran.all
    assert "the rehearsal's sandbox is gone" in ran.err
    assert alone.left == []
    assert alone.control("status")["pid"] == before


def test_a_pattern_or_a_commit_that_is_not_there_is_a_usage_error(alone: Rehearsed) -> None:
    pattern = alone.rehearse("--only", "emial-*")
    assert pattern.code == 2
    assert "matches no queue" in pattern.err
    commit = alone.rehearse("--since", "nothing")
    assert commit.code == 2
    assert "no such commit" in commit.err
    assert alone.left == []


def test_a_broken_first_build_ends_the_rehearsal_with_its_reason(alone: Rehearsed) -> None:
    (alone.root / START).write_text("#!/bin/sh\necho no module named worker >&2\nexit 3\n")
    alone.commit("broken")
    alone.commit("broken still")
    ran = alone.rehearse()
    assert ran.code == 1, ran.all
    assert "did not come up" in ran.err
    assert "its worker said: no module named worker" in notices(ran)
    assert alone.left == []
