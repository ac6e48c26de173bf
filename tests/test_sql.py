"""The statements for Athena: what parses, and which names are let in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from shipit import sql
from shipit.errors import UsageError

NAMES = {"database": "shipit", "table": "version_reports"}
PLACE = {"bucket": "acme.shipit", "prefix": "teams/prod"}


@pytest.mark.parametrize("dialect", ["athena", "trino"])
def test_the_query_parses_and_takes_four_parameters(dialect: str) -> None:
    query = sqlglot.parse_one(sql.latest(**NAMES, **PLACE), read=dialect)
    assert isinstance(query, exp.Select)
    assert len(list(query.find_all(exp.Placeholder))) == 4


@pytest.mark.parametrize(("dialect", "understood"), [("athena", exp.Create), ("trino", exp.Command)])
def test_the_ddl_parses_and_is_hives(dialect: str, understood: type[exp.Expr]) -> None:
    # Athena hands DDL to Hive. sqlglot's Trino, which has no EXTERNAL and no backquotes, takes it as a whole.
    for statement in sql.reports_ddl(**NAMES, bucket="acme", prefix="prod"):
        assert type(sqlglot.parse_one(statement, read=dialect)) is understood


def test_the_ddl_projects_hours_below_the_prefix() -> None:
    _, table = sql.reports_ddl(**NAMES, bucket="acme", prefix="teams/prod")
    assert "LOCATION 's3://acme/teams/prod/reports/v1/'" in table
    assert "'storage.location.template' = 's3://acme/teams/prod/reports/v1/slot=${slot}/'" in table


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: sql.latest(database="a b", table="t", **PLACE), "reports.database"),
        (lambda: sql.latest(database="a", table='t"; --', **PLACE), "reports.table"),
        (lambda: sql.latest(database="a", table="", **PLACE), "reports.table"),
        (lambda: sql.latest(database="a", table="1t", **PLACE), "reports.table"),
        (lambda: sql.latest(database="a", table="t\n", **PLACE), "reports.table"),
        (lambda: sql.latest(**NAMES, bucket="acme", prefix="a.*"), "reports.prefix"),
        (lambda: sql.latest(**NAMES, bucket="a'b", prefix="p"), "reports.bucket"),
        (lambda: sql.reports_location("Upper", "p"), "reports.bucket"),
        (lambda: sql.reports_location("acme", "/p"), "reports.prefix"),
        (lambda: sql.reports_location("acme", "a//b"), "reports.prefix"),
        (lambda: sql.reports_location("acme", ""), "reports.prefix"),
        (lambda: sql.reports_location("acme", "a${slot}"), "reports.prefix"),
    ],
)
def test_a_name_that_would_not_survive_is_refused_and_its_setting_named(call: Callable[[], str], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert named in caught.value.hint


@given(name=st.text())
def test_no_name_breaks_out_of_its_quotes(name: str) -> None:
    try:
        query = sqlglot.parse_one(sql.latest(database="shipit", table=name, **PLACE), read="trino")
    except UsageError:
        return
    assert [t.name for t in query.find_all(exp.Table) if t.db] == [name]


def test_the_dots_of_a_bucket_and_a_prefix_stand_for_themselves() -> None:
    query = sql.latest(**NAMES, bucket="acme.shipit", prefix="v1.2")
    assert "'^s3://acme[.]shipit/v1[.]2/reports/v1/slot=" in query
