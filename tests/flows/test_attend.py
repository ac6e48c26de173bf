"""Whoever watches a rollout that nobody drives any more, or gives it a word, hears how it really stands."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import NOON
from flows.played import Played
from records import entry, record

from shipit.errors import AwsUnavailable, ShipitError, StillRunning, UsageError
from shipit.events import GroupDiagnosed
from shipit.flows.attend import promote, stop
from shipit.flows.deploy import Wish
from shipit.flows.watch import watch
from shipit.models import Outcome, Phase, WaveEntry


def left_alone(*names: str, **ends: Phase) -> Played:
    """Return a fleet whose rollout was interrupted, when these groups had ended so."""
    played = Played(*names)
    played.interrupt()
    played.world.sleep(60.0)
    begun = played.record().groups
    played.ledger.write(
        played.record(**{name: replace(begun.get(name, entry()), phase=phase) for name, phase in ends.items()})
    )
    return played


def test_a_group_that_was_left_without_an_instance_is_not_waited_for() -> None:
    played = left_alone("a", "b", b=Phase.EMPTY)
    watch(played.tool, "")
    assert "all its groups succeeded, but for 1 left without an instance" in played.said


def test_a_group_that_nobody_starts_is() -> None:
    played = left_alone("a")
    played.ledger.write(played.record(b=entry(None, phase=Phase.WAITING, deployments=())))
    with pytest.raises(StillRunning, match="1 group is not done: b\n"):
        watch(played.tool, "")


def test_a_failure_into_which_nobody_can_look_is_one_all_the_same() -> None:
    played = left_alone("a", "b", b=Phase.FAILED)
    played.world.examine_error = AwsUnavailable("EC2 is out of reach")
    with pytest.raises(ShipitError, match="1 of 2 groups failed") as caught:
        watch(played.tool, "")
    assert caught.value.exit_code == 1
    assert "b: not looked into: EC2 is out of reach" in played.said
    assert [e.group for e in played.display.events if isinstance(e, GroupDiagnosed)] == ["b"]


def test_a_failed_group_that_is_gone_since_is_told_by_the_record() -> None:
    played = left_alone("a", gone=Phase.FAILED)
    with pytest.raises(ShipitError, match="1 of 2 groups failed"):
        watch(played.tool, "")
    assert "gone: the group is gone, and left out" in played.said


def test_who_watches_the_end_of_a_rollback_hears_what_was_taken_back() -> None:
    played = Played("a")
    played.ledger.open(record("v1", undoes="r-0"))
    watch(played.tool, "")
    assert played.said == "rollout r0 of v1 is over: converged; it took back r-0"


DONE, UNDER_WAY = WaveEntry(started_at=NOON, ended_at=NOON), WaveEntry(started_at=NOON)
TWO = {"a": entry(wave=0), "b": entry(wave=1)}


@pytest.mark.parametrize(
    ("waves", "outcome", "why"),
    [
        ((), Outcome.RUNNING, "its wave 1 is not done"),
        ((UNDER_WAY,), Outcome.RUNNING, "its wave 1 is not done"),
        ((DONE, UNDER_WAY), Outcome.RUNNING, "its wave 2 is not done"),
        ((DONE, DONE), Outcome.RUNNING, "its last wave is done"),
        ((DONE,), Outcome.FAILED, "it is over: failed"),
    ],
)
def test_no_word_is_taken_for_a_wave_that_waits_for_none(
    waves: tuple[WaveEntry, ...], outcome: Outcome, why: str
) -> None:
    played = Played("a", "b")
    made = record(groups=TWO, waves=waves, outcome=outcome)
    played.ledger.open(made)
    with pytest.raises(UsageError, match=why):
        promote(played.tool, "")
    assert played.ledger.orders(made.id) == {}


def test_a_wave_that_waits_is_let_through() -> None:
    played = Played("a", "b")
    made = record(groups=TWO, waves=(DONE,), outcome=Outcome.RUNNING)
    played.ledger.open(made)
    promote(played.tool, "")
    assert played.ledger.orders(made.id) == {"promoted": 1}
    assert "wave 2 may start" in played.said


def test_a_driver_that_does_not_heed_an_order_to_stop_is_named_and_not_what_it_stopped() -> None:
    played = Played("a")
    played.interrupt()
    played.ledger.write(replace(played.record(), outcome=Outcome.RUNNING))
    played.machine.take(rollout="r-1")
    with pytest.raises(StillRunning, match="whoever drives rollout r-1 has not heeded the order"):
        stop(played.tool, "", rollback=False, wish=Wish())
    assert played.ledger.orders("r-1")["stop"]


def test_hooks_that_do_not_end_are_named_where_a_stop_waits_for_them() -> None:
    played = Played("a")
    played.world.stop_takes = 1000.0
    played.world.groups["a"].seconds = 5000.0
    played.interrupt()
    with pytest.raises(StillRunning, match="1 deployment goes on in rollout r-1: hooks that run"):
        stop(played.tool, "", rollback=False, wish=Wish())


def test_one_deployment_that_is_stopped_is_one() -> None:
    played = Played("a")
    played.interrupt()
    stop(played.tool, "", rollback=False, wish=Wish())
    assert "1 deployment stopped, and nothing more is started" in played.said
    assert played.record().outcome is Outcome.STOPPED
