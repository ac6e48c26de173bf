"""PyAthena, a client that others wrote, finds in the sandbox the Athena that it knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyathena
import pytest
from fakes import NOON
from pyathena.error import OperationalError
from sandbox.athena.cloud import NAMES, OUTPUT, PLACE, Cloud, line, own

from shipit import sql


@pytest.fixture
def cursor(cloud: Cloud) -> Iterator[Any]:
    with pyathena.connect(
        s3_staging_dir=OUTPUT,
        schema_name="shipit",
        region_name="us-east-1",
        endpoint_url=cloud.url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        poll_interval=0.01,
    ) as connection:
        yield connection.cursor()


def test_the_shipped_statements_run(cloud: Cloud, cursor: Any) -> None:
    for statement in sql.reports_ddl(**NAMES, **PLACE):
        cursor.execute(statement)
    cloud.put(own("i-1"), line("i-1", running_build="it's", git_sha=None))
    # PyAthena hands positional parameters on as they are: the quotes are the caller's.
    window = ["'2026-11-20-11'", "'2026-11-20-12'", "'2026-11-20T11:00:00.000Z'", "'2026-11-20T12:01:00.000Z'"]
    cursor.execute(sql.latest(**NAMES, **PLACE), window, paramstyle="qmark")
    stamp = f"{NOON:%Y-%m-%dT%H:%M:%S}.000Z"
    assert cursor.fetchall() == [
        ("i-1", "workers-email", "email", "v2", "it's", "d2", "d-1", "heartbeat", stamp, None)
    ]
    assert cursor.data_scanned_in_bytes > 0
    assert cursor.query_id


def test_types_and_pages_arrive(cursor: Any) -> None:
    values = ", ".join(f"({n})" for n in range(2100))
    cursor.execute(f"SELECT x, x > 5 AS more, CAST(x AS double) AS d FROM (VALUES {values}) AS t(x) ORDER BY x")
    rows = cursor.fetchall()
    assert rows[6] == (6, True, 6.0)
    assert len(rows) == 2100
    assert [column[:2] for column in cursor.description] == [("x", "integer"), ("more", "boolean"), ("d", "double")]


def test_a_failure_arrives_with_its_reason(cursor: Any) -> None:
    with pytest.raises(OperationalError, match="SCHEMA_NOT_FOUND"):
        cursor.execute("SELECT 1 FROM nothing")
