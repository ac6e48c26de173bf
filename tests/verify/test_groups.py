"""Each group against its own build, with CodeDeploy's word and its running deployment beside what processes say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import deployment, report
from verify.said import EXPECTED, RUNS, compared, member, on, served

from shipit.errors import DriftError, ShipitError, StillRunning
from shipit.models import Deployment, NodeState, Report, Wanted
from shipit.verify import outcome


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
    assert "inv deploy --env prod --build v1 --only reports" in found.nodes[2].next_step


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


def test_where_codedeploy_counts_the_group_as_done_a_restart_brings_what_a_deploy_would_not() -> None:
    one = served("email", member(), last_success=RUNS, last_attempt=RUNS)
    [node] = compared((one,), on("v1")).nodes
    assert node.next_step == "inv restart --env prod --only email"
    behind = served("email", member(), last_success=deployment("email", "v1"))
    [node] = compared((behind,), on("v1")).nodes
    assert node.next_step == "inv deploy --env prod --build v2 --only email"
    odd = replace(behind, queue="a b;c")
    [node] = compared((odd,), on("v1")).nodes
    assert node.next_step == "inv deploy --env prod --build v2 --only 'a b;c'"


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
