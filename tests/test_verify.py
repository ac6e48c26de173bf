"""The verdict over the fleet: which state each instance gets, what ends the wait, what the outcome is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes import NOON, FakeClock
from hypothesis import given
from hypothesis import strategies as st

from shipit.errors import AwsUnavailable, DriftError, ShipitError, StillRunning, UsageError
from shipit.events import Event, Notice, Verified
from shipit.models import Fleet, Group, Instance, Node, NodeState, QueryCost, Report, Verification
from shipit.verify import Expectation, judge, outcome, verify

PUBLISHED = {"v2": "d2", "v1": "d1"}
EXPECTED = Expectation(env="prod", build="v2", published=PUBLISHED, heartbeat=300.0, grace=600.0)
COST = QueryCost(query_id="q", scanned=500, seconds=1.0, dollars=0.00005)
LONG_AGO = NOON - timedelta(hours=3)
JUST_NOW = NOON - timedelta(minutes=3)


def member(id: str = "i-1", state: str = "InService", launched_at: datetime | None = LONG_AGO) -> Instance:
    return Instance(id=id, asg="workers-email", state=state, launched_at=launched_at)


def fleet(*instances: Instance) -> Fleet:
    return Fleet(groups=(Group(name="email", queue="email", asg="workers-email", instances=instances),))


def report(id: str = "i-1", *, age: float = 60.0, **changes: Any) -> Report:
    said = Report(
        instance_id=id,
        asg="workers-email",
        queue="email",
        build="v2",
        running_build="v2",
        digest="d2",
        deployment_id="d-1",
        reason="heartbeat",
        reported_at=NOON - timedelta(seconds=age),
    )
    return replace(said, **changes)


def on(build: str, **changes: Any) -> Report:
    return report(build=build, running_build=build, digest=PUBLISHED.get(build, "?"), **changes)


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


def test_a_node_tells_what_runs_what_is_installed_and_how_old_that_is() -> None:
    (node,) = judged(member(), reports=(report(running_build="v1"),))
    assert (node.running, node.installed, node.age, node.group, node.queue) == ("v1", "v2", 60.0, "email", "email")


@pytest.mark.parametrize(
    ("said", "step"),
    [
        (on("v1"), "inv deploy --build v2 --only email"),
        (report(running_build="v1"), "ssm start-session --target i-1"),
        (report(digest="?"), "--instance-id i-1"),
        (on("v2", age=-500), "set its clock"),
        (on("v2", age=5000), "ssm start-session --target i-1"),
    ],
)
def test_the_next_step_names_the_instance_or_its_queue(said: Report, step: str) -> None:
    (node,) = judged(member(), reports=(said,))
    assert step in node.next_step


MOMENTS = st.sampled_from([-(10**8), -3600, -61, -60, 0, 60, 660, 661, 3600, 10**9]).map(
    lambda ago: NOON - timedelta(seconds=ago)
)
VERSIONS = st.sampled_from(["v2", "v1", "stray", ""])
IDS = st.sampled_from([f"i-{n}" for n in range(6)])
SAID = st.builds(
    report,
    IDS,
    build=VERSIONS,
    running_build=VERSIONS,
    digest=st.sampled_from(["d2", "d1", ""]),
    reported_at=MOMENTS,
)
STATES = st.sampled_from(["InService", "Pending", "Pending:Wait", "Standby", "Terminating:Wait", "Detaching", "Odd"])
FLEETS = st.lists(st.builds(member, IDS, STATES, st.none() | MOMENTS), unique_by=lambda i: i.id).map(
    lambda instances: fleet(*instances)
)


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


@given(members=FLEETS, reports=st.lists(SAID, unique_by=lambda r: r.instance_id))
def test_the_outcome_is_a_success_exactly_where_the_fleet_is_converged(members: Fleet, reports: list[Report]) -> None:
    verification = judge(members, reports, EXPECTED, now=NOON, cost=COST)
    try:
        outcome(verification)
        passed = True
    except (DriftError, StillRunning):
        passed = False
    assert passed == verification.converged


def test_a_build_that_nobody_published_or_that_nothing_can_prove_is_not_expected() -> None:
    with pytest.raises(UsageError, match="'v3' is not a published build"):
        replace(EXPECTED, build="v3")
    with pytest.raises(UsageError, match="without a digest"):
        replace(EXPECTED, published={"v2": ""})


def verification(*states: NodeState, scanned: int = 500) -> Verification:
    nodes = tuple(Node(instance_id=f"i-{n}", group="g", queue="q", state=s) for n, s in enumerate(states))
    return Verification(env="prod", build="v2", nodes=nodes, cost=QueryCost(scanned=scanned), at=NOON)


@pytest.mark.parametrize(
    ("states", "scanned", "error", "words"),
    [
        ((), 500, DriftError, "nothing was checked"),
        ((NodeState.DEPARTED, NodeState.LEAVING), 500, DriftError, "nothing was checked"),
        ((NodeState.CURRENT, NodeState.OUTDATED), 500, DriftError, "1 of 2 .* 1 drifted"),
        ((NodeState.CURRENT, NodeState.SILENT), 500, DriftError, "1 unseen"),
        ((NodeState.CURRENT, NodeState.STALE, NodeState.STARTING), 500, DriftError, "1 unseen, 1 starting"),
        ((NodeState.CURRENT, NodeState.STARTING), 500, StillRunning, "1 of 2 instances are still starting"),
        ((NodeState.SILENT,), 0, DriftError, "read no report at all"),
        ((NodeState.CURRENT,), 0, DriftError, "read no report at all"),
        ((NodeState.STARTING,), 0, StillRunning, "still starting"),
    ],
)
def test_whatever_is_not_proved_is_an_error(
    states: tuple[NodeState, ...], scanned: int, error: type[ShipitError], words: str
) -> None:
    with pytest.raises(error, match=words):
        outcome(verification(*states, scanned=scanned))


class Source:
    """Play a fleet and its reports: one answer per look, the last one stays; an error is raised."""

    def __init__(self, *looks: Report | AwsUnavailable | None) -> None:
        self.looks = list(looks)
        self.asked: list[tuple[datetime, float]] = []

    def read_with_launch_times(self) -> Fleet:
        return fleet(member())

    def latest_reports(self, now: datetime, look_back: float) -> tuple[tuple[Report, ...], QueryCost]:
        self.asked.append((now, look_back))
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, AwsUnavailable):
            raise look
        return ((replace(look, reported_at=now),) if look else ()), COST


def looked(source: Source, wait: float) -> tuple[Verification, list[Event], FakeClock]:
    clock, events = FakeClock(), list[Event]()
    found = verify(
        source, source, EXPECTED, clock=clock, look_back=3600.0, wait=wait, poll=15.0, listen=events.append
    )
    return found, events, clock


def test_without_a_wait_it_looks_once() -> None:
    source = Source(on("v1"))
    found, events, clock = looked(source, 0.0)
    assert events == [Verified(verification=found, final=True)]
    assert source.asked == [(NOON, 3600.0)]
    assert clock.sleeps == 0


def test_it_looks_until_the_fleet_has_converged() -> None:
    found, events, _ = looked(Source(None, on("v1"), on("v2")), 600.0)
    assert found.converged
    assert [e.final for e in events if isinstance(e, Verified)] == [False, False, True]
    assert found.at == NOON + timedelta(seconds=30)


def test_the_last_look_is_at_the_deadline() -> None:
    found, events, _ = looked(Source(on("v1")), 40.0)
    assert not found.converged
    assert found.at == NOON + timedelta(seconds=40)
    assert [e.final for e in events if isinstance(e, Verified)] == [False, False, False, True]


def test_aws_out_of_reach_is_a_notice_while_there_is_time() -> None:
    found, events, _ = looked(Source(AwsUnavailable("no network"), on("v2")), 600.0)
    assert found.converged
    assert isinstance(events[0], Notice)
    assert "no network" in events[0].text


def test_aws_out_of_reach_at_the_deadline_is_no_verdict() -> None:
    with pytest.raises(AwsUnavailable):
        looked(Source(on("v1"), AwsUnavailable("no network")), 15.0)
