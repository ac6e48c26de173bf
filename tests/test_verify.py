"""The verdict over the fleet: which state each instance gets, what ends the wait, what the outcome is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes import NOON, FakeClock, deployment, group
from hypothesis import given
from hypothesis import strategies as st

from shipit.errors import AwsUnavailable, DriftError, ShipitError, StillRunning, UsageError
from shipit.events import Event, Notice, Verified
from shipit.models import (
    Deployment,
    Fleet,
    Group,
    GroupView,
    Instance,
    Node,
    NodeState,
    QueryCost,
    Report,
    Spending,
    Verification,
    Wanted,
)
from shipit.plan import running_build
from shipit.verify import Expectation, judge, outcome, verify

PUBLISHED = {"v2": "d2", "v1": "d1"}
EXPECTED = Expectation(
    env="prod",
    groups={"email": Wanted(build="v2"), "reports": Wanted(build="v1")},
    published=PUBLISHED,
    heartbeat=300.0,
    grace=600.0,
    build_of=lambda deployment: running_build(deployment, "builds"),
)
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
        (on("v1"), "inv deploy --build v2 --only email"),
        (report(running_build="v1"), "inv deploy --build v2 --only email"),
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
        replace(EXPECTED, groups={"email": Wanted(build="v3")})
    with pytest.raises(UsageError, match="without a digest"):
        replace(EXPECTED, published={"v2": "", "v1": "d1"})
    with pytest.raises(UsageError, match="no build is expected"):
        replace(EXPECTED, groups={})


def verification(*states: NodeState, scanned: int = 500, moving: str = "") -> Verification:
    nodes = tuple(Node(instance_id=f"i-{n}", group="g", queue="q", state=s) for n, s in enumerate(states))
    views = (GroupView(group="g", queue="q", expected="v2", moving=moving),)
    return Verification(env="prod", build="v2", nodes=nodes, cost=QueryCost(scanned=scanned), at=NOON, groups=views)


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
    assert found.spent == Spending().plus(COST)
    assert source.asked == [(NOON, 3600.0)]
    assert clock.sleeps == 0


def test_it_looks_until_the_fleet_has_converged() -> None:
    found, events, _ = looked(Source(None, on("v1"), on("v2")), 600.0)
    assert found.converged
    looks = [e for e in events if isinstance(e, Verified)]
    assert [(e.final, e.left) for e in looks] == [(False, 600.0), (False, 585.0), (True, None)]
    assert found.at == NOON + timedelta(seconds=37.5)
    assert found.spent == Spending(queries=3, scanned=1500, seconds=3.0, dollars=pytest.approx(0.00015))
    assert found.cost == COST


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


class Fleets:
    """Play a fleet of five instances of which, at each look, so many run the expected build."""

    def __init__(self, *current: int) -> None:
        self.current = list(current)
        self.asked: list[datetime] = []
        self.members = tuple(member(f"i-{n}") for n in range(5))

    def read_with_launch_times(self) -> Fleet:
        return fleet(*self.members)

    def latest_reports(self, now: datetime, look_back: float) -> tuple[tuple[Report, ...], QueryCost]:
        self.asked.append(now)
        good = self.current.pop(0) if len(self.current) > 1 else self.current[0]
        said = [(on("v2" if n < good else "v1"), i.id) for n, i in enumerate(self.members)]
        return tuple(replace(r, instance_id=id, reported_at=now) for r, id in said), COST


def test_it_looks_less_and_less_often_until_something_changes() -> None:
    source, clock = Fleets(1, 1, 1, 1, 1, 3, 3, 5), FakeClock()
    found = verify(source, source, EXPECTED, clock=clock, look_back=3600.0, wait=3600.0, poll=15.0)
    assert found.converged
    pauses = [(b - a).total_seconds() for a, b in zip(source.asked, source.asked[1:], strict=False)]
    assert pauses == [15.0, 22.5, 33.75, 50.625, 60.0, 15.0, 22.5]
    assert found.spent.queries == 8


def test_a_look_that_the_caller_has_seen_enough_of_is_the_last() -> None:
    source, clock, events = Fleets(1), FakeClock(), list[Event]()
    found = verify(
        source,
        source,
        EXPECTED,
        clock=clock,
        look_back=3600.0,
        wait=600.0,
        stop_when=lambda look: len(events) == 1,
        listen=events.append,
    )
    assert not found.converged
    assert [e.final for e in events if isinstance(e, Verified)] == [False, True]


def served(name: str, *instances: Instance, **more: Any) -> Group:
    members = tuple(replace(i, asg=f"worker-{name}") for i in instances)
    return group(name, instances=members, **more)


def compared(groups: tuple[Group, ...], *reports: Report, expected: Expectation = EXPECTED) -> Verification:
    return judge(Fleet(groups=groups), reports, expected, now=NOON, cost=COST)


def test_each_group_is_judged_against_its_own_build_and_all_are_one_verdict() -> None:
    whole = (served("email", member("i-1")), served("reports", member("i-2"), member("i-3")))
    found = compared(whole, on("v2"), replace(on("v1"), instance_id="i-2"), replace(on("v2"), instance_id="i-3"))
    assert [(n.instance_id, n.expected, n.state) for n in found.nodes] == [
        ("i-1", "v2", "current"),
        ("i-2", "v1", "current"),
        ("i-3", "v1", "outdated"),
    ]
    assert [(v.group, v.expected) for v in found.groups] == [("email", "v2"), ("reports", "v1")]
    with pytest.raises(DriftError, match="1 of 3 instances are not proved to run what is expected of them"):
        outcome(found)
    assert "inv deploy --build v1 --only reports" in found.nodes[2].next_step


RUNS = deployment("email", "v2")


@pytest.mark.parametrize(
    ("success", "attempt", "said", "note"),
    [
        (RUNS, RUNS, on("v2"), ""),
        (RUNS, RUNS, on("v1"), "CodeDeploy says v2 (d-EMAIL), its process says v1"),
        (RUNS, RUNS, report(running_build=""), "CodeDeploy says v2 (d-EMAIL), its process says none"),
        (deployment("email", "v1"), None, on("v2"), "CodeDeploy says v1 (d-EMAIL), its process says v2"),
        (None, None, on("v2"), "CodeDeploy says nothing yet, its process says v2"),
        (
            replace(RUNS, revision=None),
            None,
            on("v2"),
            "CodeDeploy says a revision of others (d-EMAIL), its process says v2",
        ),
        (deployment("email", "v1"), None, on("v1"), "CodeDeploy says v1 (d-EMAIL), rollout r9 was to bring v2"),
        # What is unseen says nothing, and neither does CodeDeploy's last success while the next is on its way.
        (RUNS, RUNS, None, ""),
        (RUNS, RUNS, on("v1", age=5000), ""),
        (deployment("email", "v1"), deployment("email", "v2", "InProgress", id="d-2"), on("v2"), ""),
    ],
)
def test_codedeploys_word_stands_beside_the_processes_where_they_disagree(
    success: Deployment | None, attempt: Deployment | None, said: Report | None, note: str
) -> None:
    expected = replace(EXPECTED, groups={"email": Wanted(build="v2", rollout="r9")})
    one = served("email", member(), last_success=success, last_attempt=attempt)
    found = compared((one,), *([said] if said else []), expected=expected)
    [view] = found.groups
    assert view.note == note
    assert (view.expected, view.rollout) == ("v2", "r9")
    assert view.codedeploy == (
        "" if success is None or success.revision is None else "v2" if success is RUNS else "v1"
    )


def test_where_codedeploy_counts_the_group_as_done_a_deploy_would_do_nothing() -> None:
    one = served("email", member(), last_success=RUNS, last_attempt=RUNS)
    for latest, step in (
        ("v2", "inv restart --only email"),
        ("", "inv restart"),
        ("v3", "aws autoscaling terminate-"),
    ):
        [node] = compared((one,), on("v1"), expected=replace(EXPECTED, latest=latest)).nodes
        assert node.next_step.startswith(step)
    behind = served("email", member(), last_success=deployment("email", "v1"))
    [node] = compared((behind,), on("v1")).nodes
    assert node.next_step == "inv deploy --build v2 --only email"
    odd = replace(behind, queue="a b;c")
    [node] = compared((odd,), on("v1")).nodes
    assert node.next_step == "inv deploy --build v2 --only 'a b;c'"


@pytest.mark.parametrize(
    ("active", "error"),
    [
        (deployment("email", "v2", "InProgress", id="d-2"), StillRunning),
        # Another build is coming, or only what was launched gets this one: nothing will mend these by itself.
        (deployment("email", "v1", "InProgress", id="d-2"), DriftError),
        (deployment("email", "v2", "InProgress", id="d-2", creator="autoscaling"), DriftError),
        (deployment("email", "v2", "Failed", id="d-2"), DriftError),
        (None, DriftError),
    ],
)
def test_drift_that_a_running_deployment_mends_is_on_its_way(
    active: Deployment | None, error: type[ShipitError]
) -> None:
    one = served("email", member(), last_success=deployment("email", "v1"), last_attempt=active)
    found = compared((one,), on("v1"))
    assert found.nodes[0].state is NodeState.OUTDATED
    with pytest.raises(error):
        outcome(found)
    assert ("d-2 is bringing it" in found.nodes[0].next_step) == (error is StillRunning)


def test_what_is_unseen_is_not_on_its_way_whatever_runs_there() -> None:
    states = (NodeState.CURRENT, NodeState.OUTDATED, NodeState.SILENT)
    with pytest.raises(DriftError, match="1 drifted, 1 unseen"):
        outcome(verification(*states, moving="d-2"))
    with pytest.raises(StillRunning, match="1 of 2 instances are still being deployed to"):
        outcome(verification(*states[:2], moving="d-2"))


def test_a_query_that_read_nothing_never_converges_whatever_it_says() -> None:
    found = judge(fleet(member()), [on("v2")], EXPECTED, now=NOON, cost=QueryCost(query_id="q"))
    assert [n.state for n in found.nodes] == [NodeState.CURRENT]
    assert not found.converged
    source = Source(on("v2"))
    source.latest_reports = lambda now, look_back: ((on("v2"),), QueryCost(query_id="q"))  # type: ignore[method-assign]
    looks, events, _ = looked(source, 30.0)
    assert not looks.converged
    assert len(events) == 3


BUILDS = st.sampled_from(["v2", "v1"])


@given(
    members=FLEETS,
    reports=st.lists(SAID, unique_by=lambda r: r.instance_id),
    build=BUILDS,
    success=st.none() | st.sampled_from([deployment("email", "v1"), RUNS]),
    attempt=st.none()
    | st.builds(
        lambda version, status, creator: deployment("email", version, status, id="d-2", creator=creator),
        BUILDS,
        st.sampled_from(["InProgress", "Succeeded", "Failed"]),
        st.sampled_from(["user", "autoscaling"]),
    ),
    scanned=st.sampled_from([0, 500]),
)
def test_a_verdict_is_never_better_than_what_was_said(
    members: Fleet,
    reports: list[Report],
    build: str,
    success: Deployment | None,
    attempt: Deployment | None,
    scanned: int,
) -> None:
    [one] = members.groups
    whole = Fleet(groups=(replace(one, last_success=success, last_attempt=attempt),))
    expected = replace(EXPECTED, groups={"email": Wanted(build=build)})
    found = judge(whole, reports, expected, now=NOON, cost=QueryCost(scanned=scanned))
    told = {r.instance_id: r for r in reports}

    def proves(instance: Instance) -> bool:
        said = told.get(instance.id)
        fresh = said is not None and abs((NOON - said.reported_at).total_seconds()) <= 660
        return fresh and (said.running_build, said.build, said.digest) == (build, build, PUBLISHED[build])

    gone = ("Standby", "Terminating", "Detaching")
    staying = [i for i in one.instances if not i.state.startswith(gone)]
    proved = bool(staying) and scanned > 0 and all(proves(i) for i in staying)
    assert found.converged == proved
    try:
        outcome(found)
        ended = 0
    except ShipitError as error:
        ended = error.exit_code
    assert (ended == 0) == proved
    if ended == 6:
        # Only what may come by itself: never an instance that should have spoken and did not.
        coming = attempt is not None and not attempt.status.ended and attempt.creator == "user"
        for node in found.nodes:
            assert node.state is not NodeState.SILENT
            assert node.state is not NodeState.STALE
            assert not node.state.is_drift or coming
