"""Run one statement: bind its parameters, load the tables it names, let DuckDB answer.

The SQL is read as Athena's and written as DuckDB's by sqlglot; what would mean something else there is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb
import sqlglot
from sqlglot import TokenType, exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

from shipit.sandbox.athena import projection
from shipit.sandbox.athena.cancellation import Cancellation, Cancelled
from shipit.sandbox.athena.catalog import Catalog, Table
from shipit.sandbox.athena.failures import QueryFailed
from shipit.sandbox.athena.projection import Partition
from shipit.sandbox.athena.reader import PATH, Reader
from shipit.sandbox.athena.results import Column, Result, Row, text, type_name
from shipit.sandbox.athena.rows import LocalRows, Wanted, declared, insert
from shipit.sandbox.athena.store import ObjectInfo, ObjectStore, split_url

_DIALECT = "athena"
#: DuckDB would run these, and mean something else: its 7/2 is 3.5, its formats of dates are others.
_OTHER_MEANING = (
    exp.Div,
    exp.Anonymous,
    exp.AnonymousAggFunc,
    exp.ParseDatetime,
    exp.MatchRecognize,
    exp.TableSample,
)
_OTHER_CLOCK = (exp.CurrentTime, exp.Localtime, exp.Localtimestamp)
#: Where a partition stands among the candidates: a name that no column can have.
_PLACE = "$place"
#: Rows taken from DuckDB at once, and the texts remembered so as to hold equal ones once.
_FETCHED, _SEEN = 10_000, 100_000


class ScanLimitExceeded(Exception):
    """End a query that would read more bytes than its workgroup lets it."""


def is_ddl(sql: str) -> bool:
    """Tell DDL from a query. Raises ValueError for a text that is neither, or that the sandbox does not offer."""
    try:
        statements = sqlglot.parse(sql, read=_DIALECT)
    except SqlglotError as error:
        raise ValueError(f"line 1:1: {_first_line(error)}") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Create | exp.Drop | exp.Query):
        raise ValueError("Queries of this type are not supported: one SELECT, CREATE or DROP is")
    return not isinstance(statements[0], exp.Query)


class Engine:
    """Answer statements over the objects of a store, at the time that `now` tells (aware, UTC)."""

    def __init__(self, store: ObjectStore, now: Callable[[], datetime]) -> None:
        """Start with an empty catalog."""
        self.catalog = Catalog()
        self._reader = Reader(store)
        self._rows = LocalRows(self._reader)
        self._now = now

    def close(self) -> None:
        """Let the reading threads go, and what they read."""
        self._reader.close()
        self._rows.close()

    def run(
        self,
        sql: str,
        parameters: Sequence[str],
        database: str,
        cancellation: Cancellation,
        scan_limit: int | None = None,
    ) -> tuple[Result, int]:
        """Return the result and the bytes scanned. Raises QueryFailed, Cancelled, or ScanLimitExceeded.

        Athena reads on until the limit is passed; here the objects' sizes are known before.
        """
        try:
            statement = sqlglot.parse_one(_bind(sql, parameters), read=_DIALECT)
        except SqlglotError as error:
            raise QueryFailed("SYNTAX_ERROR", f"line 1:1: {_first_line(error)}") from error
        if isinstance(statement, exp.Create):
            self.catalog.create(statement, database)
            return Result(), 0
        if isinstance(statement, exp.Drop):
            self.catalog.drop(statement, database)
            return Result(), 0
        return self._select(statement, database, cancellation, scan_limit)

    def _select(
        self, query: exp.Expr, database: str, cancellation: Cancellation, scan_limit: int | None
    ) -> tuple[Result, int]:
        now = self._now().astimezone(UTC).replace(tzinfo=None)
        query = _at(query, now)
        _refuse_other_meanings(query)
        with self._rows.connect() as connection, cancellation.guard(connection):
            try:
                loader = _Loader(self._reader, self._rows, self.catalog, connection, cancellation, now)
                scanned = loader.load(query, database, scan_limit)
                cursor = connection.execute(query.sql("duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE))
                columns = _columns(query, cursor.description or [])
                rows = tuple(_as_text(cursor))
            except duckdb.InterruptException as error:
                raise Cancelled from error
            except SqlglotError as error:
                raise QueryFailed("NOT_SUPPORTED", f"the sandbox cannot run this: {_first_line(error)}") from error
            except duckdb.Error as error:
                cancellation.check()
                raise QueryFailed(_code(error), _first_line(error)) from error
        return Result(columns=columns, rows=rows), scanned


class _Loader:
    """Put each table that a query names into DuckDB, with the partitions that its WHERE leaves."""

    def __init__(
        self,
        reader: Reader,
        rows: LocalRows,
        catalog: Catalog,
        connection: duckdb.DuckDBPyConnection,
        cancellation: Cancellation,
        now: datetime,
    ) -> None:
        self._reader = reader
        self._rows = rows
        self._catalog = catalog
        self._connection = connection
        self._cancellation = cancellation
        self._now = now

    def load(self, query: exp.Expr, database: str, scan_limit: int | None) -> int:
        """Bring the rows of all tables here, make the query name their views, and return the bytes read.

        Raises ScanLimitExceeded, and then reads nothing.
        """
        shows_path = any(column.name == PATH for column in query.find_all(exp.Column))
        named = [
            (scope, source)
            for scope in traverse_scope(query)
            for source, _ in scope.selected_sources.values()
            if isinstance(source, exp.Table) and not isinstance(scope.sources.get(source.alias_or_name), Scope)
        ]
        wanted = []
        for number, (scope, reference) in enumerate(named):
            if not isinstance(reference.this, exp.Identifier):
                raise QueryFailed("NOT_SUPPORTED", f"the sandbox has no table functions: {reference.sql(_DIALECT)}")
            select = scope.expression
            if shows_path and isinstance(select, exp.Select) and select.is_star:
                raise QueryFailed("NOT_SUPPORTED", f'beside "{PATH}" the sandbox wants columns by name, not *')
            table = self._catalog.table(reference.db or database, reference.name)
            view = f"view_{number}"
            objects, bucket = self._objects(table, select, reference.alias_or_name)
            wanted.append(Wanted(view=view, table=table, bucket=bucket, objects=objects, with_path=shows_path))
            reference.replace(exp.to_table(view, alias=reference.alias_or_name))
        scanned = sum(item.size for one in wanted for item, _ in one.objects)
        if scan_limit is not None and scanned > scan_limit:
            raise ScanLimitExceeded
        self._rows.show(self._connection, wanted, self._cancellation.check)
        return scanned

    def _objects(self, table: Table, select: exp.Expr, alias: str) -> tuple[list[tuple[ObjectInfo, Partition]], str]:
        conditions = _partition_conditions(table, select, alias)
        candidates = projection.partitions(table, _demanded(conditions), self._now)
        found: list[tuple[ObjectInfo, Partition]] = []
        buckets = {split_url(table.location)[0]}
        for partition in self._pruned(table, candidates, conditions):
            self._cancellation.check()
            bucket, prefix = split_url(projection.location(table, partition) if partition else table.location)
            buckets.add(bucket)
            found += [(item, partition) for item in self._reader.list(bucket, prefix)]
        if len(buckets) > 1:
            raise QueryFailed("NOT_SUPPORTED", f"{table.name}: the sandbox reads a table from one bucket only")
        return found, buckets.pop()

    def _pruned(
        self, table: Table, candidates: list[Partition], conditions: Sequence[exp.Expr]
    ) -> Sequence[Partition]:
        """Return the candidates that meet the conditions: DuckDB decides, as it will for the rows."""
        if not conditions:
            return candidates
        types = {**table.partitions, _PLACE: "int"}
        columns: dict[str, list[Any]] = {name: [c[name] for c in candidates] for name in table.partitions}
        self._connection.execute(f"CREATE TEMP TABLE candidates ({declared(types)})")
        insert(self._connection, "candidates", types, {**columns, _PLACE: list(range(len(candidates)))})
        where = " AND ".join(f"({condition.sql('duckdb')})" for condition in conditions)
        kept = self._connection.execute(f'SELECT "{_PLACE}" FROM candidates WHERE {where} ORDER BY 1').fetchall()
        self._connection.execute("DROP TABLE candidates")
        return [candidates[place] for (place,) in kept]


def _as_text(cursor: duckdb.DuckDBPyConnection) -> Iterator[Row]:
    """Yield the rows as text; what many rows say is held once."""
    plain = [str(column[1]) == "VARCHAR" for column in cursor.description or []]
    seen: dict[str | None, str | None] = {}
    while rows := cursor.fetchmany(_FETCHED):
        for row in rows:
            texts = row if all(plain) else [text(value) for value in row]
            yield tuple([seen.setdefault(value, value) for value in texts])
        if len(seen) > _SEEN:
            seen.clear()


def _bind(sql: str, parameters: Sequence[str]) -> str:
    """Put the parameters, each an expression of its own, where the question marks are."""
    marks = [token for token in sqlglot.tokenize(sql, read=_DIALECT) if token.token_type is TokenType.PLACEHOLDER]
    if len(marks) != len(parameters):
        raise QueryFailed(
            "INVALID_PARAMETER_USAGE",
            f"Incorrect number of parameters: expected {len(marks)} but found {len(parameters)}",
        )
    for mark, parameter in reversed(list(zip(marks, parameters, strict=True))):
        sql = f"{sql[: mark.start]}({_expression(parameter)}){sql[mark.end + 1 :]}"
    return sql


def _expression(parameter: str) -> str:
    try:
        parsed = sqlglot.parse_one(parameter, read=_DIALECT)
    except SqlglotError as error:
        raise QueryFailed("SYNTAX_ERROR", f"line 1:1: mismatched input in the parameter {parameter!r}") from error
    if column := parsed.find(exp.Column):
        # What a string without its quotes looks like.
        raise QueryFailed("COLUMN_NOT_FOUND", f"line 1:1: Column '{column.name}' cannot be resolved")
    if not isinstance(parsed, exp.Condition) or parsed.find(exp.Query):
        raise QueryFailed("SYNTAX_ERROR", f"line 1:1: the parameter {parameter!r} is not an expression")
    return parsed.sql(_DIALECT, comments=False)


def _at(query: exp.Expr, now: datetime) -> exp.Expr:
    """Return the query with the time of the sandbox in place of DuckDB's."""

    def told(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.CurrentTimestamp):
            return exp.cast(
                exp.Literal.string(f"{now.isoformat(sep=' ', timespec='milliseconds')}+00"), "timestamptz"
            )
        if isinstance(node, exp.CurrentDate):
            return exp.cast(exp.Literal.string(now.date().isoformat()), "date")
        return node

    return query.transform(told)


