"""The Athena gateway: one statement in, rows and what they cost out; never a query left behind.

Results are never reused: Athena "does not check for changes in source data" (reference athena.md, "What decides the
design"), and this one is asked whether the fleet has changed.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from shipit.aws.refusals import explained
from shipit.errors import AwsError, AwsUnavailable, UsageError
from shipit.models import QueryCost

#: What a parameter of a statement may be.
Value = str | int | bool
Row = Mapping[str, str | None]

_FIRST_POLL, _POLL_GROWTH, _LONGEST_POLL = 0.25, 1.5, 2.0
_ATTEMPTS = 2
_PAGE = 1000
_LONGEST_PARAMETER = 1024
#: One field of Athena's CSV, and what ends it.
_FIELD = re.compile(r'(?:"((?:[^"]|"")*)")?([,\n])')
#: The object that a reason names, as those of HIVE_ errors do in the sandbox; nobody saw AWS's own words.
_OBJECT = re.compile(r"s3://\S.*?\.(?:json|gz)\b|s3://\S+")
#: The price of a query: so many dollars for so many bytes.
_DOLLARS, _BYTES = 5, 10**12
_LEAST_BILLED_BYTES = 10 * 10**6


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Hold a statement's rows, by column and as text (None for NULL), and what they cost."""

    rows: tuple[Row, ...]
    cost: QueryCost


