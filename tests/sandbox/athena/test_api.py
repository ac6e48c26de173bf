"""The operations of Athena's API, as boto3 sees them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sandbox.athena.cloud import BUCKET, NAMES, OUTPUT, PLACE, Cloud, line, own
from sandbox.codedeploy.world import Door

from shipit import sql
from shipit.errors import AwsError
from shipit.sandbox.athena.cancellation import Cancellation, Cancelled

TOKEN = "t" * 32


@pytest.fixture
def slow(athena_door: Door) -> Iterator[Cloud]:
    """An Athena whose queries stay QUEUED until they are stopped."""
    cloud = Cloud(athena_door, latency=3600.0)
    yield cloud
    cloud.close()


def start(cloud: Cloud, statement: str = "SELECT 1 AS one", **more: Any) -> str:
    return str(cloud.client.start_query_execution(QueryString=statement, **more)["QueryExecutionId"])


def status(cloud: Cloud, query_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = cloud.client.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
    return answer


def wait(cloud: Cloud, query_id: str) -> dict[str, Any]:
    while (described := status(cloud, query_id))["Status"]["State"] in ("QUEUED", "RUNNING"):
        threading.Event().wait(0.002)
    return described


def refusal(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_query_leaves_its_answer_as_a_file_at_the_output_location(cloud: Cloud) -> None:
    described = wait(cloud, start(cloud, "SELECT 'a\"b' AS quoted, NULL AS nothing, 1.5e10 AS big"))
    url = described["ResultConfiguration"]["OutputLocation"]
    assert url == f"{OUTPUT}{described['QueryExecutionId']}.csv"
    body = cloud.store.objects[url.removeprefix(f"s3://{BUCKET}/")]
    assert body.decode() == '"quoted","nothing","big"\n"a""b",,"1.5E10"\n'


def test_the_same_token_starts_one_query(slow: Cloud) -> None:
    first = start(slow, ClientRequestToken=TOKEN)
    assert start(slow, ClientRequestToken=TOKEN) == first
    with pytest.raises(ClientError) as caught:
        start(slow, "SELECT 2", ClientRequestToken=TOKEN)
    assert refusal(caught) == ("InvalidRequestException", "Idempotent parameters do not match")


def test_a_stopped_query_is_cancelled_at_once_and_has_no_results(slow: Cloud) -> None:
    query_id = start(slow)
    slow.client.stop_query_execution(QueryExecutionId=query_id)
    assert status(slow, query_id)["Status"]["State"] == "CANCELLED"
    with pytest.raises(ClientError) as caught:
        slow.client.get_query_results(QueryExecutionId=query_id)
    assert refusal(caught)[1] == "Query did not finish successfully. Final query state: CANCELLED"


def test_a_query_that_computes_for_ever_is_stopped_too(cloud: Cloud) -> None:
    many = "SELECT sum(a.x * b.x * c.x) FROM n a CROSS JOIN n b CROSS JOIN n c"
    numbers = ", ".join(f"({n})" for n in range(5000))
    query_id = start(cloud, f"WITH n AS (SELECT x FROM (VALUES {numbers}) AS t(x)) {many}")
    while status(cloud, query_id)["Status"]["State"] == "QUEUED":
        threading.Event().wait(0.002)
    cloud.client.stop_query_execution(QueryExecutionId=query_id)
    assert status(cloud, query_id)["Status"]["State"] == "CANCELLED"
    # Closing waits for the workers: it would hang if the computation went on.
    cloud.service.close()


def test_a_query_that_is_about_to_compute_is_interrupted_until_it_ends() -> None:
    cancellation, entered = Cancellation(), threading.Event()

    class Deaf:
        """Forget the first interrupts, as DuckDB does before a statement has begun."""

        heard, over = 0, threading.Event()

        def interrupt(self) -> None:
            self.heard += 1
            if self.heard == 3:
                self.over.set()

    deaf = Deaf()

    def compute() -> None:
        with cancellation.guard(deaf):
            entered.set()
            deaf.over.wait(30)

    query = threading.Thread(target=compute)
    query.start()
    entered.wait()
    cancellation.cancel()
    query.join()
    assert deaf.heard >= 3
    with pytest.raises(Cancelled), cancellation.guard(deaf):
        pytest.fail("it was cancelled before")


def test_a_query_without_an_output_location_is_refused(athena_door: Door) -> None:
    cloud = Cloud(athena_door, output_location="")
    with pytest.raises(ClientError, match="No output location provided"):
        start(cloud)
    assert start(cloud, ResultConfiguration={"OutputLocation": OUTPUT})
    cloud.close()


def test_an_output_bucket_that_does_not_exist_fails_the_query(cloud: Cloud) -> None:
    query_id = start(cloud, ResultConfiguration={"OutputLocation": "s3://nowhere/"})
    assert wait(cloud, query_id)["Status"]["StateChangeReason"].startswith("INVALID_OUTPUT_LOCATION")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"QueryString": "SELEC 1"}, "line 1:1"),
        ({"QueryString": "SELECT 1; SELECT 2"}, "not supported"),
        ({"QueryString": "SELECT (1"}, "line 1:1"),
        ({"QueryString": "INSERT INTO t VALUES (1)"}, "not supported"),
        ({"QueryString": "SELECT 1", "WorkGroup": "other"}, "WorkGroup other is not found"),
        ({"QueryString": "SELECT 1", "QueryExecutionContext": {"Catalog": "other"}}, "catalog other"),
    ],
)
def test_what_cannot_run_is_refused_before_it_is_queued(cloud: Cloud, request_: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message) as caught:
        cloud.client.start_query_execution(**request_)
    assert refusal(caught)[0] == "InvalidRequestException"
    assert cloud.client.list_query_executions()["QueryExecutionIds"] == []


@pytest.mark.parametrize("operation", ["get_query_execution", "get_query_results", "stop_query_execution"])
def test_an_unknown_query_is_refused(cloud: Cloud, operation: str) -> None:
    with pytest.raises(ClientError, match="was not found"):
        getattr(cloud.client, operation)(QueryExecutionId="none")


def test_results_are_not_given_before_the_query_has_ended(slow: Cloud) -> None:
    with pytest.raises(ClientError, match=r"not yet finished\. Current state: QUEUED"):
        slow.client.get_query_results(QueryExecutionId=start(slow))


def test_results_come_in_pages_of_which_the_first_has_the_header(cloud: Cloud) -> None:
    query_id = start(cloud, "SELECT x FROM (VALUES (1), (2), (3)) AS t(x) ORDER BY x")
    wait(cloud, query_id)
    pages = cloud.client.get_paginator("get_query_results").paginate(
        QueryExecutionId=query_id, PaginationConfig={"PageSize": 2}
    )
    shown = [[row["Data"][0]["VarCharValue"] for row in page["ResultSet"]["Rows"]] for page in pages]
    assert shown == [["x", "1"], ["2", "3"]]
    with pytest.raises(ClientError, match="Invalid token"):
        cloud.client.get_query_results(QueryExecutionId=query_id, NextToken="99")


def test_executions_are_listed_newest_first_and_described_in_batches(cloud: Cloud) -> None:
    ids = [start(cloud, f"SELECT {n}") for n in range(3)]
    assert cloud.client.list_query_executions(MaxResults=2)["QueryExecutionIds"] == [ids[2], ids[1]]
    answer = cloud.client.batch_get_query_execution(QueryExecutionIds=[ids[0], "none"])
    assert [e["QueryExecutionId"] for e in answer["QueryExecutions"]] == [ids[0]]
    assert [e["QueryExecutionId"] for e in answer["UnprocessedQueryExecutionIds"]] == ["none"]


def test_ended_executions_are_forgotten_beyond_a_number(cloud: Cloud) -> None:
    first = start(cloud)
    wait(cloud, first)
    for _ in range(205):
        last = start(cloud)
    wait(cloud, last)
    start(cloud)
    with pytest.raises(ClientError, match="was not found"):
        status(cloud, first)


def test_the_catalog_is_described(cloud: Cloud) -> None:
    cloud.create_table()
    catalog = {"CatalogName": "AwsDataCatalog"}
    names = [d["Name"] for d in cloud.client.list_databases(**catalog)["DatabaseList"]]
    assert names == ["default", "shipit"]
    one = cloud.client.get_table_metadata(**catalog, DatabaseName="shipit", TableName="version_reports")
    assert one["TableMetadata"]["PartitionKeys"] == [{"Name": "slot", "Type": "string"}]
    assert {"Name": "seq", "Type": "bigint"} in one["TableMetadata"]["Columns"]
    listed = cloud.client.list_table_metadata(**catalog, DatabaseName="shipit")["TableMetadataList"]
    assert listed == [one["TableMetadata"]]
    for table in ("none", "t"):
        with pytest.raises(cloud.client.exceptions.MetadataException):
            cloud.client.get_table_metadata(**catalog, DatabaseName=table, TableName=table)
    assert cloud.client.get_database(**catalog, DatabaseName="shipit")["Database"] == {"Name": "shipit"}
    with pytest.raises(cloud.client.exceptions.MetadataException):
        cloud.client.get_database(**catalog, DatabaseName="none")


def test_the_workgroup_primary_names_its_output_location(cloud: Cloud) -> None:
    configuration = cloud.client.get_work_group(WorkGroup="primary")["WorkGroup"]["Configuration"]
    assert configuration["ResultConfiguration"]["OutputLocation"] == OUTPUT
    assert [group["Name"] for group in cloud.client.list_work_groups()["WorkGroups"]] == ["primary"]


def test_ddl_can_be_repeated_only_where_it_says_so(cloud: Cloud) -> None:
    cloud.create_table()
    cloud.create_table()
    create_database, create_table = sql.reports_ddl(**NAMES, **PLACE)
    for again in (create_database, create_table):
        with pytest.raises(AwsError, match="already exists"):
            cloud.athena.run(again.replace("IF NOT EXISTS ", ""))
    with pytest.raises(AwsError, match="is not empty"):
        cloud.athena.run("DROP DATABASE shipit")
    cloud.athena.run("DROP TABLE `version_reports`")
    cloud.athena.run("DROP TABLE IF EXISTS version_reports")
    with pytest.raises(AwsError, match="Table not found"):
        cloud.athena.run("DROP TABLE version_reports")
    cloud.athena.run("DROP SCHEMA shipit")
    with pytest.raises(AwsError, match="Database does not exist"):
        cloud.athena.run("DROP DATABASE shipit")
    with pytest.raises(AwsError, match="Database does not exist"):
        cloud.athena.run(create_table)


def test_dropping_a_table_leaves_its_objects(cloud: Cloud) -> None:
    cloud.create_table()
    key = cloud.put(own("i-1"), line("i-1"))
    cloud.athena.run("DROP TABLE version_reports")
    assert key in cloud.store.objects
