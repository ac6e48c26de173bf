"""Whoever leads a rollout keeps its record, and stops keeping it when the lock is another's."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from flows.played import WISH, Played

from shipit.errors import LockLost
from shipit.flows.deploy import launch
from shipit.models import Outcome, RolloutRecord


def test_the_record_of_one_whose_lock_was_taken_is_whatever_the_taker_made_of_it() -> None:
    played = Played("a", "b")
    theirs: list[RolloutRecord] = []
    with played.held() as held:

        def take(sleeps: int) -> None:
            if played.world.at > 5 and not theirs:
                played.lock.break_()
                theirs.append(replace(played.record(), by="ben@laptop", outcome=Outcome.DEPLOYED))
                played.ledger.write(theirs[0])
                held.renew()
                assert held.lost

        played.life.on_sleep = take
        with pytest.raises(LockLost):
            launch(played.tool, played.plan(), held, WISH)
    assert [played.record()] == theirs


def test_who_is_to_hear_of_an_interrupt_does_not_hold_up_the_end_of_the_process() -> None:
    played = Played("a")
    played.interrupt()
    (start, _), (end, teller) = played.notified
    assert (start.event, end.event, end.exit_code) == ("start", "failure", 130)
    # Left to a thread, which is waited for as long as a cancelled job has.
    assert teller is not threading.main_thread()


def test_one_that_lost_its_lock_to_nobody_may_be_carried_on() -> None:
    played = Played("a", "b")
    with played.held() as held:

        def sever(sleeps: int) -> None:
            played.until_begun()
            played.machine.s3.passed += 200.0
            played.machine.s3.down = True

        played.life.on_sleep = sever
        with pytest.raises(LockLost):
            launch(played.tool, played.plan(), held, WISH)
        played.machine.s3.down = False
    assert played.record().outcome is Outcome.INTERRUPTED
    assert all(g.deployments for g in played.record().groups.values())
