"""Every task is accounted for, and never as better than it was."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.rehearse import Kill, Limits, Ran, Row, Sent, Tally, tally

LIMITS = Limits(drained=15, redelivered=10)
QUEUES = ("email", "reports")
STATES = ("SUCCESS", "FAILURE", "RETRY", "REJECTED", "REVOKED")


def sent(name: str = "a", at: float = 100.0, queue: str = "email") -> Sent:
    return Sent(id=name, task="nap", queue=queue, at=at)


def ran(
    name: str = "a", ended: float = 101.0, state: str = "SUCCESS", received: int = 1, runtime: float = 0.5
) -> Ran:
    return Ran(id=name, state=state, ended_at=ended, runtime=runtime, received=received)


def one(*lines: Ran, kills: tuple[float, ...] = ()) -> Tally:
    """Account for a single task, sent at 100."""
    return tally([sent()], lines, [Kill(queue="email", at=at) for at in kills], LIMITS)


def test_a_task_that_ended_well_once_is_done() -> None:
    found = one(ran())
    assert (found.total.sent, found.total.done, found.problems) == (1, 1, ())
    assert found.total.longest == 0.5


@pytest.mark.parametrize("state", ["RETRY", "REJECTED", "REVOKED"])
def test_a_task_that_only_went_back_is_lost(state: str) -> None:
    found = one(ran(state=state))
    assert (found.total.done, found.total.lost) == (0, 1)
    assert found.problems == ("1 task lost: sent, and never ended",)


def test_a_task_that_nobody_speaks_of_is_lost() -> None:
    assert one().total.lost == 1


def test_a_task_that_raised_is_neither_lost_nor_done() -> None:
    found = one(ran(state="FAILURE"))
    assert (found.total.done, found.total.lost, found.total.failed) == (0, 0, 1)
    assert "1 task raised" in found.problems[0]


def test_a_task_that_raised_and_then_ended_well_is_done() -> None:
    found = one(ran(state="FAILURE"), ran(ended=103))
    assert (found.total.done, found.total.failed, found.problems) == (1, 0, ())


def test_two_good_ends_are_twice_and_a_problem_where_nobody_was_killed() -> None:
    found = one(ran(), ran(ended=140, received=2))
    assert (found.total.done, found.total.twice, found.total.redelivered) == (1, 1, 1)
    assert "1 task completed twice" in found.problems[0]


def test_two_good_ends_around_a_kill_are_counted_and_borne() -> None:
    found = one(ran(), ran(ended=108, received=2), kills=(101.0,))
    assert (found.total.twice, found.total.twice_killed, found.problems) == (1, 1, ())


@pytest.mark.parametrize("kill", [99.9, 140.1])
def test_a_kill_before_or_after_explains_no_second_end(kill: float) -> None:
    assert one(ran(), ran(ended=140, received=2), kills=(kill,)).total.twice_killed == 0


def test_a_kill_in_another_queue_explains_nothing() -> None:
    found = tally([sent()], [ran(), ran(ended=110, received=2)], [Kill(queue="reports", at=101)], LIMITS)
    assert found.problems


def test_a_task_that_came_back_at_the_visibility_timeout_is_stranded() -> None:
    found = one(ran(ended=131, received=2))
    assert (found.total.done, found.total.stranded) == (1, 1)
    assert "1 task stranded" in found.problems[0]


def test_a_task_that_waited_for_its_turn_is_not_stranded() -> None:
    found = one(ran(ended=131, received=1))
    assert (found.total.queued, found.problems) == (1, ())


def test_among_tasks_that_waited_for_their_turn_a_stranded_one_counts_but_is_doubted() -> None:
    tasks = [sent("a"), sent("b")]
    found = tally(tasks, [ran("a", ended=131), ran("b", ended=131, received=2)], [], LIMITS)
    assert (found.total.queued, found.total.stranded) == (1, 1)
    assert "or waited behind others, as 1 task did that long" in found.problems[0]


def test_where_nobody_tells_how_often_it_was_given_out_a_long_wait_counts_as_stranded() -> None:
    assert one(ran(ended=131, received=0)).total.stranded == 1


def test_a_task_given_back_and_soon_taken_is_only_redelivered() -> None:
    found = one(ran(ended=104, received=2))
    assert (found.total.redelivered, found.total.stranded, found.problems) == (1, 0, ())


def test_a_task_that_a_killed_worker_held_is_late_after_ten_seconds() -> None:
    soon, late = (one(ran(ended=ended, received=2), kills=(101.0,)) for ended in (111.4, 111.6))
    assert (soon.total.late, soon.problems) == (0, ())
    assert late.total.late == 1
    assert late.total.redelivery == pytest.approx(10.1)
    assert "more than 10 s after a kill" in late.problems[0]


def test_of_several_kills_the_first_may_have_been_the_one_that_mattered() -> None:
    assert one(ran(ended=114, received=2), kills=(101.0, 110.0)).total.late == 1


def test_a_kill_long_after_a_task_was_overdue_does_not_excuse_it() -> None:
    assert one(ran(ended=131, received=2), kills=(125.0,)).total.stranded == 1


def test_a_poll_of_a_killed_worker_may_take_what_is_sent_a_moment_later() -> None:
    # Sent at 100: the dead worker's poll was out for two seconds more, and the message is hidden until its timeout.
    assert one(ran(ended=119, received=2), kills=(98.5,)).total.stranded == 0
    assert one(ran(ended=119, received=2), kills=(97.5,)).total.stranded == 1


def test_tasks_that_others_sent_are_left_out() -> None:
    assert one(ran(), ran("child"), ran("child")).total == one(ran()).total


def test_the_median_is_one_that_was_measured_and_nothing_is_measured_where_nothing_ended() -> None:
    waits = (1.0, 2.0, 9.0, 30.0)
    tasks = [sent(str(n)) for n in range(4)]
    ends = [ran(str(n), ended=100 + wait, runtime=0) for n, wait in enumerate(waits)]
    found = tally(tasks, ends, [], LIMITS).total
    assert (found.p50, found.longest) == (2.0, 30.0)
    assert math.isnan(one().total.p50)


tasks = st.lists(
    st.builds(sent, st.sampled_from("abcdefgh"), st.floats(0, 200), st.sampled_from(QUEUES)),
    max_size=8,
    unique_by=lambda task: task.id,
)
ends = st.lists(
    st.builds(
        ran,
        st.sampled_from("abcdefghxyz"),
        st.floats(0, 400),
        st.sampled_from(STATES),
        st.integers(0, 4),
        st.floats(0, 60),
    ),
    max_size=20,
)
kills = st.lists(
    st.builds(lambda q, at: Kill(queue=q, at=at), st.sampled_from(QUEUES), st.floats(0, 400)), max_size=4
)
BAD = ("lost", "stranded", "twice", "late", "failed")


def bad(row: Row) -> int:
    return sum(getattr(row, name) for name in BAD)


@given(tasks, ends, kills)
def test_each_task_has_exactly_one_end_in_each_row_and_in_all(
    tasks: list[Sent], ends: list[Ran], kills: list[Kill]
) -> None:
    found = tally(tasks, ends, kills, LIMITS)
    for row in (*found.rows, found.total):
        assert row.sent == row.done + row.lost + row.failed
        assert max(row.stranded, row.twice, row.late) <= row.done
        assert row.twice <= row.redelivered <= row.sent
        assert row.twice_killed <= row.twice
    for name in ("sent", "done", *BAD):
        assert getattr(found.total, name) == sum(getattr(row, name) for row in found.rows)


@given(tasks, ends, kills)
def test_no_task_is_done_that_no_worker_called_a_success(
    tasks: list[Sent], ends: list[Ran], kills: list[Kill]
) -> None:
    well = {end.id for end in ends if end.state == "SUCCESS"}
    spoken = well | {end.id for end in ends if end.state == "FAILURE"}
    found = tally(tasks, ends, kills, LIMITS).total
    assert found.done == sum(task.id in well for task in tasks)
    assert found.lost == sum(task.id not in spoken for task in tasks)


@given(tasks, ends, kills)
def test_it_is_good_only_where_every_task_is_and_says_so_in_words(
    tasks: list[Sent], ends: list[Ran], kills: list[Kill]
) -> None:
    found = tally(tasks, ends, kills, LIMITS)
    clean = bad(found.total) - found.total.twice_killed == 0
    assert bool(found.problems) is not clean


@given(tasks, ends, kills, st.data())
def test_another_success_never_makes_less_of_what_was_done_twice(
    tasks: list[Sent], ends: list[Ran], kills: list[Kill], data: st.DataObject
) -> None:
    if not ends:
        return
    before = tally(tasks, ends, kills, LIMITS).total
    again = replace(data.draw(st.sampled_from(ends)), state="SUCCESS")
    assert tally(tasks, [*ends, again], kills, LIMITS).total.twice >= before.twice


@given(tasks, ends, kills, st.data())
def test_without_one_of_the_lines_no_task_fares_better_by_its_end(
    tasks: list[Sent], ends: list[Ran], kills: list[Kill], data: st.DataObject
) -> None:
    if not ends:
        return
    fewer = list(ends)
    fewer.pop(data.draw(st.integers(0, len(ends) - 1)))
    assert tally(tasks, fewer, kills, LIMITS).total.done <= tally(tasks, ends, kills, LIMITS).total.done


@given(tasks, ends, kills, st.randoms())
def test_the_order_of_lines_makes_no_difference(
    tasks: list[Sent], ends: list[Ran], kills: list[Kill], random: object
) -> None:
    found = tally(tasks, ends, kills, LIMITS)
    random.shuffle(ends)  # type: ignore[attr-defined]  # a Random, by hypothesis
    assert repr(tally(tasks, ends, kills, LIMITS)) == repr(found)  # NaN is not equal to itself


@given(tasks, ends)
def test_without_kills_nothing_is_excused(tasks: list[Sent], ends: list[Ran]) -> None:
    found = tally(tasks, ends, [], LIMITS).total
    assert (found.twice_killed, found.late) == (0, 0)
    assert math.isnan(found.redelivery)