class Athena:
    """Run statements in one workgroup and database, an empty one where they name it themselves.

    `output` is the s3:// URL that results go to, empty where the workgroup names it (one with managed results
    refuses it). `timeout` is the seconds that a statement may take, its retry included.
    """

    def __init__(
        self,
        client: Any,
        *,
        database: str,
        workgroup: str = "primary",
        output: str = "",
        timeout: float = 120.0,
        fetch: Callable[[str], bytes] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Use `client`, a boto3 client of athena; `fetch` returns the object at an s3:// URL, or raises AwsError."""
        self._client = client
        self._fetch = fetch
        self._database = database
        self._workgroup = workgroup
        self._output = output
        self._timeout = timeout
        self._clock = clock
        self._sleep = sleep

    def run(self, sql: str, parameters: Sequence[Value] = ()) -> Answer:
        """Run one statement with its positional parameters and return all rows.

        A failure that Athena calls retryable is tried once more. Raises AwsError with Athena's reason, AwsUnavailable
        where the time ran out or the retry failed too, UsageError for a parameter that Athena cannot take. Whatever
        ends the wait early, Ctrl-C included, stops the query.
        """
        request = self._request(sql, parameters)
        began = self._clock()
        with explained():
            execution = self._succeed(request, deadline=began + self._timeout)
            rows = self._rows(execution)
        return Answer(rows=rows, cost=_cost(execution, self._clock() - began))

    def _request(self, sql: str, parameters: Sequence[Value]) -> dict[str, Any]:
        request: dict[str, Any] = {
            "QueryString": sql,
            "WorkGroup": self._workgroup,
        }
        if self._database:
            request["QueryExecutionContext"] = {"Database": self._database}
        # Athena refuses an empty list and an empty location.
        if parameters:
            request["ExecutionParameters"] = [literal(value) for value in parameters]
        if self._output:
            request["ResultConfiguration"] = {"OutputLocation": self._output}
        return request

    def _succeed(self, request: Mapping[str, Any], deadline: float) -> Mapping[str, Any]:
        """Return the execution that succeeded, of the first attempt or the second."""
        for attempt in range(1, _ATTEMPTS + 1):
            # A token of its own for each attempt: with the old one Athena would hand back the failed query.
            started = self._client.start_query_execution(**request, ClientRequestToken=str(uuid.uuid4()))
            execution = self._wait(started["QueryExecutionId"], deadline)
            status = execution["Status"]
            if status["State"] == "SUCCEEDED":
                return execution
            retryable = status.get("AthenaError", {}).get("Retryable", False)
            if not retryable or attempt == _ATTEMPTS or self._clock() >= deadline:
                raise _failed(execution, retryable)
        raise AssertionError("the last attempt either returns or raises")

    def _wait(self, query_id: str, deadline: float) -> Mapping[str, Any]:
        pause, ended = _FIRST_POLL, False
        try:
            while True:
                execution: Mapping[str, Any] = self._client.get_query_execution(QueryExecutionId=query_id)[
                    "QueryExecution"
                ]
                state = execution["Status"]["State"]
                ended = state in ("SUCCEEDED", "FAILED", "CANCELLED")
                if ended:
                    return execution
                left = deadline - self._clock()
                if left <= 0:
                    raise AwsUnavailable(
                        f"Athena query {query_id} was still {state} after {self._timeout:g} s and was stopped",
                        hint="try again, or give it longer: `query-timeout` in [reports]",
                    )
                self._sleep(min(pause, left))
                pause = min(pause * _POLL_GROWTH, _LONGEST_POLL)
        finally:
            if not ended:
                self._stop(query_id)

    def _stop(self, query_id: str) -> None:
        # Something else is already on its way up, and says more than a refused stop would.
        with suppress(BotoCoreError, ClientError):
            self._client.stop_query_execution(QueryExecutionId=query_id)

    def _rows(self, execution: Mapping[str, Any]) -> tuple[Row, ...]:
        """Return all rows: of a few the pages, of many the file, which the same rights read in one request."""
        header = execution.get("StatementType") == "DML"
        seen: dict[str | None, str | None] = {}
        rows: list[Row] = []
        names: list[str] = []
        for number, page in enumerate(self._pages(execution["QueryExecutionId"])):
            if number == 1 and (body := self._file(execution)) is not None:
                _, *lines = _lines(body.decode("utf-8"))
                return tuple(_row(names, line, seen) for line in lines)
            result = page["ResultSet"]
            names = names or [column["Name"] for column in result["ResultSetMetadata"]["ColumnInfo"]]
            cells = [[cell.get("VarCharValue") for cell in row["Data"]] for row in result["Rows"]]
            rows += [_row(names, line, seen) for line in cells[1 if header else 0 :]]
            header = False
        return tuple(rows)

    def _pages(self, query_id: str) -> Iterable[Mapping[str, Any]]:
        pages: Iterable[Mapping[str, Any]] = self._client.get_paginator("get_query_results").paginate(
            QueryExecutionId=query_id, PaginationConfig={"PageSize": _PAGE}
        )
        return pages

    def _file(self, execution: Mapping[str, Any]) -> bytes | None:
        """Return the file with the results; None where there is none to be had, as with managed results."""
        location = execution.get("ResultConfiguration", {}).get("OutputLocation", "")
        if self._fetch is None or not location.endswith(".csv"):
            return None
        with suppress(AwsError):
            return self._fetch(location)
        return None


def literal(value: Value) -> str:
    """Return the SQL literal of a parameter: strings in single quotes, those inside doubled.

    Raises UsageError where it holds a NUL or is longer than the 1,024 characters that Athena takes.
    """
    text = "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value).lower()
    if len(text) > _LONGEST_PARAMETER or "\0" in text:
        raise UsageError(f"Athena takes no parameter like {text[:40]!r}: at most 1,024 characters, none of them NUL")
    return text


def _row(names: Sequence[str], values: Sequence[str | None], seen: dict[str | None, str | None]) -> Row:
    """Return a row by column; a text that many rows have is held once."""
    return {name: seen.setdefault(v, v) for name, v in zip(names, values, strict=True)}


def _lines(text: str) -> Iterator[list[str | None]]:
    """Yield the lines of Athena's CSV: every value in quotes, those inside doubled, NULL nothing at all.

    Raises AwsError for anything else, such as a file that was cut off: a lost row would read as a silent instance.
    """
    line: list[str | None] = []
    read = 0
    for field in _FIELD.finditer(text):
        if field.start() != read:
            break
        read = field.end()
        value, end = field.groups()
        line.append(value.replace('""', '"') if value else value)
        if end == "\n":
            yield line
            line = []
    if read != len(text) or line:
        raise AwsError(f"the file of Athena's results is damaged after {read:,} characters", hint="try again")


def _failed(execution: Mapping[str, Any], retryable: bool) -> AwsError:
    status = execution["Status"]
    reason = status.get("StateChangeReason") or status.get("AthenaError", {}).get("ErrorMessage") or "no reason given"
    message = f"Athena query {execution['QueryExecutionId']} {status['State'].lower()}: {reason}"
    if retryable:
        return AwsUnavailable(message, hint="Athena calls this passing: try again in a minute")
    hint = "the query and its reason are also in the history of the Athena console"
    if "TABLE_NOT_FOUND" in reason or "SCHEMA_NOT_FOUND" in reason:
        hint = "inv setup.reports makes what is missing"
    elif reason.startswith("HIVE_") and (found := _OBJECT.search(reason)):
        hint = f"one object that is not as the table says fails every query: look at {found[0]}, and move it away"
    elif status["State"] == "CANCELLED":
        hint = f"somebody stopped it, or the limit of its workgroup did (`scan-limit` in [reports]); {hint}"
    return AwsError(message, hint=hint)


def _cost(execution: Mapping[str, Any], seconds: float) -> QueryCost:
    scanned = execution.get("Statistics", {}).get("DataScannedInBytes", 0)
    # DDL is free; a query bills 10 MB at least (Athena's price list).
    billed = max(scanned, _LEAST_BILLED_BYTES) if execution.get("StatementType") == "DML" else 0
    return QueryCost(
        query_id=execution["QueryExecutionId"],
        scanned=scanned,
        seconds=seconds,
        dollars=billed * _DOLLARS / _BYTES,
    )
