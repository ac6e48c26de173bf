"""The operations of Athena's API, as `wire.JsonService("athena", handler)` calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from shipit.sandbox.athena.catalog import Table
from shipit.sandbox.athena.engine import Engine, is_ddl
from shipit.sandbox.athena.executions import Execution, Executions, Question, State, TokenReused
from shipit.sandbox.athena.failures import QueryFailed
from shipit.sandbox.athena.results import Column, Row
from shipit.sandbox.athena.store import ObjectStore, split_url
from shipit.sandbox.athena.workgroups import ENGINE_VERSION, PRIMARY, Workgroup, Workgroups, invalid
from shipit.sandbox.wire import ApiError

T = TypeVar("T")
Request = dict[str, Any]
Answer = dict[str, Any]

_MOST_ROWS = 1000
_MOST_LISTED = 50
#: AthenaError.ErrorCategory: 1 system, 2 user.
_SYSTEM, _USER = 1, 2


class AthenaService:
    """Serve Athena over a store of objects; `now` tells the time, aware and in UTC.

    `latency` is the seconds that a query is QUEUED at least, 0 for tests. `output_location` is the s3:// URL that the
    workgroup `primary` gives to queries that name none; without one they are refused, as on AWS.
    """

    def __init__(
        self,
        read_objects: ObjectStore,
        now: Callable[[], datetime],
        *,
        latency: float = 0.0,
        output_location: str = "",
    ) -> None:
        """Start with an empty catalog and no queries."""
        self._engine = Engine(read_objects, now)
        self._executions = Executions(self._engine, read_objects, now, latency)
        self._now = now
        self._workgroups = Workgroups(output_location)

    def close(self) -> None:
        """Cancel all queries and let the threads go."""
        self._executions.close()
        self._engine.close()

    def start_query_execution(self, request: Request) -> Answer:
        """Queue a statement; one that cannot be parsed is refused at once."""
        context = request.get("QueryExecutionContext", {})
        _known_catalog(context.get("Catalog", "AwsDataCatalog"))
        workgroup = self._workgroups.get(request.get("WorkGroup", PRIMARY))
        output = request.get("ResultConfiguration", {}).get("OutputLocation") or workgroup.output
        if not output:
            raise invalid(
                "No output location provided. An output location is required either through the Workgroup result "
                "configuration setting or as an API input."
            )
        try:
            split_url(output)
            question = Question(
                sql=request["QueryString"],
                parameters=tuple(request.get("ExecutionParameters", ())),
                database=context.get("Database", "default"),
                workgroup=workgroup.name,
                scan_limit=workgroup.scan_limit,
                output=output,
                ddl=is_ddl(request["QueryString"]),
            )
            return {"QueryExecutionId": self._executions.start(question, request.get("ClientRequestToken", ""))}
        except (ValueError, TokenReused) as error:
            raise invalid(str(error)) from error

    def get_query_execution(self, request: Request) -> Answer:
        """Describe one execution."""
        return {"QueryExecution": self._described(self._execution(request["QueryExecutionId"]))}

    def batch_get_query_execution(self, request: Request) -> Answer:
        """Describe several executions, the unknown ones apart."""
        found = {name: self._executions.get(name) for name in request["QueryExecutionIds"]}
        return {
            "QueryExecutions": [self._described(execution) for execution in found.values() if execution],
            "UnprocessedQueryExecutionIds": [
                {"QueryExecutionId": name, "ErrorCode": "INVALID_INPUT", "ErrorMessage": _not_found(name)}
                for name, execution in found.items()
                if execution is None
            ],
        }

    def list_query_executions(self, request: Request) -> Answer:
        """List the ids of the executions remembered, newest first."""
        workgroup = self._workgroups.get(request.get("WorkGroup", PRIMARY)).name
        ids = [e.id for e in self._executions.newest_first() if e.question.workgroup == workgroup]
        return _paged("QueryExecutionIds", ids, request, _MOST_LISTED)

    def stop_query_execution(self, request: Request) -> Answer:
        """Cancel an execution; one that has ended stays as it is."""
        self._executions.stop(self._execution(request["QueryExecutionId"]).id)
        return {}

    def get_query_results(self, request: Request) -> Answer:
        """Return a page of rows as text; the first row of a query's first page is the header."""
        execution = self._execution(request["QueryExecutionId"])
        if not execution.state.ended:
            raise invalid(f"Query has not yet finished. Current state: {execution.state}")
        if execution.state is not State.SUCCEEDED or execution.result is None:
            raise invalid(f"Query did not finish successfully. Final query state: {execution.state}")
        columns = execution.result.columns
        header: list[Row] = [[column.name for column in columns]] if columns else []
        page = _paged("Rows", [*header, *execution.result.rows], request, _MOST_ROWS)
        token = page.pop("NextToken", None)
        page["Rows"] = [{"Data": [_cell(value) for value in row]} for row in page["Rows"]]
        metadata = {"ColumnInfo": [_column_info(column) for column in columns]}
        return {"UpdateCount": 0, "ResultSet": {**page, "ResultSetMetadata": metadata}, "NextToken": token}

    def get_work_group(self, request: Request) -> Answer:
        """Describe a workgroup."""
        workgroup = self._workgroups.get(request["WorkGroup"])
        configuration = {
            "ResultConfiguration": {"OutputLocation": workgroup.output} if workgroup.output else {},
            "EnforceWorkGroupConfiguration": False,
            "BytesScannedCutoffPerQuery": workgroup.scan_limit,
            "EngineVersion": ENGINE_VERSION,
        }
        return {"WorkGroup": {"Name": workgroup.name, "State": "ENABLED", "Configuration": configuration}}

    def list_work_groups(self, request: Request) -> Answer:
        """List the workgroups."""
        groups = [{"Name": n, "State": "ENABLED", "EngineVersion": ENGINE_VERSION} for n in self._workgroups.names()]
        return _paged("WorkGroups", groups, request, _MOST_LISTED)

    def create_work_group(self, request: Request) -> Answer:
        """Make a workgroup; of its configuration the output location and the limit of a query count."""
        configuration = request.get("Configuration", {})
        self._workgroups.create(
            Workgroup(
                name=request["Name"],
                output=configuration.get("ResultConfiguration", {}).get("OutputLocation", ""),
                scan_limit=configuration.get("BytesScannedCutoffPerQuery"),
            )
        )
        return {}

    def update_work_group(self, request: Request) -> Answer:
        """Set, or remove, the limit of a workgroup's queries."""
        updates = request.get("ConfigurationUpdates", {})
        if updates.get("RemoveBytesScannedCutoffPerQuery"):
            self._workgroups.limit(request["WorkGroup"], None)
        elif "BytesScannedCutoffPerQuery" in updates:
            self._workgroups.limit(request["WorkGroup"], updates["BytesScannedCutoffPerQuery"])
        return {}

    def list_databases(self, request: Request) -> Answer:
        """List the databases."""
        _known_catalog(request["CatalogName"])
        databases = [{"Name": name} for name in self._engine.catalog.databases()]
        return _paged("DatabaseList", databases, request, _MOST_LISTED)

    def get_database(self, request: Request) -> Answer:
        """Describe one database."""
        _known_catalog(request["CatalogName"])
        self._tables(request["DatabaseName"])
        return {"Database": {"Name": request["DatabaseName"]}}

    def list_table_metadata(self, request: Request) -> Answer:
        """Describe the tables of a database."""
        _known_catalog(request["CatalogName"])
        tables = [_table_metadata(table) for table in self._tables(request["DatabaseName"])]
        return _paged("TableMetadataList", tables, request, _MOST_LISTED)

    def get_table_metadata(self, request: Request) -> Answer:
        """Describe one table."""
        _known_catalog(request["CatalogName"])
        try:
            table = self._engine.catalog.table(request["DatabaseName"], request["TableName"])
        except QueryFailed as failure:
            raise ApiError("MetadataException", failure.reason) from failure
        return {"TableMetadata": _table_metadata(table)}

    def _execution(self, execution_id: str) -> Execution:
        execution = self._executions.get(execution_id)
        if execution is None:
            raise invalid(_not_found(execution_id))
        return execution

    def _tables(self, database: str) -> list[Table]:
        tables = self._engine.catalog.tables(database)
        if tables is None:
            raise ApiError("MetadataException", f"Database {database} not found.")
        return tables

    def _described(self, execution: Execution) -> Answer:
        question = execution.question
        started, ended = execution.started_at, execution.ended_at or self._now()
        described: Answer = {
            "QueryExecutionId": execution.id,
            "Query": question.sql,
            "StatementType": "DDL" if question.ddl else "DML",
            "ResultConfiguration": {"OutputLocation": execution.output},
            "ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": False}},
            "QueryExecutionContext": {"Database": question.database, "Catalog": "awsdatacatalog"},
            "Status": _status(execution),
            "Statistics": {
                "DataScannedInBytes": execution.scanned,
                "EngineExecutionTimeInMillis": _millis(started, ended) if started else 0,
                "QueryQueueTimeInMillis": _millis(execution.submitted_at, started or ended),
                "TotalExecutionTimeInMillis": _millis(execution.submitted_at, ended),
                "ServiceProcessingTimeInMillis": 0,
                "ResultReuseInformation": {"ReusedPreviousResult": False},
            },
            "WorkGroup": question.workgroup,
            "EngineVersion": ENGINE_VERSION,
        }
        if question.parameters:
            described["ExecutionParameters"] = list(question.parameters)
        return described


