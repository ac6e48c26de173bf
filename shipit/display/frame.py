"""Lay out the live view of a rollout for a terminal of any size. Pure: the board in, lines out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shipit.display.board import Board, Row
from shipit.display.text import Line, clean, clip, listing, pad, width
from shipit.display.words import TONES, by_phase
from shipit.events import WavePaused
from shipit.models import Phase
from shipit.wording import duration, plural

#: Seconds without a look at AWS after which the view says so.
_STALE = 20.0
#: A list that is folded anyway gives a row away for what Ctrl-C does, where it has so many.
_SPARE = 10


@dataclass(frozen=True, kw_only=True)
class Glyphs:
    """Name the characters that a terminal's encoding may lack."""

    full: str = "━"
    rest: str = "─"
    mark: str = "…"


UNICODE = Glyphs()
ASCII = Glyphs(full="#", rest="-", mark="~")


def frame(board: Board, now: datetime, *, columns: int, lines: int, glyphs: Glyphs = UNICODE) -> list[Line]:
    """Return at most `lines` lines of at most `columns` columns: header, totals, bar, then as many groups as fit.

    Groups that failed come first and take at most half the room while others move, the longest running first; each
    kind says how many more it has. Groups that wait or succeeded are only counted.
    """
    top = [*_header(board, now, columns, glyphs), _bar_line(board, columns, glyphs)]
    foot = _footer(board, now)
    bad = [r for r in board.rows.values() if r.phase.bad]
    # Stable, so that a list of groups that started together does not jump.
    moving = sorted(board.in_phase(Phase.RUNNING), key=lambda r: r.elapsed(now) or 0.0, reverse=True)
    foot += _way_out(board, columns, max(lines - len(top) - len(foot), 0), len(bad) + len(moving))
    room = max(lines - len(top) - len(foot), 0)
    most_bad = len(bad) if len(bad) + len(moving) <= room else max(room - len(moving), room // 2)
    shown_bad, more_bad = _fit(bad, most_bad)
    left = room - len(shown_bad) - bool(more_bad)
    shown, more = _fit(moving, left)
    name = min(max((width(clean(r.group)) for r in (*shown_bad, *shown)), default=0), max(columns // 3, 8))
    body = [_row(r, now, columns, name, glyphs, board.cause(r)) for r in shown_bad]
    if more_bad:
        body.append(Line(f"... and {more_bad:,} more failed", "bad"))
    body += [_row(r, now, columns, name, glyphs) for r in shown]
    if more:
        body.append(Line(f"... and {more:,} more moving", "dim"))
    whole = [*top, *body[:room], *foot][: max(lines, 1)]
    return [Line(clip(line.text, columns, glyphs.mark), line.tone) for line in whole]


def _fit(rows: Sequence[Row], room: int) -> tuple[Sequence[Row], int]:
    if len(rows) <= room:
        return rows, 0
    return rows[: max(room - 1, 0)], len(rows) - max(room - 1, 0)


def _header(board: Board, now: datetime, columns: int, glyphs: Glyphs) -> list[Line]:
    plan = board.plan
    named = f"{plan.env}  {plan.published.build.version}  {plan.id}" if plan else ""
    passed = _passed(board, now)
    left = max(columns - width(passed) - 2, 0)
    head = f"{pad(clip(clean(named), left, glyphs.mark), left)}  {passed}" if left else passed
    wave = f"wave {board.wave.wave} of {board.wave.of}, " if board.wave else ""
    return [Line(head, "head"), Line(f"{wave}{plural(len(board.rows), 'group')}: {by_phase(board)}")]


def _passed(board: Board, now: datetime) -> str:
    """Say how long it has taken, and how long past rollouts say that it will."""
    if board.started_at is None:
        return ""
    # A rollout that is watched was begun by another machine's clock.
    seconds = max((now - board.started_at).total_seconds(), 0.0)
    expected = board.plan.expected if board.plan else None
    if not expected or (board.paused and board.paused.seconds is None):
        return duration(seconds)
    whole = expected + board.held_up
    said = f"of about {duration(whole)}" if seconds <= whole else f"(usually {duration(whole)})"
    return f"{duration(seconds)} {said}"


def _bar_line(board: Board, columns: int, glyphs: Glyphs) -> Line:
    done, bad, total = board.instances()
    said = f"{done:,} of {plural(total, 'instance')} done" + (f", {bad:,} failed or skipped" if bad else "")
    room = min(columns - width(said) - 2, 60)
    return Line(f"{bar(done, total, room, glyphs)}  {said}" if room >= 8 else said, "bad" if bad else "good")


def bar(done: int, total: int, columns: int, glyphs: Glyphs = UNICODE) -> str:
    """Return a bar of exactly `columns` columns; it is full only when all is done."""
    full = columns * min(done, total) // total if total else 0
    return glyphs.full * full + glyphs.rest * (columns - full)


def _row(row: Row, now: datetime, columns: int, name: int, glyphs: Glyphs, cause: str = "") -> Line:
    passed = row.elapsed(now)
    # A failed group is not "all done": its bar shows what got the build.
    done = row.overview.succeeded if row.phase.bad else row.done
    cells = [pad(clip(clean(row.group), name, glyphs.mark), name)]
    if columns >= 50:
        cells.append(bar(done, row.total, 30 if columns >= 140 else 14, glyphs))
    cells.append(f"{f'{done}/{row.total}':>7}")
    cells.append(f"{'' if passed is None else duration(passed):>11}")
    if columns >= 100:
        cells.append(f"{clean(row.deployment_id):<11}")
    notes = [row.phase.value] if row.phase.bad else []
    notes += [f"try {row.attempt}"] if row.attempt > 1 and not row.phase.bad else []
    notes += [f"{row.overview.failed} failed"] if row.overview.failed and row.phase is Phase.RUNNING else []
    notes += [clean(cause)] if cause else []
    return Line("  ".join([*cells, ": ".join(notes)]).rstrip(), TONES[row.phase])


def _footer(board: Board, now: datetime) -> list[Line]:
    said = []
    if board.paused:
        said.append(_paused(board.paused, now))
    silent = (now - board.last_tick).total_seconds() if board.last_tick else 0.0
    if silent >= _STALE:
        said.append(f"last looked {duration(silent)} ago; the deployments go on")
    if board.throttled:
        said.append(
            f"throttled {plural(board.throttles, 'time')}, last {clean(board.throttled.operation)}: "
            f"{board.throttled.rate:.1f} calls a second"
        )
    return [Line("; ".join(said), "warn")] if said else []


def _paused(pause: WavePaused, now: datetime) -> str:
    if pause.seconds is None:
        return f"wave {pause.wave} is done; inv promote lets the next one start"
    left = max(pause.seconds - (now - pause.at).total_seconds(), 0.0)
    return f"wave {pause.wave} is done; the next one starts in {duration(left)}, or by inv promote"


def _way_out(board: Board, columns: int, room: int, groups: int) -> list[Line]:
    """Say what Ctrl-C does, unless a group would lose its line for it."""
    waiting = board.phases()[Phase.WAITING]
    if board.rows and all(row.phase.ended for row in board.rows.values()) and not board.paused:
        said = "every group has ended; Ctrl-C ends the waiting for their instances' reports"
    elif board.attached:
        said = "Ctrl-C stops watching; the rollout goes on"
    else:
        said = f"Ctrl-C {'starts no more groups and ' if waiting else ''}stops watching; the deployments go on"
    spare = groups < room or (groups > room and room >= _SPARE)
    return [Line(said, "dim")] if spare and width(said) <= columns else []


def ending(board: Board) -> Line:
    """Say where a rollout stood that nothing concluded."""
    moving = [row.group for row in board.in_phase(Phase.RUNNING)]
    still = f"; still deploying: {listing(moving, 3)}" if moving else ""
    return Line(f"{plural(len(board.rows), 'group')}: {by_phase(board)}{still}", "warn")
