"""Plans, failures, summaries and verdicts say what matters, at every width."""

import shlex
from dataclasses import replace

import pytest
from display.samples import failure, plan, rollout, verification

from shipit.display.blocks import age, brief, plan_lines, summary_lines, value_lines, verdict, verification_lines
from shipit.display.board import Board
from shipit.display.failures import failure_lines
from shipit.display.text import Line, width
from shipit.events import RolloutFinished
from shipit.models import Action, GroupView, NodeState, QueryCost, Spending

WIDTHS = (20, 40, 80, 200)


def texts(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]


def finished(count: int, failing: tuple[str, ...] = ()) -> tuple[Board, RolloutFinished]:
    board = Board()
    for event in rollout(count, failing=failing):
        board.take(event)
    assert board.finished
    return board, board.finished


def test_a_plan_is_a_table_with_its_totals_last() -> None:
    made = plan(2)
    made = replace(
        made, groups=(made.groups[0], replace(made.groups[1], action=Action.BUSY, reason="d-1 runs there"))
    )
    assert texts(plan_lines(made)) == [
        "plan r-20261120-120000: v2 to sandbox (aaaaaaaaaa, CodeDeployDefault.OneAtATime)",
        "group      instances  running  action  reason",
        "queue-000          2  v1       deploy  runs v1",
        "queue-001          2  v1       busy    d-1 runs there",
        "1 group to deploy (2 instances), 1 busy",
    ]


def test_a_plan_of_waves_says_which_group_is_in_which_and_how_long_it_will_take() -> None:
    made = plan(3)
    first, second, third = made.groups
    made = replace(
        made,
        groups=(first, replace(second, wave=2), replace(third, action=Action.CURRENT, wave=2)),
        expected=75.0,
    )
    said = texts(plan_lines(made))
    assert [t.split()[3:5] for t in said[2:4]] == [["wave", "1"], ["wave", "2"]]
    assert said[4].split()[3] == "current"
    assert said[-1] == "2 groups to deploy (4 instances) in 2 waves, 1 current; about 1 min 15 s by past rollouts"


def test_a_reason_that_does_not_fit_goes_below_its_group_and_nothing_is_said_at_length_of_a_current_one() -> None:
    made = plan(3)
    holder = "waits for d-UL49S5RQF of rollout 20261126-172953-861b by ann@laptop"
    first, second, third = (replace(g, running="2026.11.26-172649-g3f6fb1802") for g in made.groups)
    second = replace(second, reason=holder)
    third = replace(third, action=Action.CURRENT, reason="runs this build since d-48X0RT13S")
    assert texts(plan_lines(replace(made, groups=(first, second, third)), 80))[2:6] == [
        "queue-000          2  2026.11.26-172649-g3f6fb1802  deploy   runs v1",
        "queue-001          2  2026.11.26-172649-g3f6fb1802  deploy",
        f"  {holder}",
        "queue-002          2  2026.11.26-172649-g3f6fb1802  current  runs this build si…",
    ]


def test_the_groups_that_nobody_asked_for_are_one_row_below_the_others() -> None:
    made = plan(50)
    asked = made.groups[40]
    groups = tuple(g if g is asked else replace(g, action=Action.EXCLUDED, reason="") for g in made.groups)
    assert texts(plan_lines(replace(made, groups=groups)))[2:] == [
        "queue-040                      2  v1       deploy    runs v1",
        "queue-000 and 48 more         98  v1       excluded",
        "1 group to deploy (2 instances), 49 excluded",
    ]


