"""The log has a line for each change, none for an instance, and stays readable at 500 groups."""

import io
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, timedelta

import pytest
from display.samples import failure, one_of_each, plan, rollout, verification
from fakes import NOON

from shipit.display.plain import PlainDisplay
from shipit.errors import ShipitError
from shipit.events import (
    Event,
    GroupDiagnosed,
    GroupEnded,
    GroupStarted,
    Notice,
    RolloutFinished,
    Tick,
    UploadProgress,
    Verified,
)


def printed(events: Iterable[Event]) -> list[str]:
    stream = io.StringIO()
    with PlainDisplay(stream, now=lambda: NOON, zone=UTC) as display:
        for event in events:
            display(event)
    return stream.getvalue().splitlines()


def test_a_rollout_is_a_line_for_each_change() -> None:
    assert printed(rollout(2)) == [
        "12:00:00 rollout r-20261120-120000 of v2 to sandbox: 2 groups, 4 instances",
        "12:00:00 queue-000: started d-QUEUE-000 on 2 instances",
        "12:00:00 queue-001: started d-QUEUE-001 on 2 instances",
        "12:00:15 queue-000: succeeded in 15 s, 2 instances (d-QUEUE-000)",
        "12:00:15 queue-001: succeeded in 15 s, 2 instances (d-QUEUE-001)",
        "12:00:15 rollout r-20261120-120000 of v2 ended after 15 s: 2 succeeded",
        "           instances  4 of 4 succeeded",
        "           AWS calls  8: BatchGetDeployments 6, CreateDeployment 2",
    ]


def test_the_verdict_of_the_last_look_bears_no_earlier_time_than_the_end_that_is_told_before_it() -> None:
    looked = Verified(verification=replace(verification(), at=NOON + timedelta(seconds=14)))
    lines = printed([*rollout(2), looked])
    assert not any(line.startswith("12:00:14 ") for line in lines)


def test_a_rollout_that_was_left_while_groups_were_running_has_not_ended() -> None:
    events = [event for event in rollout(2) if not isinstance(event, GroupEnded)]
    (end,) = [line for line in printed(events) if "after 15 s" in line]
    assert end == "12:00:15 rollout r-20261120-120000 of v2 still runs after 15 s: 2 running"


def test_the_fleet_is_told_each_half_minute() -> None:
    lines = [t for t in printed(rollout(2, ticks=13)) if " ended (" in t]
    assert [t[:8] for t in lines] == ["12:00:30", "12:01:00"]
    assert lines[0].endswith("0 of 2 groups ended (2 running); 2 of 4 instances done")


def test_a_failure_says_why_where_and_what_next() -> None:
    lines = printed([failure()])
    assert lines[0] == "12:00:00 queue-001 failed: AfterInstall, exit 1: scripts/after_install.sh"
    said = "\n".join(lines)
    for fact in (
        "i-queue-001-0, i-queue-001-1 (2 script failed)",
        "AfterInstall (ScriptFailed)",
        "scripts/after_install.sh",
    ):
        assert fact in said
    assert "| ModuleNotFoundError: No module named 'celery'" in said
    assert "line 3 of the log" not in said
    assert lines[-1].split(None, 1) == ["next", "mend scripts/after_install.sh, commit, then inv deploy"]