def _status(execution: Execution) -> Answer:
    status: Answer = {
        "State": execution.state.value,
        "SubmissionDateTime": execution.submitted_at,
        "CompletionDateTime": execution.ended_at,
    }
    if execution.exceeded:
        status["StateChangeReason"] = "Bytes scanned limit was exceeded"
    if execution.failure is not None:
        reason = execution.failure.reason
        status["StateChangeReason"] = reason
        status["AthenaError"] = {
            "ErrorCategory": _SYSTEM if execution.failure.retryable else _USER,
            "Retryable": execution.failure.retryable,
            "ErrorMessage": reason,
        }
    return status


def _table_metadata(table: Table) -> Answer:
    return {
        "Name": table.name,
        "TableType": "EXTERNAL_TABLE",
        "Columns": [{"Name": name, "Type": kind} for name, kind in table.columns.items()],
        "PartitionKeys": [{"Name": name, "Type": kind} for name, kind in table.partitions.items()],
        "Parameters": {
            **table.properties,
            "EXTERNAL": "TRUE",
            "location": table.location,
            "serde.serialization.lib": table.serde,
            "inputformat": table.input_format,
            "outputformat": table.output_format,
        },
    }


def _column_info(column: Column) -> Answer:
    textual = column.type == "varchar"
    return {
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": column.name,
        "Label": column.name,
        "Type": column.type,
        "Precision": 2**31 - 1 if textual else 19,
        "Scale": 0,
        "Nullable": "UNKNOWN",
        "CaseSensitive": textual,
    }


def _cell(value: str | None) -> Mapping[str, str]:
    return {} if value is None else {"VarCharValue": value}


def _paged(key: str, items: Sequence[T], request: Request, most: int) -> Answer:
    """Return one page of the items; a token is the place where the next one starts."""
    size, token = request.get("MaxResults", most), request.get("NextToken", "0")
    if not token.isdecimal() or int(token) > len(items):
        raise invalid(f"Invalid token: {token}")
    end = int(token) + size
    page: Answer = {key: list(items[int(token) : end])}
    return {**page, "NextToken": str(end)} if end < len(items) else page


def _millis(since: datetime, until: datetime) -> int:
    return max(0, round((until - since).total_seconds() * 1000))


def _known_catalog(name: str) -> None:
    if name.lower() != "awsdatacatalog":
        raise invalid(f"Data catalog {name} was not found")


def _not_found(execution_id: str) -> str:
    return f"QueryExecution {execution_id} was not found"
