"""Which build ran where is a table: a row a period, with what is known of its end, and what the question cost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from display.samples import ran
from fakes import NOON

from shipit.display.periods import period_lines
from shipit.display.text import width

COST = "Athena: 2.0 MB, $0.00005, 1.5 s, query q-2"


def test_a_period_is_a_row_and_what_the_question_cost_comes_last() -> None:
    assert [line.text for line in period_lines(ran())] == [
        "group  build  from              to                instances  deployment",
        "email  v1     2026-11-20 11:30  now               2          d-3",
        "email  v2     2026-11-20 11:00  2026-11-20 11:30  2          d-2; no end is known of 1",
        "email  v1     2026-11-20 09:00  2026-11-20 10:58  1,200      d-1 and 2 more",
        COST,
    ]


def test_of_one_build_it_is_told_when_it_ran_in_all() -> None:
    whole = ran()
    first, _, last = whole.periods
    told = replace(whole, build="v1", periods=(replace(first, until=NOON, unended=0, deployments=()), last))
    assert [line.text for line in period_lines(told)] == [
        "ran    in 1 group, 2026-11-20 09:00 UTC to 2026-11-20 12:00 UTC",
        "where:",
        "group  from              to                instances  deployment",
        "email  2026-11-20 11:30  2026-11-20 12:00  2          -",
        "email  2026-11-20 09:00  2026-11-20 10:58  1,200      d-1 and 2 more",
        COST,
    ]
    running = replace(whole, build="v1", periods=(first, last))
    assert period_lines(running)[0].text.endswith(" to now")


def test_where_nothing_ran_the_question_is_told() -> None:
    nothing = replace(ran(), periods=(), look_back=timedelta(days=30).total_seconds())
    assert [line.text for line in period_lines(replace(nothing, group="a*", build="v9"))] == [
        "no instance with v9 of a* in prod reported a start in the last 30 d",
        COST,
    ]
    assert period_lines(nothing)[0].text.startswith("no instance in prod reported")


def test_no_line_is_wider_than_the_terminal() -> None:
    for told in (ran(), replace(ran(), build="v1"), replace(ran(), periods=(), group="a" * 60)):
        assert all(width(line.text) <= 40 for line in period_lines(told, 40))