def test_an_answer_that_is_too_wide_is_folded_and_its_last_column_may_be_cut() -> None:
    row = {"id": "20261125-203341-d5bd", "build": "2026.11.25-203240-g9a61b52cd", "note": "undone by somebody " * 3}
    narrow = texts(value_lines({"rollouts": [row]}, 60))
    assert narrow[:2] == ["id                    build", "  note"]
    assert narrow[2] == "20261125-203341-d5bd  2026.11.25-203240-g9a61b52cd"
    assert all(width(t) <= 60 for t in narrow)
    wider = texts(value_lines({"rollouts": [row]}, 80))
    assert wider[0] == "id                    build                         note"
    assert wider[1].startswith("20261125-203341-d5bd  2026.11.25-203240-g9a61b52cd  undone by")
    assert wider[1].endswith("…")


def test_a_field_that_says_nothing_is_shown_as_such() -> None:
    assert texts(value_lines({"build": "", "why": "freeze"})) == ["build  -", "why    freeze"]


def test_a_verdict_hides_what_is_clean_and_ends_with_the_count() -> None:
    assert texts(verification_lines(verification())) == [
        "queue-000: 5 of 6 current; 1 outdated",
        "  i-003  outdated  v1  4 min 12 s ago  inv deploy --build v2 --only queue-000",
        "queue-001: 5 of 6 current; 1 silent",
        "  i-007  silent  -  never reported  inv deploy --build v2 --only queue-001",
        "298 of 300 current; 1 outdated, 1 silent. Athena: 2.3 MB, $0.00005, 3.1 s, query q",
    ]


def test_instances_that_leave_are_named_but_not_counted() -> None:
    found = verification(bad=False, nodes=3)
    found = replace(found, nodes=(*found.nodes, replace(found.nodes[0], state=NodeState.LEAVING)))
    said = "3 of 3 current; not counted: 1 leaving. Athena: 2.3 MB, $0.00005, 3.1 s, query q"
    assert texts(verification_lines(found)) == [said]
    [nothing] = verification_lines(replace(found, cost=QueryCost()))
    assert nothing == ("3 of 3 current; the query read nothing; not counted: 1 leaving.", "bad")


def test_a_group_says_what_is_particular_to_it_and_a_clean_one_only_where_codedeploy_disagrees() -> None:
    found = verification(nodes=18)
    views = [GroupView(group=f"queue-{n:03}", queue="q", expected="v2") for n in range(3)]
    views[0] = replace(views[0], expected="v1", moving="d-9")
    views[2] = replace(views[2], note="CodeDeploy says v1 (d-2), 6 of 6 processes say v2")
    said = texts(verification_lines(replace(found, groups=tuple(views))))
    assert said[0] == "queue-000: 5 of 6 current; 1 outdated; expected is v1; d-9 is bringing v1"
    assert said[4] == "queue-002: 6 of 6 current; CodeDeploy says v1 (d-2), 6 of 6 processes say v2"
    assert len(said) == 6


def test_everything_is_also_what_does_not_count() -> None:
    found = verification(bad=False, nodes=2)
    gone = replace(found.nodes[0], instance_id="i-gone", state=NodeState.DEPARTED, next_step="")
    found = replace(found, nodes=(*found.nodes, gone))
    assert not any("i-gone" in t for t in texts(verification_lines(found)))
    assert "  i-gone  departed  v2  4 min 12 s ago" in texts(verification_lines(found, everything=True))


def test_a_wait_ends_with_what_all_its_queries_cost() -> None:
    spent = Spending(queries=12, scanned=27_600_000, seconds=37.2, dollars=0.0006)
    assert verdict(replace(verification(), spent=spent)).endswith(
        "Athena: 2.3 MB, $0.00005, 3.1 s, query q; 12 queries together 27.6 MB, $0.00060, 37 s"
    )


def test_an_empty_fleet_is_never_called_current() -> None:
    found = verification(nodes=300)
    said = verification_lines(replace(found, nodes=()))
    assert "nothing was checked" in said[-1].text
    assert said[-1].tone == "bad"
    assert "current" not in verdict(replace(found, nodes=()))