def _refuse_other_meanings(query: exp.Expr) -> None:
    refused = query.find(*_OTHER_MEANING, *_OTHER_CLOCK)
    if refused is not None:
        raise QueryFailed("NOT_SUPPORTED", f"the sandbox cannot run {refused.sql(_DIALECT)} as Athena would")


def _columns(query: exp.Expr, description: Sequence[tuple[Any, ...]]) -> tuple[Column, ...]:
    """Name the columns as Athena does: in lower case, and by number what has neither alias nor column's name."""
    names = [str(column[0]) for column in description]
    if isinstance(query, exp.Query) and not query.is_star:
        selected = enumerate(query.selects)
        names = [e.alias_or_name if isinstance(e, exp.Alias | exp.Column) else f"_col{n}" for n, e in selected]
    kinds = (type_name(str(column[1])) for column in description)
    return tuple(Column(name=name.lower(), type=kind) for name, kind in zip(names, kinds, strict=True))


def _partition_conditions(table: Table, select: exp.Expr, alias: str) -> list[exp.Expr]:
    """Return the conditions of the WHERE that speak of nothing but the table's partition columns.

    None where other tables are joined: there a condition may hold for rows that an outer join makes up.
    """
    where = select.args.get("where")
    if where is None or select.args.get("joins"):
        return []
    conditions = where.this.flatten() if isinstance(where.this, exp.And) else [where.this]
    return [
        _unqualified(condition)
        for condition in conditions
        if (columns := list(condition.find_all(exp.Column)))
        and all(c.name.lower() in table.partitions and c.table in ("", alias) for c in columns)
        and not condition.find(exp.Query)
    ]


def _unqualified(condition: exp.Expr) -> exp.Expr:
    return condition.transform(lambda node: exp.column(node.name) if isinstance(node, exp.Column) else node)


def _demanded(conditions: Sequence[exp.Expr]) -> dict[str, list[str]]:
    """Return the values that `column = 'x'` and `column IN ('x', 'y')` demand, by column."""
    demanded: dict[str, list[str]] = {}
    for condition in conditions:
        if not isinstance(condition, exp.EQ | exp.In) or not isinstance(condition.this, exp.Column):
            continue
        given = condition.expressions if isinstance(condition, exp.In) else [condition.expression]
        values = [value.unnest() for value in given]
        if all(isinstance(value, exp.Literal) for value in values):
            demanded[condition.this.name.lower()] = [value.name for value in values]
    return demanded


def _code(error: duckdb.Error) -> str:
    if isinstance(error, duckdb.ConversionException):
        return "INVALID_CAST_ARGUMENT"
    if isinstance(error, duckdb.OutOfMemoryException):
        return "EXCEEDED_MEMORY_LIMIT"
    return "SYNTAX_ERROR"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
