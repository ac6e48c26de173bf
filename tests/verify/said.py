"""Members of a fleet, what they report, and verdicts over them: what the tests of `verify` share."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from fakes import NOON, deployment, group, report
from hypothesis import strategies as st

from shipit.models import (
    Fleet,
    Group,
    GroupView,
    Instance,
    Node,
    NodeState,
    QueryCost,
    Report,
    Verification,
    Wanted,
)
from shipit.plan import running_build
from shipit.verify import Expectation, judge

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
#: CodeDeploy brought the expected build to the group.
RUNS = deployment("email", "v2")
LONG_AGO = NOON - timedelta(hours=3)
JUST_NOW = NOON - timedelta(minutes=3)


def member(id: str = "i-1", state: str = "InService", launched_at: datetime | None = LONG_AGO) -> Instance:
    return Instance(id=id, asg="workers-email", state=state, launched_at=launched_at)


def fleet(*instances: Instance) -> Fleet:
    return Fleet(groups=(Group(name="email", queue="email", asg="workers-email", instances=instances),))


def on(build: str, **changes: Any) -> Report:
    return report(build=build, running_build=build, digest=PUBLISHED.get(build, "?"), **changes)


def served(name: str, *instances: Instance, **more: Any) -> Group:
    members = tuple(replace(i, asg=f"worker-{name}") for i in instances)
    return group(name, instances=members, **more)


def compared(groups: tuple[Group, ...], *reports: Report, expected: Expectation = EXPECTED) -> Verification:
    return judge(Fleet(groups=groups), reports, expected, now=NOON, cost=COST)


def verification(*states: NodeState, scanned: int = 500, moving: str = "") -> Verification:
    nodes = tuple(Node(instance_id=f"i-{n}", group="g", queue="q", state=s) for n, s in enumerate(states))
    views = (GroupView(group="g", queue="q", expected="v2", moving=moving),)
    return Verification(env="prod", build="v2", nodes=nodes, cost=QueryCost(scanned=scanned), at=NOON, groups=views)


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
