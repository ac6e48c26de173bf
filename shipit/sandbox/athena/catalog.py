"""Databases and tables, as Hive's DDL declares them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sqlglot import exp

from shipit.sandbox.athena.failures import QueryFailed
from shipit.sandbox.athena.store import split_url

#: The SerDes whose rows are JSON lines. OpenX's is not here: it may drop rows (reference athena.md, line 2 of 7).
_SERDES = ("org.apache.hive.hcatalog.data.JsonSerDe", "org.apache.hadoop.hive.serde2.JsonSerDe")
#: sqlglot's names of the scalar types, and Hive's.
_TYPES = {
    exp.DType.TEXT: "string",
    exp.DType.TINYINT: "tinyint",
    exp.DType.SMALLINT: "smallint",
    exp.DType.INT: "int",
    exp.DType.BIGINT: "bigint",
    exp.DType.FLOAT: "float",
    exp.DType.DOUBLE: "double",
    exp.DType.BOOLEAN: "boolean",
}


@dataclass(frozen=True, kw_only=True)
class Table:
    """Describe an external table: Hive types by column, in order, and where its objects lie."""

    database: str
    name: str
    columns: Mapping[str, str]
    partitions: Mapping[str, str]
    location: str
    properties: Mapping[str, str]
    serde: str
    input_format: str
    output_format: str

    @property
    def projected(self) -> bool:
        """Tell whether its partitions are computed instead of registered."""
        return self.properties.get("projection.enabled", "").lower() == "true"


class Catalog:
    """Hold the databases and tables of one account; safe for several threads."""

    def __init__(self) -> None:
        """Start with an empty database `default`, as Athena does."""
        self._lock = threading.Lock()
        self._databases: dict[str, dict[str, Table]] = {"default": {}}

    def databases(self) -> list[str]:
        """Return the names of the databases, in order."""
        with self._lock:
            return sorted(self._databases)

    def tables(self, database: str) -> list[Table] | None:
        """Return the tables of a database by name, None where there is no such database."""
        with self._lock:
            tables = self._databases.get(database.lower())
            return None if tables is None else [tables[name] for name in sorted(tables)]

    def table(self, database: str, name: str) -> Table:
        """Return a table; raises QueryFailed where it, or its database, does not exist."""
        with self._lock:
            tables = self._databases.get(database.lower())
            if tables is None:
                raise QueryFailed("SCHEMA_NOT_FOUND", f"line 1:1: Schema '{database}' does not exist")
            if name.lower() not in tables:
                full = f"awsdatacatalog.{database}.{name}"
                raise QueryFailed("TABLE_NOT_FOUND", f"line 1:1: Table '{full}' does not exist")
            return tables[name.lower()]

    def create(self, statement: exp.Create, default_database: str) -> None:
        """Carry out CREATE DATABASE, CREATE SCHEMA or CREATE EXTERNAL TABLE. Raises QueryFailed."""
        if statement.kind in ("DATABASE", "SCHEMA"):
            name = _database_name(statement.this)
            with self._lock:
                if name not in self._databases:
                    self._databases[name] = {}
                elif not statement.args.get("exists"):
                    raise _ddl_failed(f"AlreadyExistsException: Database {name} already exists")
        elif statement.kind == "TABLE" and isinstance(statement.this, exp.Schema):
            self._add(_declared(statement, default_database), if_not_exists=bool(statement.args.get("exists")))
        else:
            raise QueryFailed("NOT_SUPPORTED", f"the sandbox cannot CREATE a {statement.kind} like this")

    def drop(self, statement: exp.Drop, default_database: str) -> None:
        """Carry out DROP DATABASE or DROP TABLE; the objects stay. Raises QueryFailed."""
        for target in _drop_targets(statement):
            with self._lock:
                if statement.args["kind"] == "TABLE":
                    self._drop_table(statement, target.db or default_database, target.name)
                elif statement.args["kind"] in ("DATABASE", "SCHEMA"):
                    self._drop_database(statement, _database_name(target))
                else:
                    raise QueryFailed("NOT_SUPPORTED", f"the sandbox cannot DROP a {statement.args['kind']}")

    def _add(self, table: Table, *, if_not_exists: bool) -> None:
        with self._lock:
            tables = self._databases.get(table.database)
            if tables is None:
                raise _ddl_failed(f"SemanticException [Error 10072]: Database does not exist: {table.database}")
            if table.name not in tables:
                tables[table.name] = table
            elif not if_not_exists:
                raise _ddl_failed(f"AlreadyExistsException: Table {table.name} already exists")

    def _drop_table(self, statement: exp.Drop, database: str, name: str) -> None:
        gone = self._databases.get(database.lower(), {}).pop(name.lower(), None)
        if gone is None and not statement.args.get("exists"):
            raise _ddl_failed(f"SemanticException [Error 10001]: Table not found {database}.{name}")

    def _drop_database(self, statement: exp.Drop, name: str) -> None:
        if self._databases.get(name) and not statement.args.get("cascade"):
            raise _ddl_failed(f"InvalidOperationException: Database {name} is not empty. One or more tables exist.")
        if self._databases.pop(name, None) is None and not statement.args.get("exists"):
            raise _ddl_failed(f"SemanticException [Error 10072]: Database does not exist: {name}")


def _database_name(table: exp.Expr) -> str:
    # sqlglot puts the name of a SCHEMA where a table has its database, that of a DATABASE where it has its name.
    return str(table.name or table.text("db")).lower()


def _drop_targets(statement: exp.Drop) -> list[exp.Table]:
    targets = statement.args.get("tables") or [statement.this]
    return [target for target in targets if isinstance(target, exp.Table)]


def _declared(statement: exp.Create, default_database: str) -> Table:
    schema, properties = statement.this, statement.args.get("properties")
    found = list(properties.expressions) if properties else []
    declared = next((p for p in found if isinstance(p, exp.PartitionedByProperty)), None)
    serde = next((p.name for p in found if isinstance(p, exp.RowFormatSerdeProperty)), "")
    stored = next((p.this for p in found if isinstance(p, exp.FileFormatProperty)), None)
    formats = stored.args if isinstance(stored, exp.InputOutputFormat) else {}
    location = next((p.name for p in found if isinstance(p, exp.LocationProperty)), "")
    if not any(isinstance(p, exp.ExternalProperty) for p in found):
        raise QueryFailed("NOT_SUPPORTED", "the sandbox creates only EXTERNAL tables")
    if serde not in _SERDES:
        raise QueryFailed(
            "NOT_SUPPORTED", f"the sandbox reads only the SerDe {_SERDES[0]}, not {serde or 'the default'}"
        )
    try:
        split_url(location)
    except ValueError as error:
        raise _ddl_failed(f"SemanticException: LOCATION: {error}") from error
    return Table(
        database=(schema.this.db or default_database).lower(),
        name=schema.this.name.lower(),
        columns=_columns(schema.expressions),
        partitions=_columns(declared.this.expressions if declared else []),
        location=location.rstrip("/") + "/",
        serde=serde,
        input_format=formats["input_format"].name if formats else "",
        output_format=formats["output_format"].name if formats else "",
        # The others, LOCATION and the like, are subclasses: only the plain ones are TBLPROPERTIES.
        properties=MappingProxyType({p.this.name: p.args["value"].name for p in found if type(p) is exp.Property}),
    )


def _columns(definitions: list[exp.Expr]) -> Mapping[str, str]:
    columns: dict[str, str] = {}
    for definition in definitions:
        kind = definition.args.get("kind")
        if not isinstance(kind, exp.DataType) or kind.this not in _TYPES or kind.expressions:
            raise QueryFailed("NOT_SUPPORTED", f"the sandbox has no column type {kind} ({definition.name})")
        if definition.name.lower() in columns:
            raise _ddl_failed(f"SemanticException [Error 10036]: Duplicate column name: {definition.name}")
        columns[definition.name.lower()] = _TYPES[kind.this]
    return MappingProxyType(columns)


def _ddl_failed(message: str) -> QueryFailed:
    return QueryFailed("FAILED", message)
