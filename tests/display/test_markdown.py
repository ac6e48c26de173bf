"""The page of a CI job says how it ended, why, and what to type."""

import io
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from display.samples import failure, rollout, verification

from shipit.display import open_display
from shipit.display.board import Board
from shipit.display.markdown import escape, summary
from shipit.errors import (
    AwsError,
    AwsUnavailable,
    BusyError,
    DriftError,
    Interrupted,
    PreflightError,
    ShipitError,
    StillRunning,
    UsageError,
)
from shipit.events import Event, GroupEnded, Notice, RolloutFinished, Verified
from shipit.models import Phase, Verification


def test_a_rollout_that_failed_says_why_and_what_next() -> None:
    board = Board()
    for event in rollout(3, failing=("queue-001",)):
        board.take(event)
    said = summary(board, verification(), [DriftError("1 of 3 groups failed", hint="inv deploy --build v2")])
    assert said.startswith(
        "## partial: v2 to sandbox\n\nRollout `r-20261120-120000`, 3 groups: **2 succeeded, 1 failed** in 15 s."
    )
    assert said.index("| queue-001 | failed") < said.index("| queue-000 | succeeded")
    assert "Next: `mend scripts/after_install.sh, commit, then inv deploy`" in said
    assert "```text\nline 16 of the log" in said
    assert "**Not converged** on v2: 298 of 300 current" in said
    assert "| i-003 | outdated | v1 | 4 min 12 s ago |" in said
    assert said.endswith("**error:** 1 of 3 groups failed<br>inv deploy --build v2\n\n")


def first_line(events: Iterable[Event], found: Verification | None, *errors: ShipitError) -> str:
    board = Board()
    for event in events:
        board.take(event)
    return summary(board, found, errors).splitlines()[0]


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (ShipitError, "failed"),
        (UsageError, "refused"),
        (DriftError, "partial"),
        (BusyError, "busy"),
        (PreflightError, "refused"),
        (StillRunning, "still running"),
        (AwsError, "failed"),
        (AwsUnavailable, "failed"),
        (Interrupted, "interrupted"),
    ],
)
def test_the_page_begins_with_what_the_exit_code_says(error: type[ShipitError], word: str) -> None:
    assert first_line([], None, error("it ended so")) == f"## {word}"
    # Whatever went well before it.
    assert first_line(rollout(2), verification(bad=False), error("so")) == f"## {word}: v2 to sandbox"


def test_a_page_without_an_error_begins_with_what_was_proven_and_no_more() -> None:
    assert first_line(rollout(2), verification(bad=False)) == "## converged: v2 to sandbox"
    assert first_line(rollout(2), None) == "## deployed: v2 to sandbox"
    assert first_line([], verification(bad=False)) == "## converged: sandbox on v2"
    assert first_line([], verification()) == "## partial: sandbox on v2"


def test_a_rollout_without_an_error_is_called_by_its_worst_group() -> None:
    assert first_line(rollout(3, failing=("queue-001",)), None) == "## failed: v2 to sandbox"
    events = list(rollout(3))
    alone = [e for e in events if not (isinstance(e, GroupEnded) and e.group == "queue-001")]
    assert first_line(alone, None) == "## still running: v2 to sandbox"
    partly = [replace(e, phase=Phase.PARTIAL) if isinstance(e, GroupEnded) else e for e in events]
    assert first_line(partly, None) == "## partial: v2 to sandbox"
    left = [replace(e, interrupted=True) if isinstance(e, RolloutFinished) else e for e in events]
    assert first_line(left, None) == first_line(events[:-1], None) == "## interrupted: v2 to sandbox"


def test_a_command_with_nothing_to_sum_up_writes_nothing(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    with open_display("plain", stream=io.StringIO(), env={"GITHUB_STEP_SUMMARY": str(page)}) as shown:
        shown(Notice(text="hello"))
    assert not page.exists() or page.read_text() == ""


def test_the_page_is_appended_to_and_the_log_goes_on(tmp_path: Path) -> None:
    page, stream = tmp_path / "page.md", io.StringIO()
    page.write_text("before\n")
    with open_display("plain", stream=stream, env={"GITHUB_STEP_SUMMARY": str(page)}) as shown:
        for event in rollout(1):
            shown(event)
        shown(Verified(verification=verification(bad=False)))
    assert page.read_text().startswith("before\n## converged: v2 to sandbox\n")
    assert "300 of 300 current" in stream.getvalue()


def test_an_interrupted_command_leaves_its_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    env = {"GITHUB_STEP_SUMMARY": str(page)}

    def deploy() -> None:
        with open_display("json", stream=io.StringIO(), env=env) as shown:
            shown(next(iter(rollout(1))))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deploy()
    assert page.read_text().startswith("## interrupted: v2 to sandbox\n")
    assert "1 waiting** when we stopped watching" in page.read_text()


def test_a_page_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    stream = io.StringIO()
    with open_display("plain", stream=stream, env={"GITHUB_STEP_SUMMARY": str(tmp_path / "no" / "page")}) as shown:
        for event in rollout(1):
            shown(event)
    assert "warning: the job's summary was not written" in stream.getvalue()


def test_five_hundred_failures_stay_far_below_what_a_page_may_hold() -> None:
    board = Board()
    for event in rollout(500, failing=tuple(f"queue-{n:03}" for n in range(500))):
        board.take(event)
    said = summary(board, None, [])
    assert len(said) < 50_000
    assert "### 1,000 instances in 500 groups: AfterInstall, exit 1: scripts/after&#95;install.sh" in said
    assert said.count("ModuleNotFoundError") == 1
    assert board.finished
    # A page of a rollout that was not joined to its end, as an interrupted one.
    board.finished = replace(board.finished, clusters=())
    said = summary(board, None, [])
    assert len(said) < 50_000
    assert "… and 490 more failures." in said


def test_names_and_logs_cannot_become_markup() -> None:
    assert escape("<b>|`*x*") == "&lt;b&gt;&#124;&#96;&#42;x&#42;"
    board = Board()
    for event in rollout(2):
        board.take(event)
    board.take(failure("queue|<script>", cause="see `this` <script>", instances=0))
    said = summary(board, None, [])
    assert "queue&#124;&lt;script&gt;" in said
    # What stands between backticks is shown as it is.
    assert "<script>" not in re.sub("`[^`\n]*`", "", said)
