"""What SELECT means in the sandbox: parameters, partitions, types; and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from fakes import NOON
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sandbox.athena.cloud import BUCKET, Cloud, line, own

from shipit.errors import AwsError

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


def table(cloud: Cloud, columns: str, properties: Mapping[str, str], *, location: str = "data/") -> None:
    """Create the table `t` with one column `x` and the partition columns given."""
    quoted = {key: value.replace("'", r"\'") for key, value in {"projection.enabled": "true", **properties}.items()}
    listed = ", ".join(f"'{key}' = '{value}'" for key, value in quoted.items())
    cloud.athena.run("CREATE DATABASE IF NOT EXISTS shipit")
    cloud.athena.run(
        f"CREATE EXTERNAL TABLE t (x int) PARTITIONED BY ({columns}) "
        "ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe' "
        f"LOCATION 's3://{BUCKET}/{location}' TBLPROPERTIES ({listed})"
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=TEXT)
def test_a_string_parameter_arrives_as_it_was(cloud: Cloud, value: str) -> None:
    assert cloud.rows("SELECT x FROM (SELECT '1' AS x) WHERE ? = ?", value, value) == [["1"]]


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ((), "INVALID_PARAMETER_USAGE.*expected 2 but found 0"),
        (("a",), "INVALID_PARAMETER_USAGE.*expected 2 but found 1"),
        (("a", "b", "c"), "INVALID_PARAMETER_USAGE.*expected 2 but found 3"),
    ],
)
def test_the_number_of_parameters_must_match(cloud: Cloud, parameters: tuple[str, ...], reason: str) -> None:
    with pytest.raises(AwsError, match=reason):
        cloud.rows("SELECT 1 WHERE ? = ? AND '?' <> '' -- ?", *parameters)


@pytest.mark.parametrize("raw", ["it", "it's", "1) OR (1", "(SELECT 1)", "DROP TABLE t"])
def test_a_parameter_that_is_no_literal_fails(cloud: Cloud, raw: str) -> None:
    started = cloud.client.start_query_execution(QueryString="SELECT 1 WHERE ? = 1", ExecutionParameters=[raw])
    query_id = started["QueryExecutionId"]
    while (status := cloud.client.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"])[
        "State"
    ] in ("QUEUED", "RUNNING"):
        pass
    assert status["State"] == "FAILED"
    assert not status["AthenaError"]["Retryable"]


def test_values_are_written_as_athena_writes_them(cloud: Cloud) -> None:
    (row,) = cloud.rows(
        "SELECT 1 = 1, 0.1e0, 1e7, 1.25e-5, DATE '2026-11-20', TIMESTAMP '2026-11-20 12:00:00', ARRAY[1, NULL], "
        "CAST(1.50 AS decimal(4, 2)), sum(CAST(2 AS bigint)), current_timestamp, current_date"
    )
    assert row == [
        *("true", "0.1", "1.0E7", "1.25E-5", "2026-11-20", "2026-11-20 12:00:00.000", "[1, null]", "1.50", "2"),
        *("2026-11-20 12:00:00.000 UTC", "2026-11-20"),
    ]


def test_columns_are_named_as_athena_names_them(cloud: Cloud) -> None:
    answer = cloud.athena.run("SELECT t.X, 1, X AS Renamed, CAST(x AS double) FROM (VALUES 1) AS t(x)")
    assert list(answer.rows[0]) == ["x", "_col1", "renamed", "_col3"]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 7 / 2",
        "SELECT format_datetime(now(), 'yyyy')",
        "SELECT to_iso8601(now())",
        "SELECT map_agg(x, x) FROM (VALUES 1) AS t(x)",
        "SELECT list_value(1)",
        "SELECT localtime",
        "SELECT * FROM read_csv('/etc/hostname')",
        "SELECT * FROM '/etc/hostname'",
        "SELECT * FROM duckdb_settings()",
        "SELECT getenv('HOME')",
        "SELECT nothing FROM shipit.version_reports",
        "SELECT 1 FROM shipit.nothing",
        "SELECT 1 FROM nothing.at_all",
        'SELECT *, "$path" FROM version_reports',
        "SELECT CAST('x' AS bigint)",
    ],
)
def test_what_athena_would_not_answer_or_not_so_fails_with_a_reason(cloud: Cloud, statement: str) -> None:
    cloud.create_table()
    with pytest.raises(AwsError, match=r"(?i)failed: [A-Z_]+: .+|refused|line 1:1"):
        cloud.rows(statement)


def test_a_table_may_be_joined_with_itself_and_shadowed_by_a_cte(cloud: Cloud) -> None:
    cloud.create_table()
    cloud.put(own("i-1"), line("i-1", NOON - timedelta(hours=1)), slot="2026-11-20-11")
    cloud.put(own("i-1", 2), line("i-1"))
    joined = (
        "SELECT a.reported_at FROM version_reports a JOIN version_reports b ON a.instance_id = b.instance_id "
        "WHERE a.slot = '2026-11-20-11' AND b.slot = '2026-11-20-12'"
    )
    assert cloud.rows(joined) == [["2026-11-20T11:00:00.000Z"]]
    shadowed = "WITH version_reports AS (SELECT 7 AS x FROM version_reports) SELECT count(*) FROM version_reports"
    assert cloud.rows(shadowed) == [["2"]]


def test_an_outer_join_keeps_the_rows_whose_partner_is_pruned(cloud: Cloud) -> None:
    cloud.create_table()
    cloud.put(own("i-1"), line("i-1"))
    statement = (
        "SELECT a.x FROM (VALUES 'i-1', 'i-2') AS a(x) LEFT JOIN version_reports r ON r.instance_id = a.x "
        "WHERE r.slot IS NULL"
    )
    assert cloud.rows(statement) == [["i-2"]]


def test_star_does_not_show_the_path_and_the_path_names_the_object(cloud: Cloud) -> None:
    cloud.create_table()
    key = cloud.put(own("i-1"), line("i-1"))
    ((*_, slot),) = cloud.rows("SELECT * FROM version_reports")
    assert slot == "2026-11-20-12"
    assert cloud.rows('SELECT "$path" FROM version_reports') == [[f"s3://{BUCKET}/{key}"]]


def test_hidden_objects_and_slots_beyond_the_projection_are_not_read(cloud: Cloud) -> None:
    cloud.create_table()
    for slot in ("2026-11-13-11", "2026-11-13-12", "2026-11-20-13", "2026-11-20-14"):
        cloud.put(own("i-1"), line("i-1"), slot=slot)
    cloud.put("_hidden.json", "not json")
    cloud.put(".hidden.json", "not json")
    assert cloud.rows("SELECT slot FROM version_reports ORDER BY 1") == [["2026-11-13-12"], ["2026-11-20-13"]]


@pytest.mark.parametrize(
    ("columns", "properties", "expected"),
    [
        ("p string", {"projection.p.type": "enum", "projection.p.values": "a, b"}, ["a", "b"]),
        (
            "p int",
            {"projection.p.type": "integer", "projection.p.range": "8,12", "projection.p.interval": "2"},
            ["8", "10", "12"],
        ),
        (
            "p string",
            {"projection.p.type": "integer", "projection.p.range": "9,10", "projection.p.digits": "3"},
            ["009", "010"],
        ),
        (
            "p string",
            {"projection.p.type": "date", "projection.p.format": "yyyy-MM-dd", "projection.p.range": "NOW-2DAYS,NOW"},
            ["2026-11-18", "2026-11-19", "2026-11-20"],
        ),
        (
            "p string",
            {"projection.p.type": "date", "projection.p.format": "yyyy/MM", "projection.p.range": "2026/09,NOW"},
            ["2026/09", "2026/10", "2026/11"],
        ),
        (
            "p string",
            {
                "projection.p.type": "date",
                "projection.p.format": "yyyyMMddHH",
                "projection.p.range": "NOW-1WEEKS,NOW+1YEARS",
                "projection.p.interval": "9",
                "projection.p.interval.unit": "MONTHS",
            },
            ["2026111312", "2027081312"],
        ),
        (
            "p string",
            {
                "projection.p.type": "date",
                "projection.p.format": "yyyy-MM-dd'T'HH:mm",
                "projection.p.range": "NOW-1HOURS,NOW",
                "projection.p.interval": "30",
                "projection.p.interval.unit": "MINUTES",
            },
            ["2026-11-20T11:00", "2026-11-20T11:30", "2026-11-20T12:00"],
        ),
    ],
)
def test_a_projection_yields_its_partitions(
    cloud: Cloud, columns: str, properties: dict[str, str], expected: list[str]
) -> None:
    table(cloud, columns, properties)
    cloud.rows("SELECT x FROM t")
    assert [prefix.removeprefix("data/p=").rstrip("/") for prefix in cloud.store.listed] == expected


def test_several_partition_columns_multiply_and_conditions_prune_each(cloud: Cloud) -> None:
    properties = {
        "projection.env.type": "injected",
        "projection.n.type": "integer",
        "projection.n.range": "1,100",
        "storage.location.template": f"s3://{BUCKET}/data/${{env}}/number-${{n}}",
    }
    table(cloud, "env string, n int", properties)
    cloud.store.put(BUCKET, "data/prod/number-7/a", b'{"x": 1}')
    statement = "SELECT x, env, n FROM t WHERE env IN ('prod', 'stage') AND n BETWEEN 7 AND 8 AND (x = 1 OR n = 3)"
    assert cloud.rows(statement) == [["1", "prod", "7"]]
    assert cloud.store.listed == [f"data/{env}/number-{n}/" for env in ("prod", "stage") for n in (7, 8)]
    with pytest.raises(AwsError, match="CONSTRAINT_VIOLATION"):
        cloud.rows("SELECT x FROM t WHERE env > 'a'")


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"projection.p.type": "magic"},
        {"projection.p.type": "enum"},
        {"projection.p.type": "integer", "projection.p.range": "1"},
        {"projection.p.type": "integer", "projection.p.range": "1,x"},
        {"projection.p.type": "integer", "projection.p.range": "1,2", "projection.p.interval": "0"},
        {"projection.p.type": "integer", "projection.p.range": "1,2000000"},
        {"projection.p.type": "date", "projection.p.range": "NOW,NOW", "projection.p.format": "yyyy-QQ"},
        {"projection.p.type": "date", "projection.p.range": "NOW,NOW", "projection.p.format": "yyyy-MM-dd-HH"},
        {"projection.p.type": "date", "projection.p.range": "NOW,soon", "projection.p.format": "yyyy-MM-dd"},
        {"projection.p.type": "enum", "projection.p.values": "a", "storage.location.template": f"s3://{BUCKET}/x/"},
    ],
)
def test_a_projection_that_cannot_be_computed_fails_the_query(cloud: Cloud, properties: dict[str, str]) -> None:
    table(cloud, "p string", properties)
    with pytest.raises(AwsError, match="INVALID_TABLE_PROPERTY"):
        cloud.rows("SELECT x FROM t")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE EXTERNAL TABLE t (x array<int>) ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe' "
        "LOCATION 's3://b/'",
        "CREATE EXTERNAL TABLE t (x int, X int) ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe' "
        "LOCATION 's3://b/'",
        "CREATE EXTERNAL TABLE t (x int) ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' LOCATION 's3://b/'",
        "CREATE EXTERNAL TABLE t (x int) ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'",
        "CREATE EXTERNAL TABLE t (x int) LOCATION 's3://b/'",
        "CREATE TABLE t AS SELECT 1 AS x",
        "CREATE VIEW t AS SELECT 1 AS x",
    ],
)
def test_a_table_that_the_sandbox_cannot_read_is_not_created(cloud: Cloud, statement: str) -> None:
    cloud.athena.run("CREATE DATABASE shipit")
    with pytest.raises(AwsError):
        cloud.athena.run(statement)


def test_a_bucket_that_does_not_exist_fails_the_query(cloud: Cloud) -> None:
    cloud.athena.run("CREATE DATABASE shipit")
    cloud.athena.run(
        "CREATE EXTERNAL TABLE t (x int) ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe' "
        "LOCATION 's3://nowhere/x'"
    )
    with pytest.raises(AwsError, match="bucket does not exist: nowhere"):
        cloud.rows("SELECT x FROM t")
