"""The display is chosen by the stream and the environment, and rich is loaded for the live one alone."""

import io
import subprocess
import sys

import pytest

from shipit.display import open_display
from shipit.display.jsonl import JsonDisplay
from shipit.display.live import LiveDisplay
from shipit.display.markdown import WithSummary
from shipit.display.plain import PlainDisplay
from shipit.errors import UsageError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "env", "kind"),
    [
        (Terminal(), {"TERM": "xterm"}, LiveDisplay),
        (Terminal(), {}, LiveDisplay),
        (Terminal(), {"TERM": "dumb"}, PlainDisplay),
        (Terminal(), {"TERM": "xterm", "CI": "true"}, PlainDisplay),
        (io.StringIO(), {"TERM": "xterm"}, PlainDisplay),
    ],
)
def test_auto_is_live_only_on_a_terminal_that_no_ci_job_reads(
    stream: io.StringIO, env: dict[str, str], kind: type
) -> None:
    assert isinstance(open_display("auto", stream=stream, env=env), kind)


def test_a_mode_that_is_asked_for_is_given() -> None:
    assert isinstance(open_display("json", stream=Terminal(), env={}), JsonDisplay)
    assert isinstance(open_display("plain", stream=Terminal(), env={}), PlainDisplay)
    assert isinstance(open_display("live", stream=io.StringIO(), env={}), LiveDisplay)


def test_an_unknown_mode_names_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        open_display("fancy")
    assert "live" in caught.value.hint


def test_a_ci_job_gets_its_summary_whatever_the_display() -> None:
    assert isinstance(open_display("json", stream=io.StringIO(), env={"GITHUB_STEP_SUMMARY": "x"}), WithSummary)


@pytest.mark.parametrize("mode", ["plain", "json"])
def test_a_log_never_loads_rich(mode: str) -> None:
    script = (
        "import sys; from shipit.display import open_display; from shipit.events import Notice\n"
        f"with open_display({mode!r}, env={{'GITHUB_STEP_SUMMARY': '/dev/null'}}) as d: d(Notice(text='x'))\n"
        "sys.exit(any(m.split('.')[0] == 'rich' for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0


def test_a_reader_that_goes_away_stops_nothing() -> None:
    script = (
        "from shipit.display import open_display; from shipit.events import Notice\n"
        "import sys\n"
        "with open_display('plain', env={}) as d:\n"
        "    for n in range(20000): d(Notice(text='x' * 50))\n"
        "print('done', file=sys.stderr)"
    )
    shown = subprocess.run(
        ["sh", "-c", '("$0" -c "$1"; echo "code $?" >&2) | head -1', sys.executable, script],
        capture_output=True,
        text=True,
    )
    assert shown.stderr.split() == ["done", "code", "0"]
