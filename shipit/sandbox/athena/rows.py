"""The rows of objects on this machine, typed, in a DuckDB file: each object is read once, until it changes.

Athena reads its objects anew for each query; here the second look at a fleet of 100,000 instances would take as long
as the first, and hold all their reports in memory.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any

import duckdb

from shipit.sandbox.athena.catalog import Table
from shipit.sandbox.athena.projection import Partition
from shipit.sandbox.athena.reader import PATH, Reader
from shipit.sandbox.athena.store import ObjectInfo

#: Rows that are put into DuckDB at once: few enough to hold as lists.
_BATCH = 4_000
#: Rows kept of a table that the last query did not want.
_SPARE = 2_000_000
#: So many ranges of objects are written out.
_RANGES = 100
#: The column with the number of a row's object: a name that no column of a table can have.
_OBJECT = "$object"
#: What DuckDB may take of memory; a query that needs more goes on on disk.
_MEMORY = "104MB"
_DUCKDB_TYPES = {"string": "varchar", "int": "integer"}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Name the objects of a table that a query reads, each with its partition, and the view that is to show them.

    The pseudo-column of the path is in the view only `with_path`: `*` does not mean it.
    """

    view: str
    table: Table
    bucket: str
    objects: Sequence[tuple[ObjectInfo, Partition]]
    with_path: bool

    @cached_property
    def places(self) -> list[_Place]:
        """Return what tells these objects from others: of a changed one the etag is another."""
        return [(item, tuple(partition[name] for name in self.table.partitions)) for item, partition in self.objects]


_Place = tuple[ObjectInfo, tuple[str, ...]]


@dataclass
class _Kept:
    """Know which objects of a table have rows here: the number of each, and how many rows."""

    table: Table
    name: str
    objects: dict[_Place, tuple[int, int]] = field(default_factory=dict)

    @property
    def types(self) -> dict[str, str]:
        return {**self.table.columns, **self.table.partitions, PATH: "string"}


