"""What a verdict ends the command with: a success only where everything is proved."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import NOON, deployment
from hypothesis import given
from hypothesis import strategies as st
from verify.said import COST, EXPECTED, FLEETS, PUBLISHED, RUNS, SAID, fleet, member, on, verification

from shipit.errors import DriftError, ShipitError, StillRunning
from shipit.models import Deployment, Fleet, Instance, NodeState, QueryCost, Report, Wanted
from shipit.verify import judge, outcome


@pytest.mark.parametrize(
    ("states", "scanned", "error", "words"),
    [
        ((), 500, DriftError, "nothing was checked"),
        ((NodeState.DEPARTED, NodeState.LEAVING), 500, DriftError, "nothing was checked"),
        ((NodeState.CURRENT, NodeState.OUTDATED), 500, DriftError, "1 of 2 .* 1 drifted"),
        ((NodeState.CURRENT, NodeState.SILENT), 500, DriftError, "1 unseen"),
        ((NodeState.CURRENT, NodeState.STALE, NodeState.STARTING), 500, DriftError, "1 unseen, 1 starting"),
        ((NodeState.CURRENT, NodeState.STARTING), 500, StillRunning, "1 of 2 instances is still starting"),
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


@given(members=FLEETS, reports=st.lists(SAID, unique_by=lambda r: r.instance_id))
def test_the_outcome_is_a_success_exactly_where_the_fleet_is_converged(members: Fleet, reports: list[Report]) -> None:
    verification = judge(members, reports, EXPECTED, now=NOON, cost=COST)
    try:
        outcome(verification)
        passed = True
    except (DriftError, StillRunning):
        passed = False
    assert passed == verification.converged


def test_what_is_unseen_is_not_on_its_way_whatever_runs_there() -> None:
    states = (NodeState.CURRENT, NodeState.OUTDATED, NodeState.SILENT)
    with pytest.raises(DriftError, match="1 drifted, 1 unseen"):
        outcome(verification(*states, moving="d-2"))
    with pytest.raises(StillRunning, match="1 of 2 instances is still being deployed to"):
        outcome(verification(*states[:2], moving="d-2"))


def test_a_query_that_read_nothing_never_converges_whatever_it_says() -> None:
    found = judge(fleet(member()), [on("v2")], EXPECTED, now=NOON, cost=QueryCost(query_id="q"))
    assert [n.state for n in found.nodes] == [NodeState.CURRENT]
    assert not found.converged


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
