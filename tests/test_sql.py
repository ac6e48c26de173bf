"""The statements for Athena: what parses, and which names are let in."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import cfnlint.api
import pytest
import sqlglot
import yaml
from fakes import NOON
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp
from sqlglot.errors import SqlglotError

from shipit import sql
from shipit.dashboards import render
from shipit.errors import UsageError
from shipit.models import Report, TableShape
from shipit.setup import expiry_rules
from tools.grafana.expanded import EXAMPLE, queries
from tools.sql.statements import statements

NAMES = {"database": "shipit", "table": "version_reports"}
PLACE = {"bucket": "acme.shipit", "prefix": "teams/prod"}


QUERIES = {"latest": sql.latest(**NAMES, **PLACE), "history": sql.history(**NAMES, **PLACE)}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
@pytest.mark.parametrize("dialect", ["athena", "trino"])
def test_a_query_parses_takes_four_parameters_and_no_more_columns_than_the_table_has(
    query: str, dialect: str
) -> None:
    parsed = sqlglot.parse_one(query, read=dialect)
    assert isinstance(parsed, exp.Select)
    # Each is in the WHERE of the one SELECT that reads the table: Athena takes them nowhere else.
    [reading] = [s for s in parsed.find_all(exp.Select) if any(t.db for t in [s.find(exp.Table)] if t)]
    assert len(list(reading.args["where"].find_all(exp.Placeholder))) == 4
    assert len(list(parsed.find_all(exp.Placeholder))) == 4
    table = sql.shape(sql.reports_ddl(**NAMES, **PLACE)[1])
    read = {column.name for column in reading.find_all(exp.Column)} - {"$path"}
    assert read <= {*table.columns, "slot", "day"}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
@pytest.mark.parametrize("dialect", ["athena", "trino"])
def test_a_broken_query_does_not_parse(query: str, dialect: str) -> None:
    # sqlglot takes more than Athena does: `make sql` asks a stricter grammar.
    for broken in (query.replace("\n)", "\n", 1), query.replace("BETWEEN", "BETWIXT", 1), query[: len(query) // 2]):
        with pytest.raises(SqlglotError):
            sqlglot.parse_one(broken, read=dialect)


def test_the_stricter_grammar_is_asked_about_every_statement() -> None:
    asked = {statement["name"]: statement["kind"] for statement in statements()}
    assert set(queries(render(EXAMPLE), NOON)) < set(asked)
    shipped = {path.name for path in Path(sql.__file__).parent.glob("*.sql")}
    assert {name for name in shipped if not name.endswith(".ddl.sql")} < set(asked)
    assert list(asked.values()).count("ddl") == 3


def test_no_column_that_no_one_reads_is_fetched() -> None:
    """Memory of the sandbox's Athena and bytes of the answer go by the columns of the query."""
    parsed = sqlglot.parse_one(QUERIES["latest"], read="athena")
    assert set(parsed.named_selects) - {"stray"} == {field.name for field in fields(Report)}


@pytest.mark.parametrize(("dialect", "understood"), [("athena", exp.Create), ("trino", exp.Command)])
def test_the_ddl_parses_and_is_hives(dialect: str, understood: type[exp.Expr]) -> None:
    # Athena hands DDL to Hive. sqlglot's Trino, which has no EXTERNAL and no backquotes, takes it as a whole.
    history = sql.history_ddl(database="shipit", table="h", **PLACE)
    for statement in (*sql.reports_ddl(**NAMES, **PLACE), *history):
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


TEMPLATE = sql.template(
    database="shipit",
    table="version_reports",
    history_table="version_history",
    workgroup="mine",
    scan_limit="10000000000",
    output="s3://acme.shipit/athena/",
    **PLACE,
)


