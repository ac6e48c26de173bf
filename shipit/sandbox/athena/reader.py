"""Objects to typed columns: JSON lines, plain or gzipped, held strictly to the table's types.

One malformed line or one value of another type fails the query. Nobody measured what Hive's SerDe does with each of
these mistakes (reference athena.md, "What decides the design", line 2); to lose a row in silence would be the worst.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from shipit.sandbox.athena.catalog import Table
from shipit.sandbox.athena.failures import QueryFailed
from shipit.sandbox.athena.store import NoSuchObject, ObjectInfo, ObjectStore

#: The pseudo-column with the s3:// URL of the row's object.
PATH = "$path"
#: Objects whose bytes are in hand at once: twice as many as threads, so that none waits.
_BATCH = 16
_INTEGER_BITS = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64}

Columns = Mapping[str, list[Any]]


class Reader:
    """Read objects by a few threads."""

    def __init__(self, store: ObjectStore, *, threads: int = 8) -> None:
        """Read from `store`."""
        self._store = store
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sandbox-athena-read")

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def list(self, bucket: str, prefix: str) -> list[ObjectInfo]:
        """Return the objects that Athena would read below a prefix: names with `_` or `.` first are hidden."""
        try:
            found = self._store.list(bucket, prefix)
            return [item for item in found if not item.key.rpartition("/")[2].startswith(("_", "."))]
        except NoSuchObject as error:
            raise QueryFailed("HIVE_METASTORE_ERROR", f"The specified bucket does not exist: {bucket}") from error

    def rows(
        self, table: Table, bucket: str, objects: Sequence[ObjectInfo], check: Callable[[], None]
    ) -> Iterator[Columns]:
        """Yield the rows of each object by column, in order; raises QueryFailed for a wrong line.

        `check` is called between batches, and may raise to end the reading.
        """
        for start in range(0, len(objects), _BATCH):
            check()
            batch = objects[start : start + _BATCH]
            for item, body in zip(batch, self._pool.map(lambda item: self._fetch(bucket, item), batch), strict=True):
                url = f"s3://{bucket}/{item.key}"
                yield _columns(table, _plain(body, url) if item.key.endswith(".gz") else body, url)

    def _fetch(self, bucket: str, item: ObjectInfo) -> bytes:
        url = f"s3://{bucket}/{item.key}"
        try:
            body = self._store.get(bucket, item.key)
        except NoSuchObject as error:
            raise QueryFailed("HIVE_CANNOT_OPEN_SPLIT", f"no such object: {url}", retryable=True) from error
        if len(body) != item.size:
            raise QueryFailed(
                "HIVE_FILESYSTEM_ERROR", f"Incorrect fileSize {item.size} for file {url}", retryable=True
            )
        return body


def _plain(body: bytes, url: str) -> bytes:
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error) as error:
        raise QueryFailed("HIVE_CURSOR_ERROR", f"{url} is not gzip: {error}") from error


def _columns(table: Table, body: bytes, url: str) -> Columns:
    columns: dict[str, list[Any]] = {name: [] for name in table.columns}
    #: Most values of a batch are those of its other rows, and held once.
    shared: dict[Any, Any] = {}
    takers = [
        (name, kind, column.append)
        for (name, kind), column in zip(table.columns.items(), columns.values(), strict=True)
    ]
    # Lines end as TextInputFormat has it; str.splitlines would also cut at U+2028 and others.
    for number, line in enumerate(body.splitlines(), start=1):
        row = _row(line, url, number)
        for name, kind, take in takers:
            value = row.get(name)
            if value is not None and not _fits(value, kind):
                raise QueryFailed(
                    "HIVE_BAD_DATA",
                    f"Error parsing field value for column {name}: {value!r:.80} is no {kind}, {url} line {number}",
                )
            take(shared.setdefault(value, value) if kind == "string" else value)
    return columns


def _row(line: bytes, url: str, number: int) -> dict[str, Any]:
    try:
        row = _DECODER.decode(line.decode("utf-8"))
    except ValueError as error:
        reason = f"Row is not a valid JSON Object - {error} in {url} line {number}"
        raise QueryFailed("HIVE_CURSOR_ERROR", reason) from error
    if not isinstance(row, dict):
        raise QueryFailed("HIVE_CURSOR_ERROR", f"Row is not a valid JSON Object - in {url} line {number}")
    return row if all(map(str.islower, row)) else {name.lower(): value for name, value in row.items()}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _fits(value: Any, kind: str) -> bool:
    if kind == "string":
        return isinstance(value, str) and (value.isascii() or _is_unicode(value))
    if kind == "boolean" or isinstance(value, bool):
        return kind == "boolean" and isinstance(value, bool)
    if kind in _INTEGER_BITS:
        return isinstance(value, int) and -(2 ** (_INTEGER_BITS[kind] - 1)) <= value < 2 ** (_INTEGER_BITS[kind] - 1)
    return isinstance(value, int | float) and math.isfinite(value)


def _is_unicode(value: str) -> bool:
    """Tell half of a surrogate pair, which JSON can write, from text."""
    return not any("\ud800" <= character <= "\udfff" for character in value)