def test_a_group_of_many_bad_instances_is_cut_and_counted() -> None:
    found = verification(nodes=300)
    nodes = tuple(replace(n, group="one", state=NodeState.SILENT) for n in found.nodes)
    lines = texts(verification_lines(replace(found, nodes=nodes)))
    assert len(lines) == 13
    assert lines[-2] == "  ... and 290 more: 290 silent; verify-versions --all shows them"
    whole = verification_lines(replace(found, nodes=nodes), everything=True)
    assert len([t for t in texts(whole) if t.startswith("  i-")]) == 300


def test_a_command_that_is_too_wide_for_a_line_can_still_be_copied_as_one() -> None:
    step = "aws autoscaling terminate-instance --instance-id i-003 --no-should-decrement # its files were changed"
    found = verification(nodes=18)
    found = replace(found, nodes=tuple(replace(n, next_step=step) for n in found.nodes))
    assert texts(verification_lines(found, 60))[1:6] == [
        "  i-003  outdated  v1  4 min 12 s ago",
        "      aws autoscaling terminate-instance --instance-id \\",
        "      i-003 --no-should-decrement",
        "      # its files were changed",
        "queue-001: 5 of 6 current; 1 silent",
    ]
    # A shell takes it for the command alone.
    whole = "\n".join(texts(verification_lines(found, 60))[2:5]).replace("\\\n", "")
    assert shlex.split(whole, comments=True) == step.partition(" # ")[0].split()
    assert any(t.endswith(f"ago  {step}") for t in texts(verification_lines(found)))


def test_a_wait_is_told_in_few_words_where_there_is_little_room() -> None:
    assert brief(verification(), 580.0) == "298 of 300 current, looking for 9 min 40 s more"
    assert brief(verification(), None) == "298 of 300 current"


def test_a_summary_tells_equal_failures_once_with_one_log_and_what_to_type() -> None:
    board, end = finished(3, ("queue-000", "queue-002"))
    assert texts(summary_lines(board, end))[:7] == [
        "rollout r-20261120-120000 of v2 ended after 15 s: 1 succeeded, 2 failed",
        "  instances  2 of 6 succeeded, 4 did not",
        "  failed     4 instances in 2 groups: AfterInstall, exit 1: scripts/after_install.sh",
        "             in queue-000, queue-002",
        "             log of i-queue-000-0, its last lines:",
        "             | line 26 of the log",
        "             | line 27 of the log",
    ]
    assert "             next: mend scripts/after_install.sh, commit, then inv deploy" in texts(
        summary_lines(board, end)
    )


def test_a_summary_names_the_failed_groups_that_no_cluster_names() -> None:
    board, end = finished(3, ("queue-000", "queue-002"))
    said = texts(summary_lines(board, replace(end, clusters=())))
    assert "  failed     queue-000, queue-002: AfterInstall, exit 1: scripts/after_install.sh" in said


def test_an_interrupted_watch_says_how_to_resume() -> None:
    board, end = finished(1)
    assert texts(summary_lines(board, replace(end, interrupted=True)))[-1] == (
        "  next       its deployments go on without us; inv watch r-20261120-120000"
    )


@pytest.mark.parametrize("limit", WIDTHS)
def test_no_block_exceeds_its_width(limit: int) -> None:
    board, end = finished(3, ("queue-001",))
    wild = failure("queue-" + "宽" * 40)
    for lines in (
        plan_lines(plan(3, prefix="a-rather-long-name-of-a-queue-"), limit),
        failure_lines(wild, limit),
        summary_lines(board, end, limit),
        verification_lines(verification(), limit),
    ):
        assert [t for t in texts(lines) if width(t) > limit] == []


def test_an_age_says_who_is_ahead_and_whose_report_has_no_time() -> None:
    since_1970 = 56 * 365.25 * 86400
    assert [age(a) for a in (None, 70, -3.5, 8 * 86400, since_1970)] == [
        "never reported",
        "1 min 10 s ago",
        "3.5 s ahead",
        "8 d ago",
        "at no time that can be read",
    ]