class LocalRows:
    """Keep rows by table and object. All methods may be called from any thread."""

    def __init__(self, reader: Reader) -> None:
        """Keep what `reader` reads, in a file that goes with this object."""
        self._reader = reader
        self._folder = tempfile.TemporaryDirectory(prefix="shipit-athena-")
        self._file = duckdb.connect(
            f"{self._folder.name}/rows.duckdb",
            config={
                "autoload_known_extensions": False,
                "memory_limit": _MEMORY,
                "threads": 2,
                "preserve_insertion_order": False,
                "temp_directory": f"{self._folder.name}/spilled",
            },
        )
        self._file.execute("SET enable_external_access = false")
        self._lock = threading.Lock()
        self._numbers = count()
        self._kept: dict[tuple[str, str], _Kept] = {}

    def close(self) -> None:
        """Delete all rows."""
        self._file.close()
        self._folder.cleanup()

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a connection for one query, with temporary tables and a time zone of its own."""
        connection = self._file.cursor()
        connection.execute("SET TimeZone = 'UTC'")
        return connection

    def show(
        self, connection: duckdb.DuckDBPyConnection, wanted: Sequence[Wanted], check: Callable[[], None]
    ) -> None:
        """Make the views, and let the connection see these rows as they are now, whatever becomes of them.

        `check` is called now and then, and may raise to end the reading. Raises QueryFailed for a wrong line: nothing
        of its object is kept.
        """
        with self._alone(check):
            shown = [(self._of(one.table), one) for one in wanted]
            for kept, one in shown:
                self._read(kept, one, check)
            for kept, _ in shown:
                self._forget(kept, {place for other, w in shown if other is kept for place in w.places})
            connection.execute("BEGIN")
            for kept, one in shown:
                names = ", ".join(f'"{name}"' for name in kept.types if one.with_path or name != PATH)
                connection.execute(
                    f"CREATE TEMP VIEW {one.view} AS SELECT {names} FROM {kept.name} WHERE "
                    + _among(connection, f"{one.view}_objects", [kept.objects[place][0] for place in one.places])
                )
                # A transaction sees what was there at its first look.
                connection.execute(f"SELECT 1 FROM {kept.name} LIMIT 0").fetchall()

    @contextmanager
    def _alone(self, check: Callable[[], None]) -> Iterator[None]:
        while not self._lock.acquire(timeout=0.1):
            check()
        try:
            yield
        finally:
            self._lock.release()

    def _of(self, table: Table) -> _Kept:
        identity = (table.database, table.name)
        kept = self._kept.get(identity)
        if kept is None or kept.table != table:
            kept = self._kept[identity] = _Kept(table=table, name=f"rows_{next(self._numbers)}")
            self._file.execute(f"CREATE TABLE {kept.name} ({declared({**kept.types, _OBJECT: 'int'})})")
        return kept

    def _read(self, kept: _Kept, wanted: Wanted, check: Callable[[], None]) -> None:
        missing = [place for place in wanted.places if place not in kept.objects]
        types = {**kept.types, _OBJECT: "int"}
        columns: dict[str, list[Any]] = {name: [] for name in types}
        read: dict[_Place, tuple[int, int]] = {}
        objects = self._reader.rows(kept.table, wanted.bucket, [item for item, _ in missing], check)
        for place, rows in zip(missing, objects, strict=True):
            (item, partition), size = place, len(next(iter(rows.values())))
            number = next(self._numbers)
            constant = zip(kept.table.partitions, partition, strict=True)
            for name, values in rows.items():
                columns[name] += values
            for name, value in (*constant, (PATH, f"s3://{wanted.bucket}/{item.key}"), (_OBJECT, number)):
                columns[name] += [value] * size
            read[place] = (number, size)
            if len(columns[_OBJECT]) >= _BATCH:
                insert(self._file, kept.name, types, columns)
                kept.objects.update(read)
                columns, read = {name: [] for name in types}, {}
        insert(self._file, kept.name, types, columns)
        kept.objects.update(read)

    def _forget(self, kept: _Kept, wanted: set[_Place]) -> None:
        """Let go of what a query did not want: of objects that have changed at once, of others where it is much."""
        keys = {item.key for item, _ in wanted}
        spare = {place: held for place, held in kept.objects.items() if place not in wanted}
        if sum(rows for _, rows in spare.values()) <= _SPARE:
            spare = {place: held for place, held in spare.items() if place[0].key in keys}
        if spare:
            gone = [number for number, _ in spare.values()]
            self._file.execute(f'DELETE FROM {kept.name} WHERE "{_OBJECT}" IN (SELECT unnest(?::int[]))', [gone])
            for place in spare:
                del kept.objects[place]


def _among(connection: duckdb.DuckDBPyConnection, name: str, numbers: Sequence[int]) -> str:
    """Return the condition that a row is of one of these objects; many of them go into a temporary table of the name.

    Objects that were read together have numbers that follow each other. Ranges leave DuckDB a plain scan, over which
    it does without sorting all rows for a window, as the query for the newest reports has one.
    """
    ranges: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    if not ranges:
        return "false"
    if len(ranges) <= _RANGES:
        return " OR ".join(f'"{_OBJECT}" BETWEEN {first} AND {last}' for first, last in ranges)
    connection.execute(f"CREATE TEMP TABLE {name} AS SELECT unnest(?::int[]) AS n", [numbers])
    return f'"{_OBJECT}" IN (SELECT n FROM {name})'


def declared(types: Mapping[str, str]) -> str:
    """Return the columns of a DuckDB table for columns of Hive's types."""
    return ", ".join(f'"{name}" {_duckdb(kind)}' for name, kind in types.items())


def insert(
    connection: duckdb.DuckDBPyConnection, name: str, types: Mapping[str, str], columns: Mapping[str, list[Any]]
) -> None:
    """Put the rows, a list of values by column, into a table."""
    # One list per column: a hundred times as fast as a statement per row.
    lists = ", ".join(f"unnest(?::{_duckdb(kind)}[])" for kind in types.values())
    for start in range(0, len(next(iter(columns.values()))), _BATCH):
        batch = [columns[column][start : start + _BATCH] for column in types]
        connection.execute(f"INSERT INTO {name} SELECT {lists}", batch)


def _duckdb(kind: str) -> str:
    return _DUCKDB_TYPES.get(kind, kind)
