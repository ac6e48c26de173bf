"""Setup makes what is missing, once, and changes nothing that somebody else may rely on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit import sql
from shipit.errors import PreflightError
from shipit.models import ExpiryRule, TableShape, Workgroup
from shipit.setup import Doing, Found, Goal, Step, carry_out, decide

PLACE = {"database": "shipit", "bucket": "acme", "prefix": "prod"}
STATEMENTS = (*sql.reports_ddl(**PLACE, table="version_reports"), *sql.history_ddl(**PLACE, table="version_history"))
REPORTS, HISTORY = (sql.shape(statement) for statement in STATEMENTS[1:])
RULES = (
    ExpiryRule(id="shipit-prod-reports", prefix="prod/reports/v1/", days=8),
    ExpiryRule(id="shipit-prod-history", prefix="prod/history/v1/", days=400),
)
WANTED = Goal(
    database="shipit",
    tables=(REPORTS, HISTORY),
    statements=STATEMENTS,
    workgroup=Workgroup(name="shipit", scan_limit=10**10, output="s3://acme/athena/"),
    rules=RULES,
)
EMPTY = Found(database=False, tables=(), workgroup=None, rules=())


class Account:
    """An account in which setup works: it has what is made in it."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.changes = 0

    def _change(self, **changes: object) -> None:
        self.changes += 1
        self.found = replace(self.found, **changes)  # type: ignore[arg-type]  # fields by name, as replace takes them

    def run(self, statement: str, /) -> None:
        if statement.startswith("CREATE DATABASE"):
            self._change(database=True)
        else:
            assert self.found.database
            self._change(tables=(*self.found.tables, sql.shape(statement)))

    def create(self, workgroup: Workgroup) -> None:
        assert self.found.workgroup is None
        self._change(workgroup=workgroup)

    def limit(self, name: str, scan_limit: int) -> None:
        assert self.found.workgroup
        self._change(workgroup=replace(self.found.workgroup, scan_limit=scan_limit))

    def add(self, rules: Sequence[ExpiryRule]) -> None:
        self._change(rules=(*self.found.rules, *rules))


def do(account: Account, wanted: Goal = WANTED) -> tuple[Step, ...]:
    steps = decide(wanted, account.found)
    carry_out(steps, account, account, account)
    return steps


FOUND = st.builds(
    lambda tables, **rest: Found(tables=tables if rest["database"] else (), **rest),
    tables=st.sampled_from([(), (REPORTS,), (HISTORY,), (REPORTS, HISTORY)]),
    database=st.booleans(),
    workgroup=st.none() | st.builds(Workgroup, name=st.just("shipit"), scan_limit=st.none() | st.integers(1, 10**12)),
    rules=st.lists(
        st.sampled_from(
            [*RULES, ExpiryRule(id="theirs", prefix="", days=30), ExpiryRule(id="", prefix="a/", days=None)]
        )
        | st.builds(
            ExpiryRule, id=st.just(RULES[0].id), prefix=st.just("x/"), days=st.just(99), enabled=st.booleans()
        ),
        max_size=4,
        unique_by=lambda rule: rule.id,
    ).map(tuple),
)


@given(FOUND)
def test_whatever_is_there_the_second_run_has_nothing_to_do_and_nothing_was_taken_away(found: Found) -> None:
    account = Account(found)
    do(account)
    assert account.found.database
    assert {t.name for t in account.found.tables} == {"version_reports", "version_history"}
    assert account.found.workgroup
    assert account.found.workgroup.scan_limit == 10**10
    assert account.found.rules[: len(found.rules)] == found.rules
    assert {rule.id for rule in RULES} <= {rule.id for rule in account.found.rules}
    changes = account.changes
    assert not {step.doing for step in do(account)} & {Doing.MAKE, Doing.CHANGE}
    assert account.changes == changes


def test_a_workgroup_that_all_share_is_left_alone() -> None:
    account = Account(replace(EMPTY, workgroup=Workgroup(name="primary")))
    first, *_ = do(account, replace(WANTED, workgroup=replace(WANTED.workgroup, name="primary")))
    assert (first.doing, account.found.workgroup) == (Doing.LEFT, Workgroup(name="primary"))


def test_a_rule_of_ours_that_keeps_more_is_left_and_told_of() -> None:
    kept = ExpiryRule(id="shipit-prod-history", prefix="prod/history/v1/", days=2000)
    account = Account(replace(EMPTY, rules=(kept,)))
    notes = [step.note for step in do(account) if step.doing is Doing.LEFT]
    assert notes == ["the rule shipit-prod-history says after 2000 days; ours says 400 days"]
    assert [rule.days for rule in account.found.rules if rule.id == kept.id] == [2000]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (replace(REPORTS, columns={**REPORTS.columns, "seq": "int"}), "its column seq is int, not bigint"),
        (
            replace(REPORTS, columns={k: v for k, v in REPORTS.columns.items() if k != "digest"}),
            "its column digest is missing",
        ),
        (replace(REPORTS, columns={**REPORTS.columns, "mine": "int"}), "its column mine is none of ours"),
        (replace(REPORTS, partitions={"day": "string"}), "its partition slot is missing; its partition day is none"),
        (
            replace(REPORTS, location="s3://acme/staging/reports/v1/"),
            "it reads s3://acme/staging/reports/v1/, not s3://acme/prod/reports/v1/",
        ),
        (
            replace(REPORTS, formats=("org.openx.data.jsonserde.JsonSerDe", *REPORTS.formats[1:])),
            "it is read by org.openx.data.jsonserde.JsonSerDe, not org.apache.hive",
        ),
        (
            replace(REPORTS, properties={**REPORTS.properties, "projection.enabled": "false"}),
            "its property projection.enabled is false, not true",
        ),
        (replace(REPORTS, properties={}), "its property classification is missing, not json"),
    ],
)
def test_a_table_of_another_shape_is_refused_before_anything_is_made(table: TableShape, said: str) -> None:
    account = Account(replace(EMPTY, database=True, tables=(table,)))
    with pytest.raises(PreflightError) as caught:
        do(account)
    assert said in caught.value.message
    assert caught.value.message.startswith("the table shipit.version_reports is there, and is another")
    assert account.changes == 0


def test_what_athena_adds_to_a_table_is_no_difference() -> None:
    more = {**REPORTS.properties, "transient_lastDdlTime": "1795354027", "EXTERNAL": "TRUE"}
    table = replace(REPORTS, location=REPORTS.location.rstrip("/"), formats=("", "", ""), properties=more)
    account = Account(replace(EMPTY, database=True, tables=(table,)))
    assert [s.part for s in do(account) if s.doing is Doing.THERE] == [
        "database shipit",
        "table shipit.version_reports",
    ]
