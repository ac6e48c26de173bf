"""`deploy --resume` carries on the very rollout that was begun, as it was begun, and no other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flows.played import WISH, Played

from shipit.errors import DamagedError, PreflightError, UsageError
from shipit.flows.deploy import Wish
from shipit.flows.resume import resume
from shipit.models import Outcome


@pytest.mark.parametrize(
    ("wish", "dry_run", "named"),
    [
        (Wish(build="v3"), False, "--build"),
        (Wish(only="email-*"), False, "--only"),
        (Wish(allow_older=True), False, "--allow-older"),
        (Wish(), True, "--dry-run"),
        (Wish(build="v3"), True, "--build and no --dry-run"),
    ],
)
def test_what_asks_for_another_rollout_or_for_none_is_refused(wish: Wish, dry_run: bool, named: str) -> None:
    played = Played("a", "b")
    played.interrupt()
    created = played.world.created.copy()
    with pytest.raises(UsageError, match=f"takes no {named}\n"):
        resume(played.tool, wish, dry_run=dry_run)
    assert played.world.created == created
    assert played.record().outcome is Outcome.INTERRUPTED


@pytest.mark.parametrize("lost", [None, DamagedError("it is no JSON")])
def test_without_its_record_it_says_what_was_begun_and_what_brings_the_build_to_the_rest(
    lost: DamagedError | None,
) -> None:
    played = Played("a", "b")
    played.interrupt()
    played.store.values["rollouts/test/r-1.json"] = lost
    with pytest.raises(UsageError, match="nothing tells which groups rollout r-1 was meant for") as caught:
        resume(played.tool, WISH, dry_run=False)
    assert "inv deploy --build v2" in caught.value.hint


def test_it_goes_on_with_the_flags_that_it_was_begun_with() -> None:
    played = Played("a", "b")
    played.world.account_limit = 1
    played.interrupt(replace(WISH, ignore_stop_failures=True))
    played.life.forgiving.clear()
    resume(played.tool, Wish(), dry_run=False)
    assert played.life.forgiving == {True}
    # Nobody wanted the instances asked.
    assert played.record().outcome is Outcome.DEPLOYED
    assert "carrying on rollout r-1 of v2: 2 groups are left" in played.said


@pytest.mark.parametrize(
    ("outcome", "error", "said"),
    [
        (Outcome.CONVERGED, UsageError, "rollout r-2 is over: converged"),
        (Outcome.INTERRUPTED, PreflightError, "rollout r-2 of v3 began after r-1"),
    ],
)
def test_one_that_was_overtaken_while_it_waited_for_the_lock_does_not_go_on(
    outcome: Outcome, error: type[Exception], said: str
) -> None:
    played = Played("a", "b")
    played.world.account_limit = 1
    played.interrupt()
    created = played.world.created.copy()
    other = played.machine.take(rollout="r-2")

    def end(sleeps: int) -> None:
        if not sleeps:
            played.ledger.open(replace(played.record(), id="r-2", build="v3", outcome=outcome))
            other.release()

    played.machine.on_sleep = end
    with pytest.raises(error, match=said):
        resume(played.tool, replace(WISH, lock_wait="1m"), dry_run=False)
    assert played.world.created == created


def test_one_that_was_stopped_does_not_go_on() -> None:
    played = Played("a", "b")
    played.interrupt()
    played.ledger.order("r-1", stop="ben@laptop")
    with pytest.raises(PreflightError, match="was stopped"):
        resume(played.tool, WISH, dry_run=False)