def seven_minutes(count: int, *, failing: tuple[str, ...] = ()) -> list[Event]:
    """Make a rollout as it is on AWS: ten starts a second, a look each five seconds, ends over minutes 2 to 7."""
    first, *rest = rollout(count, failing=failing)
    began: Event = first
    events: list[tuple[float, Event]] = []
    for number, event in enumerate(e for e in rest if isinstance(e, GroupStarted)):
        at = number / 10
        events.append((at, replace(event, at=NOON + timedelta(seconds=at))))
    ended = 0
    for event in rest:
        if isinstance(event, GroupEnded):
            at = 120 + 5 * (ended * 60 // count)
            ended += 1
            events.append((at, replace(event, at=NOON + timedelta(seconds=at))))
        elif isinstance(event, GroupDiagnosed):
            events.append((at, event))
    events += [(at + 0.5, Tick(at=NOON + timedelta(seconds=at))) for at in range(0, 421, 5)]
    end = NOON + timedelta(seconds=421)
    last = [replace(e, at=end, seconds=421) for e in rest if isinstance(e, RolloutFinished)]
    return [began, *(e for _, e in sorted(events, key=lambda pair: pair[0])), *last]


def test_a_clean_rollout_of_five_hundred_groups_is_a_page() -> None:
    stream = io.StringIO()
    with PlainDisplay(stream, now=lambda: NOON + timedelta(seconds=421), zone=UTC) as display:
        display.plan(plan(500))
        for event in seven_minutes(500):
            display(event)
        display(Verified(verification=verification(bad=False)))
    lines = stream.getvalue().splitlines()
    assert len(lines) <= 60
    assert any("queue-000 and 499 more" in t for t in lines)
    times = [t[:8] for t in lines if re.match(r"\d\d:", t)]
    assert times[:-1] == sorted(times[:-1])  # the verdict's sample is of noon
    started = [int(m[1]) for t in lines if (m := re.search(r"started (\d+) groups", t))]
    succeeded = [int(m[1]) for t in lines if (m := re.search(r" (\d+) groups succeeded \(", t))]
    assert (sum(started), sum(succeeded)) == (500, 500)
    first = "queue-009, queue-010, queue-011, queue-012, queue-013 and 20 more"
    assert f"12:02:15 25 groups succeeded (50 instances): {first}" in lines


def test_among_five_hundred_groups_each_that_fails_is_told_by_itself_and_at_once() -> None:
    events = seven_minutes(500, failing=("queue-001", "queue-300"))
    lines = printed(events)
    assert sum(bool(re.search(r"^12:\d\d:\d\d queue-\d+: failed in ", t)) for t in lines) == 2
    assert any(t.startswith("12:02:00 queue-001: failed in 15 s") for t in lines)
    assert sum("| ModuleNotFoundError" in t for t in lines) == 2
    assert sum(int(m[1]) for t in lines if (m := re.search(r" (\d+) groups succeeded \(", t))) == 498


def test_successes_that_wait_to_be_told_are_told_when_an_error_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    with PlainDisplay(stream, now=lambda: NOON, zone=UTC) as display:
        for event in rollout(101):
            if not isinstance(event, RolloutFinished):
                display(event)
        assert "succeeded" not in stream.getvalue()
        display.error(ShipitError("the end"))
        assert stream.getvalue().endswith(" queue-003, queue-004 and 96 more\n")
        told = stream.getvalue()
    assert stream.getvalue() == told
    assert "101 groups succeeded (202 instances)" in told


def test_five_hundred_failures_of_one_cause_are_not_five_hundred_blocks() -> None:
    names = tuple(f"queue-{n:03}" for n in range(500))
    lines = printed(rollout(500, failing=names))
    assert len(lines) < 620
    assert sum("| ModuleNotFoundError" in t for t in lines) == 2
    assert any("1,000 instances in 500 groups: AfterInstall, exit 1" in t for t in lines)
    assert any(t.endswith("and 495 more") for t in lines)


def test_starts_that_wait_to_be_told_are_told_at_the_end() -> None:
    events = [e for e in rollout(101) if isinstance(e, GroupStarted)]
    assert printed([next(iter(rollout(101))), *events])[-1].endswith("queue-003, queue-004 and 96 more")


def test_nothing_in_a_log_moves_a_cursor() -> None:
    text = "\n".join(printed([*one_of_each(), failure("\x1b[2Jevil\r[red]"), Notice(text="two\nlines\x07")]))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", text)
    assert "\\x1b[2Jevil\\r[red] failed" in text
    assert "two\\nlines\\x07" in text


def test_an_upload_is_told_every_ten_seconds() -> None:
    moments = iter(NOON + timedelta(seconds=n) for n in range(100))
    stream = io.StringIO()
    display = PlainDisplay(stream, now=lambda: next(moments), zone=UTC)
    for sent in range(20):
        display(UploadProgress(version="v2", sent=sent, total=20))
    assert len(stream.getvalue().splitlines()) < 5


def test_looks_of_a_wait_are_told_when_they_differ() -> None:
    worse, better = verification(), verification(bad=False)
    looks = [Verified(verification=v, final=False, left=540.0) for v in (worse, worse, better)]
    lines = printed([*looks, Verified(verification=better)])
    assert lines == [
        "12:00:00 298 of 300 current; 1 outdated, 1 silent. Looking for 9 min more.",
        "12:00:00 300 of 300 current. Looking for 9 min more.",
        "12:00:00 300 of 300 current. Athena: 2.3 MB, $0.00005, 3.1 s, query q",
    ]


def test_a_long_wait_in_which_nothing_changes_still_shows_that_it_looks() -> None:
    later = [replace(verification(), at=NOON + timedelta(seconds=60 * n)) for n in range(7)]
    lines = printed([Verified(verification=v, final=False, left=60.0) for v in later])
    assert [t.split()[0] for t in lines] == ["12:00:00", "12:02:00", "12:04:00", "12:06:00"]


def test_an_answer_can_be_read_by_a_script() -> None:
    stream = io.StringIO()
    with PlainDisplay(stream) as display:
        display.value("version", {"version": "v2"})
        display.value("facts", {"env": "sandbox", "busy": True, "groups": ["a", "b"]})
        display.value("builds", {"builds": [{"version": "v1", "size": 3}, {"version": "v22", "size": 4}]})
        display.text("two\nlines")
    assert stream.getvalue().splitlines() == [
        "v2",
        "env     sandbox",
        "busy    yes",
        "groups  a, b",
        "version  size",
        "v1       3",
        "v22      4",
        "two",
        "lines",
    ]


def test_an_error_goes_to_standard_error_with_its_hint(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    with PlainDisplay(stream) as display:
        display.error(ShipitError("it broke\x1b", hint="mend it"))
    assert capsys.readouterr().err == "error: it broke\\x1b\n  mend it\n"
    assert stream.getvalue() == ""


def test_an_encoding_that_lacks_a_character_gets_its_escape() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with PlainDisplay(stream, now=lambda: NOON, zone=UTC) as display:
        display(Notice(text="schön"))
    assert raw.getvalue() == b"12:00:00 sch\\xf6n\n"


def test_a_tick_without_a_rollout_says_nothing() -> None:
    assert printed([Tick(at=NOON), Tick(at=NOON + timedelta(hours=1))]) == []
