"""The watcher drains in time, holds what Auto Scaling takes away until it has drained, and says what runs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from instance_aws import ID, REBALANCE, ROLE_ID, SPOT, TARGET, InstanceAws, instance_aws
from shipit_instance.facts import Identity, Settings
from shipit_instance.reporter import Reporter
from shipit_instance.spool import Spool
from watched import Instance


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[InstanceAws]:
    with instance_aws() as found:
        for service in ("S3", "STS", "AUTO_SCALING"):
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", found.url)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
        yield found


@pytest.fixture
def instance(aws: InstanceAws, tmp_path: Path) -> Instance:
    return Instance(aws, tmp_path)


# A spot notice


def test_a_notice_of_two_minutes_lets_tasks_of_a_minute_end(instance: Instance) -> None:
    worker = instance.work(busy=50)
    instance.run(7)
    instance.aws.notice(120, instance.wall)
    instance.run(120)
    assert worker.how == "warm"
    (drain,) = instance.drains
    assert drain.at - 1007 <= 5, "seen at the next look"
    assert (drain.wait, drain.grace, drain.cold) == (11.5, 60.0, 20.0)
    assert "stop worker@b1.service" in instance.asked


def test_a_notice_of_twenty_seconds_gives_messages_back_before_the_end(instance: Instance) -> None:
    worker = instance.work(busy=60)
    instance.run(3)
    instance.aws.notice(20, instance.wall)
    instance.run(20)
    assert worker.how == "cold"
    assert worker.ends_at is not None
    assert worker.ends_at <= 1003 + 20 - 10 + 1.3, "the margin is kept"


def test_every_worker_is_drained_those_that_a_deployment_stops_among_them(instance: Instance) -> None:
    old = instance.work("b1", busy=300, state="deactivating")
    new = instance.work("b2", busy=300)
    instance.run(1)
    instance.aws.notice(60, instance.wall)
    instance.run(59)
    assert {drain.pid for drain in instance.drains} == {old.pid, new.pid}
    assert {old.how, new.how} == {"cold"}


def test_the_workers_own_settings_shape_its_drain(instance: Instance) -> None:
    instance.environment = {"SHIPIT_DRAIN_WAIT": "3.5", "SHIPIT_DRAIN_GRACE": "soon", "SHIPIT_DRAIN_COLD": "4"}
    instance.work()
    instance.aws.notice(120, instance.wall)
    instance.run(1)
    (drain,) = instance.drains
    assert (drain.wait, drain.grace, drain.cold) == (3.5, 60.0, 4.0)


def test_a_process_that_outlives_its_drain_is_killed_with_its_unit(instance: Instance) -> None:
    worker = instance.work(stubborn=True)
    instance.aws.notice(60, instance.wall)
    instance.run(1)
    assert worker.how == "killed"
    assert instance.asked == ["kill worker@b1.service", "stop worker@b1.service"]


def test_a_worker_that_is_started_in_the_end_is_drained_too_and_one_about_to_be_is_stopped(
    instance: Instance,
) -> None:
    instance.work("b1")
    instance.aws.notice(100, instance.wall)
    instance.run(30)
    late = instance.work("b2")
    waits = instance.work("b3", state="activating")
    waits.pid = 0
    instance.run(30)
    assert late.how == "warm"
    assert "stop worker@b3.service" in instance.asked


def test_metadata_that_fail_are_asked_again_and_said_once(instance: Instance) -> None:
    worker = instance.work()
    instance.aws.metadata_fails = 500
    instance.run(60)
    assert instance.drains == []
    assert [line for line in instance.said if "looking again" in line] == [
        "instance metadata: api/token: HTTP 500; looking again"
    ]
    instance.aws.metadata_fails = 0
    instance.aws.notice(30, instance.wall)
    instance.run(30)
    assert worker.how == "warm"
    assert "the instance metadata answer again" in instance.said


def test_metadata_that_fail_in_a_drain_call_nothing_off(instance: Instance) -> None:
    instance.work(busy=20)
    instance.aws.notice(60, instance.wall)
    instance.run(2)
    instance.aws.metadata_fails = 503
    instance.run(50)
    assert len(instance.drains) == 1
    assert not any("stays after all" in line for line in instance.said)


def test_a_token_that_expires_delays_no_notice(instance: Instance) -> None:
    instance.work()
    instance.run(1)
    instance.aws.tokens.clear()
    instance.aws.notice(60, instance.wall)
    instance.run(5)
    assert len(instance.drains) == 1


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_clock_that_is_set_in_a_drain_moves_no_end(instance: Instance, step: float) -> None:
    instance.work(busy=300)
    instance.aws.notice(100, instance.wall)
    instance.run(2)
    instance.skew = step
    instance.run(90)
    (drain,) = instance.drains
    assert drain.grace == pytest.approx(90 - 11.5 - 20, abs=2)


def test_a_notice_that_is_taken_back_leaves_workers_stopped_and_says_so(instance: Instance) -> None:
    instance.work()
    instance.aws.notice(100, instance.wall)
    instance.run(30)
    del instance.aws.metadata[SPOT]
    instance.run(10)
    assert any("stays after all" in line for line in instance.said)
    again = instance.work("b2")
    instance.run(20)
    assert again.ends_at is None
    assert instance.rows()[-1]["reason"] == "start"


def test_a_recommendation_to_rebalance_is_ignored_unless_it_is_asked_for(aws: InstanceAws, tmp_path: Path) -> None:
    aws.metadata[REBALANCE] = '{"noticeTime": "2026-11-22T13:00:00Z"}'
    ignoring = Instance(aws, tmp_path / "ignoring")
    ignoring.work()
    ignoring.run(30)
    assert ignoring.drains == []
    heeding = Instance(aws, tmp_path / "heeding", {"SHIPIT_REBALANCE": "drain"})
    heeding.work()
    heeding.run(1)
    assert len(heeding.drains) == 1


# Scale-in


def test_a_scale_in_longer_than_the_hooks_timeout_is_held_by_heartbeats_until_all_has_ended(
    aws: InstanceAws, tmp_path: Path
) -> None:
    instance = Instance(aws, tmp_path, {"SHIPIT_DRAIN_GRACE": "600"})
    worker = instance.work(busy=400)
    instance.run(10)
    instance.take_away(hook_timeout=60)
    instance.run(500)
    assert worker.how == "warm"
    action = aws.action
    assert action is not None
    assert action.completed_at is not None
    assert worker.ends_at is not None
    assert 0 <= action.completed_at - worker.ends_at <= 3
    assert [round(b - a) for a, b in pairwise(action.beats)] == [30] * 13
    assert aws.calls.count("CompleteLifecycleAction") == 1


def test_the_last_report_is_sent_before_the_instance_is_let_go(instance: Instance) -> None:
    instance.work()
    instance.run(10)
    instance.take_away(hook_timeout=60)
    instance.run(60)
    assert instance.rows()[-1]["reason"] == "stop"
    assert instance.aws.action is not None
    assert instance.aws.action.completed_at is not None


def test_reports_that_cannot_be_sent_hold_an_instance_for_ten_seconds_at_most(instance: Instance) -> None:
    instance.work()
    instance.run(10)
    instance.aws.s3_down = True
    instance.take_away(hook_timeout=60)
    instance.run(60)
    assert instance.aws.action is not None
    completed = instance.aws.action.completed_at
    assert completed is not None
    assert completed - instance.drains[0].at <= 11.5 + 10 + 3


def test_a_worker_that_a_deployment_stops_has_all_its_time_in_a_scale_in(instance: Instance) -> None:
    old = instance.work("b1", state="deactivating")
    instance.take_away(hook_timeout=60)
    instance.run(20)
    assert instance.drains == []
    old.ends_at = instance.now
    instance.run(5)
    assert instance.aws.action is not None
    assert instance.aws.action.completed_at is not None


def test_a_notice_shortens_the_drain_of_a_scale_in(aws: InstanceAws, tmp_path: Path) -> None:
    instance = Instance(aws, tmp_path, {"SHIPIT_DRAIN_GRACE": "3600"})
    worker = instance.work(busy=3000)
    instance.take_away(hook_timeout=60)
    instance.run(100)
    instance.aws.notice(40, instance.wall)
    instance.run(39)
    assert [drain.grace for drain in instance.drains] == [3600.0, pytest.approx(11.0, abs=1.5)]
    assert worker.how == "cold"
    assert worker.ends_at is not None
    assert worker.ends_at <= 1140 - 8


def test_heartbeats_go_on_after_any_failure_but_one_that_says_there_is_no_action(instance: Instance) -> None:
    instance.environment = {"SHIPIT_DRAIN_GRACE": "3600"}
    instance.work(busy=3000)
    instance.take_away(hook_timeout=100)
    name = "RecordLifecycleActionHeartbeat"
    instance.aws.errors[name] = [(500, "InternalFailure"), (400, "Throttling"), (403, "AccessDenied")]
    instance.run(200)
    assert instance.aws.calls.count(name) == 7
    instance.aws.errors[name] = [(400, "ValidationError")]
    instance.run(300)
    assert instance.aws.calls.count(name) == 8
    assert sum("no more heartbeats" in line for line in instance.said) == 1


def test_an_action_that_has_yet_to_begin_is_waited_for(instance: Instance) -> None:
    instance.run(1)
    instance.take_away()
    instance.run(20)  # nothing runs: drained at once, and Auto Scaling says that no action waits
    instance.take_away(hook_timeout=3600)
    instance.run(10)
    assert instance.aws.action is not None
    assert instance.aws.action.completed_at is not None


def test_a_group_without_the_hook_is_asked_for_a_minute(instance: Instance) -> None:
    instance.work()
    instance.take_away()
    instance.run(600)
    assert 10 <= instance.aws.calls.count("CompleteLifecycleAction") <= 14
    assert "ValidationError" in instance.said[-1]


def test_auto_scaling_that_fails_when_all_is_done_is_asked_until_it_answers(instance: Instance) -> None:
    instance.work()
    instance.take_away(hook_timeout=3600)
    instance.aws.errors["CompleteLifecycleAction"] = [(503, "ServiceUnavailable")] * 30
    instance.run(300)
    assert instance.aws.action is not None
    assert instance.aws.action.completed_at is not None


def test_a_watcher_that_takes_over_in_the_middle_of_a_drain_finishes_it(instance: Instance) -> None:
    instance.environment = {"SHIPIT_DRAIN_GRACE": "600"}
    worker = instance.work(busy=100)
    instance.run(10)
    instance.take_away(hook_timeout=60)
    instance.run(20)
    instance.restart()
    instance.run(150)
    assert worker.how == "warm"
    assert instance.aws.action is not None
    assert instance.aws.action.completed_at is not None
    assert [row["reason"] for row in instance.rows()] == ["start", "stop"]


# What is reported


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


def test_systemd_that_does_not_answer_completes_no_action(instance: Instance) -> None:
    instance.work()
    instance.run(5)
    instance.systemd_fails = True
    instance.take_away(hook_timeout=60)
    instance.run(100)
    assert "CompleteLifecycleAction" not in instance.aws.calls


def test_without_a_place_to_report_to_the_watcher_watches_all_the_same(aws: InstanceAws, tmp_path: Path) -> None:
    instance = Instance(aws, tmp_path)
    instance.reporter._settings = Settings({})
    instance.work()
    instance.run(5)
    assert any("SHIPIT_REPORTS" in line for line in instance.said)
    instance.aws.notice(60, instance.wall)
    instance.run(5)
    assert len(instance.drains) == 1
    assert TARGET in instance.aws.metadata
