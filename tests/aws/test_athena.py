"""The Athena gateway, against a scripted client: polling, deadline, stop, retry, paging, quoting, cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from shipit.aws.athena import Athena, Value, literal
from shipit.errors import AwsError, AwsUnavailable, UsageError

State = str | Mapping[str, Any] | BaseException
RETRYABLE = {"State": "FAILED", "StateChangeReason": "HIVE_X: gone", "AthenaError": {"Retryable": True}}


class Time:
    """Move only by sleeping; remember each pause."""

    def __init__(self, on_sleep: Callable[[], None] = lambda: None) -> None:
        self.pauses: list[float] = []
        self._on_sleep = on_sleep

    def clock(self) -> float:
        return sum(self.pauses)

    def sleep(self, seconds: float) -> None:
        self._on_sleep()
        self.pauses.append(seconds)


class Client:
    """Answer each poll with the next state; the last one stays. A mapping is a whole status, an error is raised."""

    def __init__(
        self, *states: State, pages: Sequence[Sequence[Sequence[str | None]]] = ((("one",), ("1",)),)
    ) -> None:
        self.started: list[dict[str, Any]] = []
        self.stopped: list[str] = []
        self.scanned = 0
        self.statement_type = "DML"
        self.refuses_to_stop = False
        self.location = ""
        self._states = list(states)
        self._pages = pages

    def start_query_execution(self, **request: Any) -> dict[str, Any]:
        self.started.append(request)
        return {"QueryExecutionId": f"q-{len(self.started)}"}

    def get_query_execution(self, *, QueryExecutionId: str) -> dict[str, Any]:
        state = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        if isinstance(state, BaseException):
            raise state
        return {
            "QueryExecution": {
                "QueryExecutionId": QueryExecutionId,
                "StatementType": self.statement_type,
                "Status": {"State": state} if isinstance(state, str) else state,
                "Statistics": {"DataScannedInBytes": self.scanned},
                "ResultConfiguration": {"OutputLocation": self.location},
            }
        }

    def stop_query_execution(self, *, QueryExecutionId: str) -> None:
        self.stopped.append(QueryExecutionId)
        if self.refuses_to_stop:
            raise ClientError({"Error": {"Code": "InvalidRequestException"}}, "StopQueryExecution")

    def get_paginator(self, operation: str) -> Client:
        assert operation == "get_query_results"
        return self

    def paginate(self, *, QueryExecutionId: str, PaginationConfig: Mapping[str, int]) -> Iterable[dict[str, Any]]:
        assert PaginationConfig == {"PageSize": 1000}
        names = self._pages[0][0] if self._pages and self._pages[0] else ()
        info = [{"Name": name} for name in names]
        for page in self._pages:
            rows = [{"Data": [{} if v is None else {"VarCharValue": v} for v in row]} for row in page]
            yield {"ResultSet": {"Rows": rows, "ResultSetMetadata": {"ColumnInfo": info}}}


def athena(client: Client, time: Time, **options: Any) -> Athena:
    return Athena(client, database="shipit", clock=time.clock, sleep=time.sleep, **options)


def test_polls_grow_from_a_quarter_of_a_second_to_two() -> None:
    time = Time()
    client = Client(*["QUEUED"] * 2, *["RUNNING"] * 6, "SUCCEEDED")
    answer = athena(client, time).run("SELECT 1")
    assert time.pauses == pytest.approx([0.25, 0.375, 0.5625, 0.84375, 1.265625, 1.8984375, 2, 2])
    assert answer.cost.seconds == pytest.approx(sum(time.pauses))
    assert not client.stopped


def test_rows_come_by_column_with_null_as_none_and_the_header_only_once() -> None:
    pages = [[["a", "b"], ["a", "b"], ["1", None]], [["a", "2"]], []]
    answer = athena(Client("SUCCEEDED", pages=pages), Time()).run("SELECT 1")
    assert answer.rows == ({"a": "a", "b": "b"}, {"a": "1", "b": None}, {"a": "a", "b": "2"})


def test_what_runs_is_asked_once_in_the_given_place() -> None:
    client = Client("SUCCEEDED")
    athena(client, Time(), workgroup="w", output="s3://b/r/").run("SELECT ?", ["it's", 7, True])
    (request,) = client.started
    assert len(request.pop("ClientRequestToken")) >= 32
    assert request == {
        "QueryString": "SELECT ?",
        "QueryExecutionContext": {"Database": "shipit"},
        "WorkGroup": "w",
        "ExecutionParameters": ["'it''s'", "7", "true"],
        "ResultConfiguration": {"OutputLocation": "s3://b/r/"},
    }


def test_neither_an_empty_list_of_parameters_nor_an_empty_location_is_sent() -> None:
    client = Client("SUCCEEDED")
    athena(client, Time()).run("SELECT 1")
    assert client.started[0].keys() & {"ExecutionParameters", "ResultConfiguration"} == set()


@pytest.mark.parametrize(
    ("scanned", "statement_type", "dollars"),
    [(0, "DML", 5e-5), (10**7, "DML", 5e-5), (10**12, "DML", 5.0), (0, "DDL", 0.0)],
)
def test_a_query_costs_five_dollars_a_terabyte_and_ten_megabytes_at_least(
    scanned: int, statement_type: str, dollars: float
) -> None:
    client = Client("SUCCEEDED", pages=())
    client.scanned, client.statement_type = scanned, statement_type
    cost = athena(client, Time()).run("SELECT 1").cost
    assert (cost.query_id, cost.scanned, cost.dollars) == ("q-1", scanned, pytest.approx(dollars))


def test_the_deadline_stops_the_query_and_is_not_overslept() -> None:
    time, client = Time(), Client("RUNNING")
    with pytest.raises(AwsUnavailable, match="q-1 was still RUNNING after 10 s"):
        athena(client, time, timeout=10.0).run("SELECT 1")
    assert (client.stopped, time.clock()) == (["q-1"], pytest.approx(10.0))


def test_an_interrupt_stops_the_query_and_goes_on_up() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    client = Client("RUNNING")
    with pytest.raises(KeyboardInterrupt):
        athena(client, Time(interrupt)).run("SELECT 1")
    assert client.stopped == ["q-1"]


@pytest.mark.parametrize("refuses_to_stop", [False, True])
def test_an_error_while_polling_stops_the_query_and_is_the_one_that_is_told(refuses_to_stop: bool) -> None:
    client = Client("RUNNING", EndpointConnectionError(endpoint_url="http://athena"))
    client.refuses_to_stop = refuses_to_stop
    with pytest.raises(AwsUnavailable, match="out of reach"):
        athena(client, Time()).run("SELECT 1")
    assert client.stopped == ["q-1"]


def test_a_failure_is_told_in_the_words_of_athena() -> None:
    reason = "HIVE_BAD_DATA: Error parsing field value for column seq"
    client = Client({"State": "FAILED", "StateChangeReason": reason})
    with pytest.raises(
        AwsError, match="q-1 failed: HIVE_BAD_DATA: Error parsing field value for column seq"
    ) as caught:
        athena(client, Time()).run("SELECT 1")
    assert not isinstance(caught.value, AwsUnavailable)
    assert (len(client.started), client.stopped) == (1, [])


def test_a_query_that_somebody_cancelled_is_no_answer() -> None:
    with pytest.raises(AwsError, match="q-1 cancelled: no reason given"):
        athena(Client("CANCELLED"), Time()).run("SELECT 1")


def test_a_retryable_failure_is_tried_once_more_under_a_token_of_its_own() -> None:
    client = Client(RETRYABLE, "SUCCEEDED")
    assert athena(client, Time()).run("SELECT 1").cost.query_id == "q-2"
    tokens = {request["ClientRequestToken"] for request in client.started}
    assert len(tokens) == 2


def test_a_second_retryable_failure_is_the_end_and_may_pass() -> None:
    client = Client(RETRYABLE)
    with pytest.raises(AwsUnavailable, match="q-2 failed: HIVE_X: gone"):
        athena(client, Time()).run("SELECT 1")
    assert len(client.started) == 2


def test_no_retry_begins_after_the_deadline() -> None:
    client = Client("RUNNING", "RUNNING", RETRYABLE)
    with pytest.raises(AwsUnavailable, match="q-1 failed"):
        athena(client, Time(), timeout=0.5).run("SELECT 1")
    assert len(client.started) == 1


@pytest.mark.parametrize("value", ["x" * 1023, "'" * 512, "a\0b"])
def test_a_parameter_that_athena_cannot_take_is_refused_before_anything_is_started(value: str) -> None:
    client = Client("SUCCEEDED")
    with pytest.raises(UsageError, match=r"1,024"):
        athena(client, Time()).run("SELECT ?", [value])
    assert not client.started


@given(value=st.text(st.characters(exclude_characters="\0"), max_size=500) | st.integers() | st.booleans())
def test_a_literal_is_one_token_whatever_it_holds(value: Value) -> None:
    text = literal(value)
    if isinstance(value, str):
        assert (text[0], text[-1]) == ("'", "'")
        assert text[1:-1].replace("''", "") == value.replace("'", "")
        assert text[1:-1].count("'") == 2 * value.count("'")
    else:
        assert text == str(value).lower()


def csv_of(*lines: list[str | None]) -> bytes:
    cells = [",".join("" if v is None else '"' + v.replace('"', '""') + '"' for v in line) for line in lines]
    return "".join(f"{line}\n" for line in cells).encode()


def test_many_rows_are_read_from_the_file_in_one_request() -> None:
    rows: list[list[str | None]] = [["a", "b"], ['say "hi",\nthen', None], ["", "2"], ["é", "last"]]
    client = Client("SUCCEEDED", pages=[rows[:2], [["never", "read"]]])
    client.location = "s3://results/q-1.csv"
    asked = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return csv_of(*rows)

    answer = athena(client, Time(), fetch=fetch).run("SELECT 1")
    assert asked == ["s3://results/q-1.csv"]
    assert [list(row.values()) for row in answer.rows] == rows[1:]


@pytest.mark.parametrize("location", ["", "s3://results/managed"])
def test_without_a_file_the_pages_are_read(location: str) -> None:
    client = Client("SUCCEEDED", pages=[[["a"], ["1"]], [["2"]]])
    client.location = location
    answer = athena(client, Time(), fetch=lambda url: pytest.fail("there is no file")).run("SELECT 1")
    assert [row["a"] for row in answer.rows] == ["1", "2"]


def test_where_the_file_may_not_be_read_the_pages_are() -> None:
    client = Client("SUCCEEDED", pages=[[["a"], ["1"]], [["2"]], [["3"]]])
    client.location = "s3://results/q-1.csv"
    asked = []

    def refuse(url: str) -> bytes:
        asked.append(url)
        raise AwsError("S3 refused GetObject")

    answer = athena(client, Time(), fetch=refuse).run("SELECT 1")
    assert [row["a"] for row in answer.rows] == ["1", "2", "3"]
    assert len(asked) == 1


@pytest.mark.parametrize("body", [b'"a"\n"1"\n"2', b'"a"\n"1"\nx\n', b'"a"\n"1"\n"2",'])
def test_a_file_that_is_damaged_is_no_answer(body: bytes) -> None:
    client = Client("SUCCEEDED", pages=[[["a"], ["1"]], [["2"]]])
    client.location = "s3://results/q-1.csv"
    with pytest.raises(AwsError, match="damaged"):
        athena(client, Time(), fetch=lambda url: body).run("SELECT 1")


def test_few_rows_take_no_request_for_the_file() -> None:
    client = Client("SUCCEEDED", pages=[[["a"], ["1"]]])
    client.location = "s3://results/q-1.csv"
    answer = athena(client, Time(), fetch=lambda url: pytest.fail("one page is enough")).run("SELECT 1")
    assert [row["a"] for row in answer.rows] == ["1"]