def resolved(value: Any, names: dict[str, Any]) -> Any:
    """Return a part of the template as CloudFormation would have it."""
    if isinstance(value, list):
        return [resolved(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"}:
        return names.get(value["Ref"], value["Ref"])
    if set(value) == {"Fn::Sub"}:
        filled = re.sub(r"\$\{([A-Za-z:]+)\}", lambda m: str(names.get(m[1], m[1])), value["Fn::Sub"])
        return filled.replace("${!", "${")
    return {key: resolved(item, names) for key, item in value.items()}


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """What the template makes: properties by the name of the resource."""
    template = yaml.safe_load(TEMPLATE)
    names = {name: parameter["Default"] for name, parameter in template["Parameters"].items()}
    resources = resolved(template["Resources"], {**names, "AWS::Partition": "aws"})
    return {name: resource["Properties"] for name, resource in resources.items()}


@pytest.mark.parametrize(
    ("resource", "statement"),
    [
        ("ReportsTable", sql.reports_ddl(**NAMES, **PLACE)[1]),
        ("HistoryTable", sql.history_ddl(database="shipit", table="version_history", **PLACE)[0]),
    ],
)
def test_the_template_makes_the_tables_of_the_ddl(made: dict[str, Any], resource: str, statement: str) -> None:
    table, wanted = made[resource]["TableInput"], sql.shape(statement)
    stored = table["StorageDescriptor"]
    assert table["TableType"] == "EXTERNAL_TABLE"
    found = TableShape(
        database=made["ReportDatabase"]["DatabaseInput"]["Name"],
        name=table["Name"],
        columns={column["Name"]: column["Type"] for column in stored["Columns"]},
        partitions={column["Name"]: column["Type"] for column in table["PartitionKeys"]},
        location=stored["Location"],
        formats=(stored["SerdeInfo"]["SerializationLibrary"], stored["InputFormat"], stored["OutputFormat"]),
        properties={name: value for name, value in table["Parameters"].items() if name != "EXTERNAL"},
    )
    assert found == wanted
    assert list(found.columns) == list(wanted.columns)


def test_the_template_grants_an_instance_what_the_page_grants_it(made: dict[str, Any]) -> None:
    page = (Path(__file__).parents[1] / "docs/iam.md").read_text(encoding="utf-8")
    policy = json.loads(re.findall(r"^```json\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)[-1])
    [wanted] = [s for s in policy["Statement"] if s["Action"] == "s3:PutObject"]
    [statement] = made["InstanceReports"]["PolicyDocument"]["Statement"]
    place = {"REPORTS": PLACE["bucket"], "PREFIX": PLACE["prefix"]}
    assert statement == {
        **wanted,
        "Resource": [re.sub("REPORTS|PREFIX", lambda m: place[m[0]], r) for r in wanted["Resource"]],
    }


def test_what_expires_is_the_same_by_the_template_and_by_the_command(made: dict[str, Any]) -> None:
    rules = made["ReportBucket"]["LifecycleConfiguration"]["Rules"]
    assert [(r["Id"], r["Prefix"], r["ExpirationInDays"]) for r in rules] == [
        (rule.id, rule.prefix, rule.days) for rule in expiry_rules(PLACE["prefix"])
    ]


def test_the_template_is_one_that_cloudformation_would_take() -> None:
    # Errors and warnings; what is merely for information starts with I.
    assert [found for found in cfnlint.api.lint_all(TEMPLATE) if not found.rule.id.startswith("I")] == []


def test_the_workgroup_that_every_account_has_is_not_made_again() -> None:
    template = yaml.safe_load(TEMPLATE)
    condition = template["Conditions"][template["Resources"]["Workgroup"]["Condition"]]
    assert condition == {"Fn::Not": [{"Fn::Equals": [{"Ref": "WorkgroupName"}, "primary"]}]}


@pytest.mark.parametrize(
    ("key", "value"), [("workgroup", 'a"b'), ("output", 's3://a/"'), ("bucket", "A"), ("table", "-")]
)
def test_no_name_breaks_out_of_the_template(key: str, value: str) -> None:
    names = {
        "history_table": "h",
        "workgroup": "w",
        "scan_limit": "10000000",
        "output": "s3://a/b/",
        **NAMES,
        **PLACE,
    }
    with pytest.raises(UsageError):
        sql.template(**{**names, key: value})
