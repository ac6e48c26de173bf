"""The watcher drains in time, and holds what Auto Scaling takes away until it has drained."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from instance_aws import REBALANCE, SPOT, TARGET, InstanceAws
from shipit_instance.facts import Settings
from watched import Instance

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
