"""Findings are a table a file, the reason and the fix once a rule; a job of GitHub's gets them at their lines."""

import io

from shipit.display.findings import finding_lines, tally
from shipit.display.github import WithAnnotations, annotation
from shipit.display.plain import PlainDisplay
from shipit.display.text import width
from shipit.events import Linted, Notice
from shipit.models import Finding, Severity

MODE = Finding(
    rule="systemd-kill-mode",
    severity=Severity.ERROR,
    file="systemd/a.service",
    line=3,
    what="KillMode is not set",
    why="measured: 2 of 4 tasks lost",
    fix="KillMode=mixed",
)
TYPE = Finding(
    rule="systemd-type",
    severity=Severity.WARNING,
    file="systemd/a.service",
    line=12,
    what="Type=simple",
    why="a broken build passes",
    fix="Type=notify",
)
QUEUE = Finding(
    rule="systemd-type", severity=Severity.NOTE, file="sqs", what="email: 100 %", why="w", fix="f, g: h\n"
)


def linted(*findings: Finding, **more: int) -> Linted:
    return Linted(findings=findings, files=9, **more)


def test_a_table_a_file_and_each_reason_once() -> None:
    second = Finding(**{**{f: getattr(MODE, f) for f in MODE.__dataclass_fields__}, "file": "b.service", "line": 0})
    assert [line.text for line in finding_lines(linted(MODE, TYPE, second, queues=2, ignored=1))] == [
        "systemd/a.service",
        "   3  error    systemd-kill-mode  KillMode is not set",
        "  12  warning  systemd-type       Type=simple",
        "b.service",
        "  -  error  systemd-kill-mode  KillMode is not set",
        "",
        "systemd-kill-mode",
        "  why  measured: 2 of 4 tasks lost",
        "  fix  KillMode=mixed",
        "",
        "systemd-type",
        "  why  a broken build passes",
        "  fix  Type=notify",
        "",
        "2 errors, 1 warning in 9 files and 2 queues; 1 ignored",
    ]


def test_nothing_found_is_a_line() -> None:
    [line] = finding_lines(linted())
    assert (line.text, line.tone) == ("nothing found in 9 files", "good")
    assert tally(linted(QUEUE)) == "1 note in 9 files"


def test_a_narrow_terminal_cuts_nothing() -> None:
    for limit in (20, 40, 60):
        lines = finding_lines(linted(MODE, TYPE), limit)
        assert max(width(line.text) for line in lines) <= limit
        assert "".join("".join(line.text for line in lines).split()).count("KillModeisnotset") == 1


def test_a_log_gets_the_table_without_the_time() -> None:
    stream = io.StringIO()
    PlainDisplay(stream)(linted(MODE))
    assert stream.getvalue().startswith("systemd/a.service\n  3  error")


def test_a_job_of_githubs_gets_each_finding_at_its_line() -> None:
    assert annotation(MODE) == (
        "::error file=systemd/a.service,line=3,title=systemd-kill-mode::"
        "KillMode is not set. measured: 2 of 4 tasks lost. Fix: KillMode=mixed"
    )
    assert annotation(QUEUE) == "::notice file=sqs,title=systemd-type::email: 100 %25. w. Fix: f, g: h\\n"


def test_annotations_stand_beside_the_display_and_hold_findings_alone() -> None:
    shown, marks = io.StringIO(), io.StringIO()
    with WithAnnotations(PlainDisplay(shown), marks) as display:
        display(Notice(text="hello"))
        display(linted(MODE, TYPE))
        display.text("bye")
    assert [line.partition(" ")[0] for line in marks.getvalue().splitlines()] == ["::error", "::warning"]
    assert "hello" in shown.getvalue()
    assert "::" not in shown.getvalue()
    assert shown.getvalue().endswith("bye\n")
