"""Values and types as Athena writes them: everything is text, and NULL is nothing at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from itertools import chain
from typing import Any

#: DuckDB's types and Athena's; those with parameters, DECIMAL(2,1) or VARCHAR[], are matched by their beginning.
_TYPES = {
    "VARCHAR": "varchar",
    "TINYINT": "tinyint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "HUGEINT": "bigint",  # what DuckDB makes of sum(bigint), where Trino stays with bigint
    "FLOAT": "float",
    "DOUBLE": "double",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
}
Row = Sequence[str | None]


@dataclass(frozen=True, kw_only=True)
class Column:
    """Name one column of a result, with Athena's name of its type."""

    name: str
    type: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """Hold what a statement answered; DDL has no columns."""

    columns: tuple[Column, ...] = ()
    rows: tuple[Row, ...] = ()

    def csv(self) -> bytes:
        """Return the file that Athena leaves at the output location: all quoted, NULL an empty field."""
        if not self.columns:
            return b""
        # Line by line: as one text, a large answer would be held three times over.
        file = BytesIO()
        for line in chain([[column.name for column in self.columns]], self.rows):
            file.write(f"{','.join(map(_quoted, line))}\n".encode())
        return file.getvalue()


def type_name(duckdb: str) -> str:
    """Return Athena's name of a DuckDB type; what has none is shown as varchar."""
    if duckdb.endswith("]"):
        return "array"
    return _TYPES.get(duckdb) or {"DECIMAL": "decimal", "STRUCT": "row", "MAP": "map"}.get(
        duckdb.partition("(")[0], "varchar"
    )


def text(value: Any) -> str | None:
    """Return a value as GetQueryResults shows it, None for NULL."""
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case float():
            return _double(value)
        case datetime():
            shown = value.strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03d}"
            return f"{shown} UTC" if value.tzinfo else shown
        case list():
            return f"[{', '.join(_nested(item) for item in value)}]"
        case dict():
            return f"{{{', '.join(f'{key}={_nested(item)}' for key, item in value.items())}}}"
        case _:
            return str(value)


def _quoted(value: str | None) -> str:
    return "" if value is None else '"' + value.replace('"', '""') + '"'


def _nested(value: Any) -> str:
    shown = text(value)
    return "null" if shown is None else shown


def _double(value: float) -> str:
    """Write a double as Java does: plain from 0.001 to 10,000,000, else like 1.0E10."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    digits, _, exponent = f"{value:e}".partition("e")
    shortest = repr(value).lower().partition("e")[0].replace(".", "").lstrip("-0").rstrip("0") or "0"
    sign = "-" if digits.startswith("-") else ""
    return f"{sign}{shortest[0]}.{shortest[1:] or '0'}E{int(exponent)}"
