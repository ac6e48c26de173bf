"""Whatever happened to a target, its verdict is one, and blames no build without a reason."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from diagnosing import (
    END,
    NOT_RECEIVED,
    target,
)
from fakes import NOON
from hypothesis import given
from hypothesis import strategies as st

from shipit.diagnose import cluster, explain, judge
from shipit.models import (
    EventStatus,
    Examination,
    Instance,
    InstanceFacts,
    LifecycleEvent,
    Target,
    TargetStatus,
)

EVENTS = st.builds(
    LifecycleEvent,
    name=st.sampled_from(["ApplicationStop", "Install", "AfterInstall"]),
    status=st.sampled_from(EventStatus),
    started_at=st.sampled_from([None, NOON]),
    ended_at=st.sampled_from([None, NOON + timedelta(minutes=1), NOON + timedelta(hours=1)]),
    error_code=st.sampled_from(["", "UnknownError", "ScriptFailed", "ScriptTimedOut", "ScriptMissing"]),
    script=st.sampled_from(["", "scripts/a.sh"]),
    message=st.sampled_from(["", NOT_RECEIVED, "failed with exit code 1", "failed with exit code 143"]),
)
FACTS = st.none() | st.builds(
    InstanceFacts,
    id=st.just("i"),
    state=st.sampled_from(["pending", "running", "shutting-down", "terminated", "stopping", "stopped"]),
    lifecycle=st.sampled_from(["spot", "on-demand"]),
    reason_code=st.sampled_from(
        ["", "Server.SpotInstanceTermination", "Client.UserInitiatedShutdown", "Client.InstanceInitiatedShutdown"]
    ),
)
MEMBERS = st.none() | st.builds(
    Instance,
    id=st.just("i"),
    asg=st.just("asg"),
    state=st.sampled_from(["InService", "Pending:Wait", "Standby", "Terminating", "Terminating:Wait", "Terminated"]),
)
HISTORIES = st.lists(
    st.tuples(st.sampled_from(TargetStatus), st.lists(EVENTS, max_size=4), MEMBERS, FACTS), min_size=1, max_size=6
)
History = Sequence[tuple[TargetStatus, list[LifecycleEvent], Instance | None, InstanceFacts | None]]


def examined(histories: History, prefix: str = "i") -> tuple[list[Target], Examination]:
    names = [f"{prefix}-{n}" for n in range(len(histories))]
    targets = [target(n, *h[1], status=h[0]) for n, h in zip(names, histories, strict=True)]
    members = {n: replace(h[2], id=n) for n, h in zip(names, histories, strict=True) if h[2]}
    facts = {n: replace(h[3], id=n) for n, h in zip(names, histories, strict=True) if h[3]}
    return targets, judge(targets, members, facts)


@given(HISTORIES)
def test_each_target_that_did_not_succeed_gets_exactly_one_verdict(histories: History) -> None:
    targets, found = examined(histories)
    assert [j.target for j in found.judged] == [t for t in targets if t.status is not TargetStatus.SUCCEEDED]
    assert all(j.detail for j in found.judged)


@given(HISTORIES)
def test_an_instance_that_lives_and_whose_script_failed_is_never_gone(histories: History) -> None:
    _, found = examined(histories)
    facts = {f"i-{n}": h[3] for n, h in enumerate(histories)}
    for judged in found.judged:
        fact = facts[judged.target.instance_id]
        broken = any(e.status is EventStatus.FAILED and e.script for e in judged.target.events)
        assert not (fact and fact.alive and broken and judged.cause.gone)


@given(HISTORIES)
def test_an_instance_is_never_gone_while_ec2_and_its_group_have_it(histories: History) -> None:
    _, found = examined(histories)
    whole = {f"i-{n}": h for n, h in enumerate(histories)}
    for judged in found.judged:
        _, _, inside, fact = whole[judged.target.instance_id]
        if fact and fact.alive and not (inside and inside.state.startswith("Terminat")):
            assert not judged.cause.gone


@given(st.lists(HISTORIES, max_size=5))
def test_joining_failures_loses_no_group_and_no_instance_and_tells_none_twice(fleet: list[History]) -> None:
    failures = [
        explain(replace(END, group=f"q{n}"), examined(histories, f"i-q{n}")[1], build="v2")
        for n, histories in enumerate(fleet)
    ]
    found = cluster(failures)
    instances = [i for c in found for i in (*c.instances, *c.held_back)]
    assert sorted(instances) == sorted(j.target.instance_id for f in failures for j in f.judged)
    assert {g for c in found for g in c.groups} == {f.group for f in failures}
    assert all(c.cause and c.next_step for c in found)
    assert len({c.likeness for c in found}) == len(found)
