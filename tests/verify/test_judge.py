"""Which state each instance gets, by what it reports and by its group, and what to type for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fakes import NOON, report
from hypothesis import given
from hypothesis import strategies as st
from verify.said import COST, EXPECTED, FLEETS, JUST_NOW, SAID, fleet, member, on

from shipit.errors import UsageError
from shipit.models import Fleet, Instance, Node, NodeState, Report, Wanted
from shipit.verify import judge


def judged(*instances: Instance, reports: tuple[Report, ...] = ()) -> tuple[Node, ...]:
    return judge(fleet(*instances), reports, EXPECTED, now=NOON, cost=COST).nodes


@pytest.mark.parametrize(
    ("instance", "said", "state"),
    [
        (member(), on("v2"), "current"),
        (member(), on("v2", age=660), "current"),
        (member(), on("v2", age=-60), "current"),
        (member(launched_at=JUST_NOW), on("v2"), "current"),
        (member(state="Pending:Wait"), on("v2"), "current"),
        (member(launched_at=None), on("v2"), "current"),
        (member(), on("v1"), "outdated"),
        (member(), report(build="v2", running_build="v1"), "restart-needed"),
        (member(), report(build="v2", running_build="stray"), "restart-needed"),
        (member(), report(build="v2", running_build=""), "restart-needed"),
        (member(), report(build="v1", running_build="", digest="d1"), "outdated"),
        (member(), report(build="v1", running_build="v2", digest="d1"), "outdated"),
        (member(), report(build="", running_build="v2"), "unknown-build"),
        (member(), report(build="", running_build=""), "unknown-build"),
        (member(), on("stray"), "unknown-build"),
        (member(), report(digest="d1"), "wrong-digest"),
        (member(), report(digest=""), "wrong-digest"),
        (member(launched_at=JUST_NOW), report(digest="d1"), "wrong-digest"),
        (member(), on("v2", age=661), "stale"),
        (member(), on("v2", age=-61), "stale"),
        (member(), on("v2", reported_at=datetime(1970, 1, 1, tzinfo=UTC)), "stale"),
        (member(), on("v2", reported_at=datetime(9999, 1, 1, tzinfo=UTC)), "stale"),
        (member(), None, "silent"),
        (member(launched_at=None), None, "silent"),
        (member(launched_at=NOON - timedelta(seconds=600)), None, "silent"),
        (member(launched_at=NOON - timedelta(seconds=599)), None, "starting"),
        (member(launched_at=NOON + timedelta(seconds=5)), None, "starting"),
        (member(launched_at=JUST_NOW), on("v1"), "starting"),
        (member(launched_at=JUST_NOW), report(running_build=""), "starting"),
        (member(state="Pending"), None, "starting"),
        (member(state="Pending:Proceed", launched_at=None), on("v1"), "starting"),
        (member(state="Terminating:Wait"), on("v2"), "leaving"),
        (member(state="Standby"), None, "leaving"),
        (member(state="EnteringStandby"), on("v1"), "leaving"),
        (member(state="Detaching", launched_at=JUST_NOW), None, "leaving"),
    ],
)
def test_an_instance_has_the_state_that_its_report_and_its_group_give_it(
    instance: Instance, said: Report | None, state: str
) -> None:
    (node,) = judged(instance, reports=(said,) if said else ())
    assert node.state == state
    assert bool(node.next_step) == (state not in ("current", "leaving"))


def test_a_report_from_outside_the_fleet_has_departed_and_is_not_counted() -> None:
    verification = judge(fleet(member()), [on("v2"), report("i-9")], EXPECTED, now=NOON, cost=COST)
    assert [(n.instance_id, n.state) for n in verification.nodes] == [("i-1", "current"), ("i-9", "departed")]
    assert (verification.counted, verification.converged) == (1, True)


def test_of_several_reports_of_an_instance_the_newest_counts_whatever_their_order() -> None:
    old, new = on("v1", age=120), on("v2", age=60)
    for reports in ((old, new), (new, old)):
        (node,) = judged(member(), reports=reports)
        assert (node.state, node.age) == (NodeState.CURRENT, 60.0)


def test_a_node_tells_what_runs_what_is_installed_and_how_old_that_is() -> None:
    (node,) = judged(member(), reports=(report(running_build="v1"),))
    assert (node.running, node.installed, node.age, node.group, node.queue) == ("v1", "v2", 60.0, "email", "email")


@pytest.mark.parametrize(
    ("said", "step"),
    [
        (on("v1"), "inv deploy --env prod --build v2 --only email"),
        (report(running_build="v1"), "inv deploy --env prod --build v2 --only email"),
        (report(digest="?"), "--instance-id i-1"),
        (on("v2", age=-500), "set its clock"),
        (on("v2", age=5000), "ssm start-session --target i-1"),
    ],
)
def test_the_next_step_names_the_instance_or_its_queue(said: Report, step: str) -> None:
    (node,) = judged(member(), reports=(said,))
    assert step in node.next_step


@given(members=FLEETS, reports=st.lists(SAID, unique_by=lambda r: r.instance_id))
def test_current_is_only_who_proves_it_and_everybody_has_exactly_one_state(
    members: Fleet, reports: list[Report]
) -> None:
    verification = judge(members, reports, EXPECTED, now=NOON, cost=COST)
    told = {r.instance_id: r for r in reports}
    inside = {i.id for group in members.groups for i in group.instances}
    assert sorted(n.instance_id for n in verification.nodes) == sorted(inside | told.keys())
    assert {n.instance_id for n in verification.nodes if n.state is NodeState.DEPARTED} == told.keys() - inside
    for node in verification.nodes:
        kinds = [
            node.state is NodeState.CURRENT,
            node.state is NodeState.STARTING,
            node.state.is_drift,
            node.state.is_unseen,
            not node.state.is_counted,
        ]
        assert kinds.count(True) == 1
        if node.state is NodeState.CURRENT:
            said = told[node.instance_id]
            assert (said.running_build, said.digest) == ("v2", "d2")
            assert abs((NOON - said.reported_at).total_seconds()) <= 660


def test_a_build_that_nobody_published_or_that_nothing_can_prove_is_not_expected() -> None:
    with pytest.raises(UsageError, match="'v3' is not a published build"):
        replace(EXPECTED, groups={"email": Wanted(build="v3")})
    with pytest.raises(UsageError, match="without a digest"):
        replace(EXPECTED, published={"v2": "", "v1": "d1"})
    with pytest.raises(UsageError, match="no build is expected"):
        replace(EXPECTED, groups={})
