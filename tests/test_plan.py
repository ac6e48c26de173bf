"""A plan decides every group, with a reason, and writes nothing."""

import pytest
from fakes import deployment, fleet, group, published
from hypothesis import given
from hypothesis import strategies as st

from shipit.errors import UsageError
from shipit.models import Action, Fleet, Instance, Overview, PlannedGroup
from shipit.plan import make_plan, patterns, running_build, select


def decide(*groups: object, only: tuple[str, ...] = (), version: str = "v2") -> dict[str, PlannedGroup]:
    plan = make_plan(
        Fleet(groups=groups),  # type: ignore[arg-type]  # tests pass groups
        published(version),
        rollout_id="r",
        env="test",
        deployment_config="AllAtOnce",
        prefix="builds",
        only=only,
    )
    return {p.group.name: p for p in plan.groups}


def test_a_group_that_runs_another_build_is_deployed_and_the_reason_names_it() -> None:
    found = decide(group("a", last_success=deployment("a", "v1")))["a"]
    assert (found.action, found.running) == (Action.DEPLOY, "v1")
    assert "v1" in found.reason


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


def test_a_busy_group_is_left_alone_and_its_holder_named() -> None:
    holder = deployment("a", "v9", "InProgress", id="d-HOLDER", description="by hand")
    found = decide(group("a", last_attempt=holder))["a"]
    assert found.action is Action.BUSY
    assert "d-HOLDER" in found.reason
    assert "by hand" in found.reason


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
    found = decide(*(made[k](f"g{i}") for i, k in enumerate(kinds)))
    assert sorted(found) == sorted(f"g{i}" for i in range(len(kinds)))
    wanted = {"none": "deploy", "v1": "deploy", "v2": "current", "busy": "busy", "empty": "empty"}
    assert all(found[f"g{i}"].action == wanted[k] for i, k in enumerate(kinds))
