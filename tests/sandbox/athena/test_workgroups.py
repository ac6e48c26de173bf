"""The catalog and the workgroups of the sandbox's Athena, as setup sees them; and what a limit does."""

from __future__ import annotations

import pytest
from sandbox.athena.cloud import BUCKET, NAMES, OUTPUT, PLACE, Cloud, line, own

from shipit import sql
from shipit.aws.athena import Athena
from shipit.aws.setup.athena import AthenaSetup
from shipit.errors import AwsError
from shipit.models import Workgroup

MINE = Workgroup(name="mine", scan_limit=10**7, output=f"s3://{BUCKET}/mine/")


def test_a_table_that_was_made_by_our_statement_is_read_back_as_the_statement_says(cloud: Cloud) -> None:
    setup = AthenaSetup(cloud.client)
    assert not setup.has_database("shipit")
    reports, history = sql.reports_ddl(**NAMES, **PLACE), sql.history_ddl(database="shipit", table="h", **PLACE)
    for statement in (*reports, *history):
        cloud.athena.run(statement)
    assert setup.has_database("shipit")
    found = {table.name: table for table in setup.tables("shipit", ("version_reports", "h"))}
    for statement in (reports[1], history[0]):
        wanted = sql.shape(statement)
        table = found[wanted.name]
        assert (table.columns, table.partitions, table.location) == (
            wanted.columns,
            wanted.partitions,
            wanted.location,
        )
        assert table.formats == wanted.formats
        assert wanted.properties.items() <= table.properties.items()
    assert setup.tables("shipit", ("h",)) == (found["h"],)
    assert setup.tables("shipit", ("none",)) == ()


def test_a_workgroup_is_made_once_and_its_limit_changes(cloud: Cloud) -> None:
    setup = AthenaSetup(cloud.client)
    assert setup.workgroup("mine") is None
    setup.create(MINE)
    assert setup.workgroup("mine") == MINE
    setup.limit("mine", 2 * 10**7)
    assert setup.workgroup("mine") == Workgroup(name="mine", scan_limit=2 * 10**7, output=MINE.output)
    with pytest.raises(AwsError, match="already created"):
        setup.create(MINE)
    with pytest.raises(AwsError, match="WorkGroup none is not found"):
        setup.limit("none", 10**7)
    cloud.client.update_work_group(WorkGroup="mine", ConfigurationUpdates={"RemoveBytesScannedCutoffPerQuery": True})
    assert setup.workgroup("mine") == Workgroup(name="mine", output=MINE.output)
    assert setup.workgroup("primary") == Workgroup(name="primary", output=OUTPUT)


def test_a_query_that_would_read_more_than_its_workgroup_lets_it_is_cancelled_with_a_hint(cloud: Cloud) -> None:
    cloud.create_table()
    AthenaSetup(cloud.client).create(MINE)
    body = line("i-1", git_sha="x" * 10**7)
    cloud.put(own("i-1"), body)
    limited = Athena(cloud.client, database="shipit", workgroup="mine")
    with pytest.raises(AwsError, match="cancelled: Bytes scanned limit was exceeded") as caught:
        limited.run("SELECT count(*) FROM version_reports")
    assert "scan-limit" in caught.value.hint
    assert cloud.rows("SELECT count(*) FROM version_reports") == [["1"]]


def test_what_setup_has_not_made_yet_is_an_error_that_says_so(cloud: Cloud) -> None:
    for statement in ("SELECT 1 FROM shipit.version_reports", "SELECT 1 FROM default.version_reports"):
        with pytest.raises(AwsError) as caught:
            cloud.rows(statement)
        assert "inv setup.reports" in caught.value.hint
    with pytest.raises(AwsError, match="WorkGroup none is not found") as caught:
        Athena(cloud.client, database="", workgroup="none").run("SELECT 1")
    assert "inv setup.reports" in caught.value.hint


def test_results_of_a_workgroup_go_to_its_own_place(cloud: Cloud) -> None:
    AthenaSetup(cloud.client).create(MINE)
    Athena(cloud.client, database="", workgroup="mine").run("SELECT 1")
    assert [key.partition("/")[0] for key in cloud.store.objects] == ["mine"]
