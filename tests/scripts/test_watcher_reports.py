"""The watcher says what runs: when a worker starts, when the last one has ended, and a heartbeat between."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from instance_aws import ID, ROLE_ID
from shipit_instance.facts import Identity, Settings
from shipit_instance.reporter import Reporter
from shipit_instance.spool import Spool
from watched import Instance


def test_a_worker_is_reported_when_it_starts_and_when_the_last_one_has_ended(instance: Instance) -> None:
    (instance.folder / "home/current").mkdir(parents=True)
    (instance.folder / "home/current/build.json").write_text('{"version": "b1", "sha": "abc", "digest": "123"}')
    (instance.folder / "home/deployments").write_text("b0 d-0\nb1 d-1\nb1 d-2\n")
    worker = instance.work()
    instance.run(5)
    worker.ends_at = instance.now
    instance.run(5)
    start, stop = instance.rows()
    assert (start["reason"], start["running_build"], start["deployment_id"]) == ("start", "b1", "d-2")
    assert (start["build"], start["git_sha"], start["digest"]) == ("b1", "abc", "123")
    assert (stop["reason"], stop["running_build"], stop["build"]) == ("stop", "", "b1")
    assert (stop["deployment_id"], stop["process_started_at"]) == ("d-2", "2026-11-22T13:00:00.000Z")
    history = [path for path in instance.aws.puts if "/history/" in path]
    assert [path.partition("day=")[2] for path in history] == [
        f"2026-11-22/{ROLE_ID}:{ID}-1795355000000.json",
        f"2026-11-22/{ROLE_ID}:{ID}-1795355005000.json",
    ]


def test_between_two_builds_only_the_new_ones_start_is_told(instance: Instance) -> None:
    old = instance.work("b1")
    instance.run(5)
    instance.work("b2")
    old.state = "deactivating"
    instance.run(20)
    old.ends_at = instance.now
    instance.run(600)
    told = [(row["reason"], row["running_build"]) for row in instance.rows()]
    assert told[:2] == [("start", "b1"), ("start", "b2")]
    assert set(told[2:]) == {("heartbeat", "b2")}


def test_a_worker_that_died_and_was_started_again_is_a_new_start(instance: Instance) -> None:
    first = instance.work("b1")
    instance.run(5)
    first.ends_at = instance.now
    instance.run(5)
    instance.work("b1")
    instance.run(5)
    assert [row["reason"] for row in instance.rows()] == ["start", "stop", "start"]


def test_heartbeats_come_at_the_interval_and_none_from_a_worker_that_drains(instance: Instance) -> None:
    instance.work(busy=10_000)
    instance.run(3000)
    beats = instance.rows("heartbeat")
    assert len(beats) == 10
    assert all(row["running_build"] == "b1" for row in beats)
    instance.environment = {"SHIPIT_DRAIN_GRACE": "3600"}
    instance.take_away(hook_timeout=60)
    instance.run(1000)
    assert len(instance.rows("heartbeat")) == 10


def test_a_watcher_that_is_started_anew_repeats_no_start_and_keeps_its_moment(instance: Instance) -> None:
    instance.work()
    for _ in range(20):
        instance.run(50)
        instance.restart()
    assert len(instance.rows("start")) == 1
    assert len(instance.rows("heartbeat")) in (3, 4)


def test_an_end_that_nobody_watched_is_told_by_the_next_watcher(instance: Instance) -> None:
    worker = instance.work()
    instance.run(5)
    worker.ends_at = instance.now
    instance.restart()
    instance.run(5)
    assert [row["reason"] for row in instance.rows()] == ["start", "stop"]


def test_the_end_of_the_service_tells_of_workers_that_ended_before_it(instance: Instance) -> None:
    worker = instance.work()
    instance.run(5)
    instance.watcher.last_step()
    worker.ends_at = instance.now
    instance.watcher.last_step()
    instance.sender.step()
    assert [row["reason"] for row in instance.rows()] == ["start", "stop"]


@pytest.mark.parametrize("step", [86_400.0, -86_400.0])
def test_a_clock_that_is_set_brings_one_heartbeat_too_many_and_no_pause(instance: Instance, step: float) -> None:
    instance.work()
    instance.run(1500)
    before = len(instance.rows("heartbeat"))
    instance.skew = step
    instance.run(1500)
    assert len(instance.rows("heartbeat")) - before in (5, 6)


def test_instances_that_were_deployed_to_together_report_at_different_times(tmp_path: Path) -> None:
    phases = []
    for number in range(300):
        reporter = Reporter(
            home="/nowhere",
            settings=Settings({}),
            identity=Identity(f"i-{number:017x}", "a", "spot"),
            spool=Spool(str(tmp_path / "spool"), print),
            wall=lambda: 0.0,
            say=print,
        )
        phases.append(reporter._phase)
    seconds = [int(phase) for phase in phases]
    assert max(seconds.count(one) for one in set(seconds)) <= 6
    assert statistics.mean(phases) == pytest.approx(150, abs=15)


def test_an_hour_without_s3_loses_no_report_and_keeps_their_order(instance: Instance) -> None:
    worker = instance.work("b1")
    instance.run(100)
    instance.aws.s3_down = True
    instance.run(1800)
    worker.ends_at = instance.now
    instance.run(5)
    instance.work("b2")
    instance.run(1800)
    assert [row["reason"] for row in instance.rows()] == ["start"]
    instance.aws.s3_down = False
    instance.run(400)
    rows = instance.rows()
    assert [row["reported_at"] for row in rows] == sorted(row["reported_at"] for row in rows)
    reasons = [row["reason"] for row in rows]
    assert reasons.count("heartbeat") in (12, 13, 14)
    assert [reason for reason in reasons if reason != "heartbeat"] == ["start", "stop", "start"]


def test_systemd_that_does_not_answer_is_no_end_of_anything(instance: Instance) -> None:
    instance.work()
    instance.run(5)
    instance.systemd_fails = True
    instance.run(60)
    instance.restart()
    instance.run(60)
    instance.watcher.last_step()
    instance.systemd_fails = False
    instance.run(10)
    assert [row["reason"] for row in instance.rows()] == ["start"]
    assert sum("no answer" in line for line in instance.said) == 2
