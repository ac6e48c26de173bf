"""A plan decides every group, with a reason, and writes nothing."""

from datetime import timedelta
from typing import Any

import pytest
from fakes import NOON, deployment, fleet, group, published
from hypothesis import given
from hypothesis import strategies as st

from shipit.errors import UsageError
from shipit.models import Action, Fleet, HealthRule, Instance, Overview, PlannedGroup, RolloutPlan
from shipit.plan import Rules, make_plan, patterns, running_build, select


def planned(*groups: object, version: str = "v2", **rules: Any) -> RolloutPlan:
    return make_plan(
        Fleet(groups=groups),  # type: ignore[arg-type]  # tests pass groups
        published(version),
        Rules(prefix="builds", deployment_config="AllAtOnce", **rules),
        rollout_id="r",
        env="test",
    )


def decide(*groups: object, version: str = "v2", **rules: Any) -> dict[str, PlannedGroup]:
    return {p.group.name: p for p in planned(*groups, version=version, **rules).groups}


def test_a_group_that_runs_another_build_is_deployed_and_the_plan_names_it() -> None:
    found = decide(group("a", last_success=deployment("a", "v1")))["a"]
    assert (found.action, found.running) == (Action.DEPLOY, "v1")
    assert found.reason == "runs another build"


def test_a_group_that_runs_the_build_is_current() -> None:
    assert decide(group("a", last_success=deployment("a", "v2")))["a"].action is Action.CURRENT


def test_a_group_never_deployed_to_is_deployed() -> None:
    assert decide(group("a"))["a"].action is Action.DEPLOY


def test_a_group_of_the_build_with_a_later_failure_is_deployed_again() -> None:
    success = deployment("a", "v2")
    later = deployment("a", "v3", "Failed", id="d-LATER")
    found = decide(group("a", last_success=success, last_attempt=later))["a"]
    assert found.action is Action.DEPLOY
    assert "d-LATER" in found.reason


def test_a_success_that_left_instances_behind_is_not_current() -> None:
    success = deployment("a", "v2", overview=Overview(succeeded=3, skipped=1))
    found = decide(group("a", last_success=success))["a"]
    assert found.action is Action.DEPLOY
    assert "1 of 4" in found.reason


HOLDER = deployment("a", "v9", "InProgress", id="d-HOLDER", description="by hand", created_at=NOON)


@pytest.mark.parametrize(
    ("on_busy", "action", "verb"),
    [
        ("skip", Action.BUSY, ""),
        ("fail", Action.BUSY, ""),
        ("wait", Action.DEPLOY, "waits"),
        ("stop", Action.DEPLOY, "stops"),
    ],
)
def test_a_busy_group_is_treated_as_the_policy_says_and_its_holder_named(
    on_busy: str, action: Action, verb: str
) -> None:
    found = decide(group("a", last_attempt=HOLDER), on_busy=on_busy, now=NOON + timedelta(seconds=90))["a"]
    assert found.action is action
    assert found.holder == HOLDER
    for word in (verb, "d-HOLDER", "user", "1 min 30 s old", "by hand"):
        assert word in found.reason


def test_a_group_of_the_build_that_is_busy_with_another_is_deployed_after_it() -> None:
    found = decide(group("a", last_success=deployment("a", "v2"), last_attempt=HOLDER))["a"]
    assert (found.action, found.holder) == (Action.DEPLOY, HOLDER)


def test_a_group_on_a_newer_build_is_not_taken_back_unless_asked() -> None:
    ahead = group("a", last_success=deployment("a", "v3"))
    newer = {"v3": "v2 is older than v3 by ancestry"}
    found = decide(ahead, newer=lambda running: newer.get(running, ""))["a"]
    assert (found.action, found.reason) == (Action.NEWER, newer["v3"])
    assert decide(ahead)["a"].action is Action.DEPLOY


def test_a_newer_build_counts_before_a_busy_group_is_waited_for() -> None:
    ahead = group("a", last_success=deployment("a", "v3"), last_attempt=HOLDER)
    assert decide(ahead, newer=lambda running: "newer")["a"].action is Action.NEWER


