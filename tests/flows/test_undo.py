"""What is taken back is back, what is not is named, and nothing is taken back twice, nor to what it came from."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import published
from flows.played import WISH, Played

from shipit.errors import BusyError, DriftError, PreflightError, ShipitError
from shipit.flows.conduct import Manner
from shipit.flows.resume import resume
from shipit.flows.rollback import rollback
from shipit.flows.undo import take_back
from shipit.models import Outcome, Phase

MANNER = Manner(limit=3600.0, verify=False)


def undo(played: Played) -> None:
    with played.held() as held:
        take_back(played.tool, played.ledger.read("r-1"), held, MANNER)


def outcomes(played: Played) -> list[Outcome]:
    """Return how the rollouts ended, the newest first."""
    return [found.outcome for found in played.ledger.recent()]


def test_a_group_of_which_nothing_tells_what_it_ran_is_no_success_of_a_rollback() -> None:
    played = Played("a", "b", "c")
    played.lead(played.plan(fresh=("c",)))
    with pytest.raises(DriftError, match="nothing tells what c ran before: left on v2"):
        undo(played)
    assert {n: played.world.builds(n) for n in "abc"} == {"a": {"v1"}, "b": {"v1"}, "c": {"v2"}}
    assert "rolling back 2 groups to what ran there before" in played.said
    assert outcomes(played) == [Outcome.DEPLOYED, Outcome.ROLLED_BACK]
    undo(played)
    assert "was taken back" in played.said


def test_where_nothing_tells_of_any_group_nothing_is_begun() -> None:
    played = Played("a")
    played.lead(played.plan(fresh=("a",)))
    with pytest.raises(PreflightError, match="nothing tells what its groups ran before"):
        undo(played)
    assert outcomes(played) == [Outcome.DEPLOYED]


def test_a_failed_rollout_that_could_not_be_taken_back_whole_says_so() -> None:
    played = Played("a", "b", "c", on_failure="rollback")
    played.world.alive("a")[0].bad = played.world.alive("a")[1].bad = True
    with pytest.raises(ShipitError, match="not every group is back") as caught:
        played.lead(played.plan(fresh=("c",)))
    assert caught.value.exit_code == 1
    assert played.world.builds("b") == {"v1"}


def test_a_rollback_that_fails_is_not_taken_back_to_the_build_that_it_leaves() -> None:
    played = Played("a", "b", on_failure="rollback")
    played.world.alive("a")[0].bad = played.world.alive("a")[1].bad = True
    with pytest.raises(ShipitError, match="1 of 2 groups failed"):
        rollback(played.tool, replace(WISH, build="v2", yes=True))
    assert played.world.builds("b") == {"v2"}
    assert len(outcomes(played)) == 1


def test_where_all_run_the_build_nothing_goes_back_and_the_instances_are_for_others_to_ask() -> None:
    played = Played("a", "b")
    rollback(played.tool, replace(WISH, build="v1", yes=True))
    assert "no group is to go back" in played.said
    assert "inv verify-versions --build v1" in played.said
    assert not played.world.created


def test_a_rollback_that_others_keep_from_every_group_is_no_success() -> None:
    played = Played("a", "b")
    for name in "ab":
        played.world.occupy(name, seconds=6000.0)
    with pytest.raises(BusyError, match="others hold 2 groups"):
        rollback(played.tool, replace(WISH, build="v2", on_busy="skip", yes=True))
    played = Played("a", instances=0)
    with pytest.raises(PreflightError, match="no chosen group has an instance"):
        rollback(played.tool, replace(WISH, build="v2", yes=True))


def test_a_rollout_that_another_one_followed_is_not_taken_back_for_that_would_undo_both() -> None:
    played = Played("a", "b")
    played.lead()
    made = played.plan()
    played.lead(replace(made, id="r-2", published=published("v3"), groups=made.groups[:1]))
    created = played.world.created.copy()
    with pytest.raises(PreflightError, match="rollout r-2 came after r-1"):
        undo(played)
    assert played.world.created == created
    assert outcomes(played) == [Outcome.DEPLOYED, Outcome.DEPLOYED]


def test_a_rollback_by_policy_that_was_interrupted_may_also_be_begun_anew() -> None:
    played = Played("a", "b")
    played.lead()
    with played.pressed(), pytest.raises(ShipitError, match="interrupted"):
        undo(played)
    undo(played)
    assert {n: played.world.builds(n) for n in "ab"} == {"a": {"v1"}, "b": {"v1"}}
    assert outcomes(played) == [Outcome.DEPLOYED, Outcome.INTERRUPTED, Outcome.ROLLED_BACK]


def test_a_rollback_by_policy_that_is_carried_on_is_led_as_it_was_begun() -> None:
    played = Played("a", "b", on_failure="rollback")
    played.lead()
    with played.pressed(), pytest.raises(ShipitError, match="interrupted"):
        undo(played)
    played.life.forgiving.clear()
    # A deployment of the rollback fails: what it leaves must not come again for that.
    played.world.stop_active("a")
    resume(played.tool, WISH, dry_run=False)
    assert played.life.forgiving == {True}
    assert {g.phase for g in played.record().groups.values()} == {Phase.SUCCEEDED}
    assert outcomes(played) == [Outcome.DEPLOYED, Outcome.ROLLED_BACK]
