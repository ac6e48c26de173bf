"""The live view fits every terminal and shows what fails before what moves."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from display.samples import failure, rollout, verification
from fakes import NOON
from hypothesis import given
from hypothesis import strategies as st

from shipit.display.board import Board
from shipit.display.frame import ASCII, bar, frame
from shipit.display.text import width
from shipit.events import (
    GroupEnded,
    GroupProgress,
    GroupRetried,
    GroupStarted,
    RolloutFinished,
    RolloutStarted,
    Throttled,
    Tick,
    Verified,
    WavePaused,
    WaveStarted,
)
from shipit.models import Overview, Phase

WAY_OUT = "Ctrl-C stops watching; the deployments go on"


def moving(count: int, *, failed: int = 0, name: str = "") -> Board:
    board = Board()
    for event in rollout(count):
        if not isinstance(event, (GroupEnded, RolloutFinished)):
            board.take(event)
    for n in range(failed):
        board.take(
            GroupEnded(
                group=f"queue-{n:03}",
                deployment_id="d-X",
                phase=Phase.FAILED,
                overview=Overview(failed=2),
                seconds=9.0,
                at=NOON,
                error_code="HEALTH_CONSTRAINTS",
            )
        )
    if name:
        board.take(GroupStarted(group=name, deployment_id="d-Y", instances=1, at=NOON))
    return board


def seen(board: Board, columns: int, lines: int, after: float = 15) -> list[str]:
    return [t.text for t in frame(board, NOON + timedelta(seconds=after), columns=columns, lines=lines)]


def test_fifty_groups_fit_a_small_terminal() -> None:
    lines = seen(moving(50), 80, 23)
    assert len(lines) == 23
    assert lines[0].startswith("sandbox  v2  r-20261120-120000")
    assert lines[0].endswith("15 s")
    assert lines[1] == "50 groups: 50 running"
    assert lines[2].endswith("50 of 100 instances done")
    assert lines[-2:] == ["... and 32 more moving", WAY_OUT]


def test_a_large_terminal_shows_every_group_and_its_deployment() -> None:
    lines = seen(moving(46), 200, 49)
    assert len(lines) == 49
    assert "d-QUEUE-045" in lines[-1]
    assert seen(moving(46), 200, 50) == [*lines, WAY_OUT]


def test_what_failed_comes_first_and_leaves_room_for_what_moves() -> None:
    lines = seen(moving(50, failed=30), 80, 23)
    assert "failed: HEALTH_CONSTRAINTS" in lines[3]
    assert any(t.endswith("more failed") for t in lines)
    assert lines[-2].endswith("more moving")
    assert len(lines) == 23


def test_a_group_that_failed_tells_its_cause_once_that_is_known() -> None:
    board = moving(3, failed=1)
    assert "failed: HEALTH_CONSTRAINTS" in seen(board, 120, 23)[3]
    board.take(failure("queue-000", cause="AfterInstall: after_install.sh exited with 3"))
    assert seen(board, 120, 23)[3].endswith("failed: AfterInstall: after_install.sh exited with 3")
    assert not any("HEALTH_CONSTRAINTS" in t for t in seen(board, 120, 23))


def test_the_longest_running_come_first_and_those_alike_keep_their_order() -> None:
    board = Board()
    board.take(next(iter(rollout(50))))
    for n in range(50):
        began = NOON + timedelta(seconds={30: -60, 45: -30}.get(n, 0))
        board.take(GroupStarted(group=f"queue-{n:03}", deployment_id="d-X", instances=2, at=began))
    shown = [t.split()[0] for t in seen(board, 80, 23) if t.startswith("queue-")]
    assert shown[:4] == ["queue-030", "queue-045", "queue-000", "queue-001"]
    assert len(shown) == 18


def test_what_ctrl_c_does_is_told_where_no_group_loses_its_line() -> None:
    assert seen(moving(2), 80, 23)[-1] == WAY_OUT
    assert seen(moving(2), 80, 6)[-1] == WAY_OUT
    assert seen(moving(2), 80, 5)[-1].startswith("queue-001")
    assert seen(moving(9), 80, 10)[-1] == "... and 3 more moving"
    assert not any("Ctrl-C" in t for t in seen(moving(2), len(WAY_OUT) - 1, 23))


def test_while_groups_wait_ctrl_c_is_said_to_start_no_more() -> None:
    board = Board()
    for event in itertools.islice(rollout(5), 3):
        board.take(event)
    said = seen(board, 80, 23)
    assert said[1] == "5 groups: 2 running, 3 waiting"
    assert said[-1] == "Ctrl-C starts no more groups and stops watching; the deployments go on"


def test_who_only_watches_ends_nothing_but_the_watching() -> None:
    board = Board()
    for event in itertools.islice(rollout(5), 3):
        board.take(replace(event, attached=True) if isinstance(event, RolloutStarted) else event)
    assert seen(board, 80, 23)[-1] == "Ctrl-C stops watching; the rollout goes on"


def started(expected: float) -> Board:
    board = Board()
    begin = next(iter(rollout(2)))
    assert isinstance(begin, RolloutStarted)
    board.take(replace(begin, plan=replace(begin.plan, expected=expected)))
    return board


def test_the_time_is_told_beside_what_past_rollouts_took() -> None:
    board = started(60)
    assert seen(board, 80, 23, after=12)[0].endswith("  12 s of about 1 min")
    assert seen(board, 80, 23, after=90)[0].endswith("  1 min 30 s (usually 1 min)")


def test_the_time_that_a_person_takes_to_promote_is_not_held_against_the_rollout() -> None:
    board = started(60)
    board.take(WavePaused(wave=1, of=2, seconds=None, at=NOON + timedelta(seconds=20)))
    assert seen(board, 80, 23, after=200)[0].endswith("  3 min 20 s")
    board.take(WaveStarted(wave=2, of=2, groups=("queue-001",), at=NOON + timedelta(seconds=320)))
    said = seen(board, 80, 23, after=330)
    assert said[0].endswith("  5 min 30 s of about 6 min")
    assert said[1].startswith("wave 2 of 2, 2 groups: ")


def test_a_group_that_is_tried_again_says_which_try_it_is() -> None:
    board = moving(2)
    board.take(GroupRetried(group="queue-001", deployment_id="d-1", reason="i-1 was reclaimed", at=NOON))
    assert seen(board, 80, 23)[1] == "2 groups: 1 running, 1 waiting"
    board.take(GroupStarted(group="queue-001", deployment_id="d-2", instances=1, at=NOON, attempt=2))
    first, second = seen(board, 80, 23)[3:5]
    assert first.startswith("queue-000")
    assert "try" not in first
    assert second.endswith("  try 2")


def test_a_later_try_that_reaches_only_some_instances_does_not_forget_the_others() -> None:
    board = Board()
    for event in itertools.islice(rollout(1), 1):
        board.take(event)
    board.take(GroupStarted(group="queue-000", deployment_id="d-1", instances=5, at=NOON))
    board.take(
        GroupProgress(group="queue-000", deployment_id="d-1", overview=Overview(succeeded=4, failed=1), at=NOON)
    )
    board.take(GroupRetried(group="queue-000", deployment_id="d-1", reason="i-1 was reclaimed", at=NOON))
    board.take(GroupStarted(group="queue-000", deployment_id="d-2", instances=5, at=NOON, attempt=2))
    board.take(GroupProgress(group="queue-000", deployment_id="d-2", overview=Overview(in_progress=1), at=NOON))
    assert seen(board, 80, 23)[2].endswith("  4 of 5 instances done")
    # A try over all instances, more of them by now, counts for itself.
    board.take(GroupProgress(group="queue-000", deployment_id="d-2", overview=Overview(succeeded=6), at=NOON))
    assert seen(board, 80, 23)[2].endswith("  6 of 6 instances done")


def test_groups_that_ended_well_are_only_counted() -> None:
    board = Board()
    for event in rollout(3):
        if not isinstance(event, RolloutFinished):
            board.take(event)
    assert seen(board, 80, 23)[1:] == [
        "3 groups: 3 succeeded",
        "━" * 57 + "  6 of 6 instances done",
        "every group has ended; Ctrl-C ends the waiting for their instances' reports",
    ]


def test_silence_of_aws_and_throttles_are_told() -> None:
    board = moving(1)
    board.take(Throttled(operation="BatchGetDeployments", rate=2.5))
    said = seen(board, 120, 10, after=60)[-2]
    assert said.startswith("last looked 45 s ago")
    assert said.endswith("throttled 1 time, last BatchGetDeployments: 2.5 calls a second")
    board.take(Tick(at=NOON + timedelta(seconds=60)))
    assert seen(board, 120, 10, after=60)[-2].startswith("throttled")


def test_a_look_at_the_reports_is_a_look_too() -> None:
    board = moving(1)
    look = replace(verification(), at=NOON + timedelta(seconds=50))
    board.take(Verified(verification=look, final=False))
    assert not any("last looked" in t for t in seen(board, 120, 10, after=60))
    assert any("last looked 25 s ago" in t for t in seen(board, 120, 10, after=75))


@given(st.integers(1, 220), st.integers(1, 60), st.integers(0, 40), st.integers(0, 40))
def test_no_terminal_is_too_small(columns: int, lines: int, count: int, failed: int) -> None:
    said = seen(moving(count, failed=min(count, failed), name="[red]宽\x1b[2J" * 9), columns, lines)
    assert len(said) <= lines
    assert all(width(t) <= columns and "\x1b" not in t for t in said)


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 60))
def test_a_bar_is_full_only_when_all_is_done(done: int, total: int, columns: int) -> None:
    drawn = bar(min(done, total), total, columns, ASCII)
    assert len(drawn) == columns
    assert (drawn == "#" * columns) == (columns == 0 or (total > 0 and done >= total))


@pytest.mark.parametrize("late", [GroupProgress, GroupStarted])
def test_a_group_that_the_plan_did_not_name_gets_a_row(late: type) -> None:
    board = moving(1)
    board.take(GroupProgress(group="new", deployment_id="d-N", overview=Overview(pending=3), at=NOON))
    assert board.rows["new"].total == 3
