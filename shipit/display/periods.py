"""Lay out which build ran where: a row for each period, what the question cost last. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from shipit.display.blocks import spent, value_lines
from shipit.display.text import Line, clean, wrap
from shipit.events import BuildsRan
from shipit.models import Period
from shipit.wording import duration, moment, plural


def period_lines(told: BuildsRan, limit: int | None = None) -> list[Line]:
    """Lay out the periods; of one build also when it ran in all. `limit` is the columns that a line may take."""
    if not told.periods:
        lines = [Line(t) for t in wrap(clean(_nothing(told)), limit, "  ")]
    elif told.build:
        where = [_row(period, build=False) for period in told.periods]
        lines = value_lines({"ran": _ran(told.periods), "where": where}, limit)
    else:
        lines = value_lines({"versions": [_row(period) for period in told.periods]}, limit)
    return [*lines, *(Line(t) for t in wrap(spent(told.cost), limit, "  "))]


def _nothing(told: BuildsRan) -> str:
    what = "no instance" + (f" with {told.build}" if told.build else "") + (f" of {told.group}" if told.group else "")
    return f"{what} in {told.env} reported a start in the last {duration(told.look_back)}"


def _ran(periods: Iterable[Period]) -> str:
    found = list(periods)
    ends = [period.until for period in found if period.until]
    until = moment(max(ends)) if len(ends) == len(found) else "now"
    groups = plural(len({period.group for period in found}), "group")
    return f"in {groups}, {moment(min(period.since for period in found))} to {until}"


def _row(period: Period, *, build: bool = True) -> dict[str, str]:
    first, *more = period.deployments or ("-",)
    note = f" and {plural(len(more), 'more', 'more')}" if more else ""
    if period.until and period.unended:
        note += f"; no end is known of {period.unended:,}"
    return {
        "group": period.group,
        **({"build": period.build} if build else {}),
        "from": _minute(period.since),
        "to": _minute(period.until) if period.until else "now",
        "instances": f"{period.instances:,}",
        "deployment": first + note,
    }


def _minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"