def test_the_first_wave_that_matches_takes_a_group_and_the_longest_come_first() -> None:
    groups = [group(n) for n in ("canary-a", "x", "y", "z")]
    made = planned(*groups, waves=(("canary-*",), ("x", "canary-*"), ("*",)), expected={"y": 10.0, "z": 20.0})
    assert [[p.group.name for p in wave] for wave in made.waves] == [["canary-a"], ["x"], ["z", "y"]]


@pytest.mark.parametrize("waves", [(("canarry-*",), ("*",)), (("canary-*",),)])
def test_a_wave_of_nothing_and_a_queue_in_no_wave_are_errors(waves: tuple[tuple[str, ...], ...]) -> None:
    with pytest.raises(UsageError, match=r"rollout\.waves"):
        planned(group("canary-a"), group("x"), waves=waves)


HALF = HealthRule(value=50, percent=True)


@pytest.mark.parametrize(("size", "config"), [(1, "CodeDeployDefault.OneAtATime"), (2, ""), (9, "")])
def test_a_share_that_leaves_a_small_group_no_slot_gives_way_to_a_count(size: int, config: str) -> None:
    found = decide(group("a", instances=size), slots=lambda name, hosts: HALF.slots(hosts))["a"]
    assert found.config == config
    assert ("OneAtATime" in found.reason) is bool(config)


def test_the_slots_of_the_rules_are_those_of_the_documentation() -> None:
    assert [HALF.slots(n) for n in (1, 2, 9)] == [0, 1, 4]
    assert HealthRule(value=95, percent=True).slots(10) == 0
    assert HealthRule(value=40, percent=True).slots(9) == 5
    assert HealthRule(value=2).slots(3) == 1
    assert [HealthRule().slots(n) for n in (0, 1, 5)] == [0, 1, 1]


def test_a_group_without_an_instance_in_service_is_empty() -> None:
    pending = (Instance(id="i-1", asg="worker-b", state="Pending:Wait"),)
    found = decide(group("a", instances=0), group("b", instances=pending))
    assert {p.action for p in found.values()} == {Action.EMPTY}


def test_only_selects_queues_by_wildcard_and_excludes_the_rest() -> None:
    found = decide(group("a", queue="email-a"), group("b", queue="reports"), group("c", queue="c"), only=("email-*",))
    assert {n: p.action for n, p in found.items()} == {
        "a": Action.DEPLOY,
        "b": Action.EXCLUDED,
        "c": Action.EXCLUDED,
    }


def test_a_pattern_that_matches_nothing_is_an_error_that_lists_the_queues() -> None:
    with pytest.raises(UsageError, match="emial") as caught:
        select(fleet(group("email")), ("email", "emial-*"))
    assert "email" in caught.value.hint


def test_a_list_of_patterns_splits_at_commas() -> None:
    assert patterns(" email-*, reports ,") == ("email-*", "reports")
    assert patterns("") == ()
    with pytest.raises(UsageError):
        patterns(" , ")


def test_a_revision_of_somebody_else_names_no_build() -> None:
    foreign = deployment("a", "v1")
    assert running_build(foreign, "builds") == "v1"
    assert running_build(foreign, "other") == ""
    assert running_build(None, "builds") == ""


@given(st.lists(st.sampled_from(["none", "v1", "v2", "busy", "empty"]), min_size=1, max_size=8))
def test_every_group_is_decided_exactly_once(kinds: list[str]) -> None:
    made = {
        "none": lambda n: group(n),
        "v1": lambda n: group(n, last_success=deployment(n, "v1")),
        "v2": lambda n: group(n, last_success=deployment(n, "v2")),
        "busy": lambda n: group(n, last_attempt=deployment(n, "v1", "Queued")),
        "empty": lambda n: group(n, instances=0),
    }
    found = decide(*(made[k](f"g{i}") for i, k in enumerate(kinds)), on_busy="skip")
    assert sorted(found) == sorted(f"g{i}" for i in range(len(kinds)))
    wanted = {"none": "deploy", "v1": "deploy", "v2": "current", "busy": "busy", "empty": "empty"}
    assert all(found[f"g{i}"].action == wanted[k] for i, k in enumerate(kinds))
