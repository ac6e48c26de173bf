"""The live view scrolls what is final, redraws what moves, and always gives the terminal back."""

import io
import re

import pytest
from display.samples import failure, one_of_each, plan, rollout, verification
from fakes import NOON
from rich.console import Console

from shipit.display.live import LiveDisplay, open_live
from shipit.errors import ShipitError
from shipit.events import Notice, RolloutFinished, UploadProgress, Verified

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def display(stream: io.StringIO | io.TextIOWrapper, columns: int = 80, lines: int = 24) -> LiveDisplay:
    console = Console(file=stream, force_terminal=True, width=columns, height=lines, markup=False, highlight=False)
    return LiveDisplay(console, now=lambda: NOON)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_rollout_ends_with_its_summary_and_the_cursor() -> None:
    stream = io.StringIO()
    with display(stream) as shown:
        shown.plan(plan(3))
        for event in rollout(3, failing=("queue-001",)):
            shown(event)
    said = stream.getvalue()
    assert HIDE in said
    assert said.rindex(SHOW) > said.rindex(HIDE)
    tail = plain(said).splitlines()
    assert any(t.startswith("rollout r-20261120-120000 of v2 ended after 15 s: 2 succeeded, 1 failed") for t in tail)
    assert sum("| ModuleNotFoundError" in t for t in tail) == 1


def test_ctrl_c_gives_the_cursor_back_and_says_where_it_stood() -> None:
    stream = io.StringIO()

    def watch() -> None:
        with display(stream) as shown:
            for number, event in enumerate(rollout(3)):
                if number == 6:
                    raise KeyboardInterrupt
                shown(event)

    with pytest.raises(KeyboardInterrupt):
        watch()
    said = stream.getvalue()
    assert said.rindex(SHOW) > said.rindex(HIDE)
    assert plain(said).splitlines()[-1].startswith("3 groups: 3 running; still deploying: queue-000")


def test_of_failures_that_are_equal_the_first_is_shown_in_full_and_the_summary_joins_them() -> None:
    stream = io.StringIO()
    with display(stream, 120) as shown:
        for event in rollout(30, failing=tuple(f"queue-{n:03}" for n in range(30))):
            shown(event)
    said = plain(stream.getvalue())
    assert said.count("failed as queue-000 did: 2 script failed") == 19
    assert said.count("60 instances in 30 groups: AfterInstall, exit 1") == 1
    # Once where it happened first, once in the summary.
    assert said.count("| ModuleNotFoundError") == 2


def test_an_error_closes_the_region_first(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    with display(stream) as shown:
        shown(next(iter(rollout(1))))
        shown.error(ShipitError("it broke", hint="mend it"))
        assert stream.getvalue().rindex(SHOW) > stream.getvalue().rindex(HIDE)
    assert capsys.readouterr().err == "error: it broke\n  mend it\n"


def test_markup_and_control_characters_are_shown_as_they_are() -> None:
    stream = io.StringIO()
    with display(stream) as shown:
        shown(Notice(text="[red]queue[/red] :smile: \x1b[2J"))
        shown(failure("[bold]x[/bold]\x07"))
    said = plain(stream.getvalue())
    assert "[red]queue[/red] :smile: \\x1b[2J" in said
    assert "[bold]x[/bold]\\x07 failed" in said


@pytest.mark.parametrize(("columns", "lines"), [(1, 1), (10, 3), (40, 10), (80, 24), (200, 50)])
def test_every_event_can_be_shown_on_any_terminal(columns: int, lines: int) -> None:
    stream = io.StringIO()
    with display(stream, columns, lines) as shown:
        for event in one_of_each():
            shown(event)
        shown(UploadProgress(version="v3", sent=1, total=9))
        shown(Verified(verification=verification(), final=False))
    if columns >= 40:
        assert max(len(t) for t in plain(stream.getvalue()).splitlines()) <= columns


def test_a_terminal_without_unicode_gets_ascii() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with display(stream) as shown:
        for event in rollout(40):
            if not isinstance(event, RolloutFinished):
                shown(event)
    stream.flush()
    assert b"####" in raw.getvalue() or b"----" in raw.getvalue()


def test_no_color_takes_the_colours_away() -> None:
    coloured, bare = io.StringIO(), io.StringIO()
    for stream, env in ((coloured, {}), (bare, {"NO_COLOR": "1"})):
        with open_live(stream, {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", **env}) as shown:
            shown(Notice(text="careful", warning=True))
    assert "\x1b[33m" in coloured.getvalue()
    assert "\x1b[3" not in bare.getvalue()


def test_a_command_without_a_rollout_never_touches_the_cursor() -> None:
    stream = io.StringIO()
    with display(stream) as shown:
        shown.value("version", {"version": "v2"})
        shown.text("a line")
    assert stream.getvalue() == "v2\na line\n"


def test_what_is_copied_is_not_broken_to_fit() -> None:
    statement = f"-- results go to s3://{'b' * 100}/athena/"
    stream = io.StringIO()
    with display(stream) as shown:
        shown.text(statement, code=True)
    assert stream.getvalue() == f"{statement}\n"
