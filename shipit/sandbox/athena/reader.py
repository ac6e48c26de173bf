"""Objects to typed columns: JSON lines, plain or gzipped, held strictly to the table's types.

One malformed line or one value of another type fails the query. Nobody measured what Hive's SerDe does with each of
these mistakes (reference athena.md, "What decides the design", line 2); to lose a row in silence would be the worst.
"""

from __future__ import annotations

import gzip
import json
import math
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from shipit.sandbox.athena.catalog import Table
from shipit.sandbox.athena.failures import QueryFailed
from shipit.sandbox.athena.projection import Partition
from shipit.sandbox.athena.store import NoSuchObject, ObjectInfo, ObjectStore

#: The pseudo-column with the s3:// URL of the row's object.
PATH = "$path"
#: Objects whose bytes are in hand at once.
_BATCH = 256
_INTEGER_BITS = {"tinyint": 8, "smallint": 16, "int": 32, "bigint": 64}

Columns = Mapping[str, list[Any]]


class Reader:
    """Read objects by a few threads, and keep what was read by etag up to a number of bytes."""

    def __init__(self, store: ObjectStore, *, threads: int = 8, keep: int = 64 * 2**20) -> None:
        """Read from `store`; `keep` bounds the bytes kept."""
        self._store = store
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sandbox-athena-read")
        self._kept = _Kept(keep)

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

    def columns(
        self,
        table: Table,
        bucket: str,
        objects: Sequence[tuple[ObjectInfo, Partition]],
        check: Callable[[], None],
    ) -> tuple[Columns, int]:
        """Return the rows of the objects by column, and the bytes read; raises QueryFailed for a wrong line.

        `check` is called between batches, and may raise to end the reading.
        """
        columns: dict[str, list[Any]] = {name: [] for name in (*table.columns, *table.partitions, PATH)}
        scanned = 0
        for item, partition, body in self._bodies(bucket, objects, check):
            url = f"s3://{bucket}/{item.key}"
            scanned += item.size
            # Lines end as TextInputFormat has it; str.splitlines would also cut at U+2028 and others.
            for number, line in enumerate(body.splitlines(), start=1):
                row = _row(line, f"{url} line {number}")
                for name, kind in table.columns.items():
                    columns[name].append(_checked(row.get(name), kind, name, url, number))
                for name, value in partition.items():
                    columns[name].append(value)
                columns[PATH].append(url)
        return columns, scanned

    def _bodies(
        self, bucket: str, objects: Sequence[tuple[ObjectInfo, Partition]], check: Callable[[], None]
    ) -> Iterator[tuple[ObjectInfo, Partition, bytes]]:
        """Yield each object with its bytes, in order; the threads are troubled only for those not kept."""
        for start in range(0, len(objects), _BATCH):
            check()
            batch = objects[start : start + _BATCH]
            bodies = [self._kept.get((bucket, item.key, item.etag)) for item, _ in batch]
            missing = [item for (item, _), body in zip(batch, bodies, strict=True) if body is None]
            fetched = self._pool.map(lambda item: self._fetch(bucket, item), missing)
            for (item, partition), body in zip(batch, bodies, strict=True):
                yield item, partition, next(fetched) if body is None else body

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
        if item.key.endswith(".gz"):
            try:
                body = gzip.decompress(body)
            except (OSError, EOFError, zlib.error) as error:
                raise QueryFailed("HIVE_CURSOR_ERROR", f"{url} is not gzip: {error}") from error
        self._kept.put((bucket, item.key, item.etag), body)
        return body


class _Kept:
    """Keep the bodies used last, up to a number of bytes; for several threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._bodies: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, identity: tuple[str, str, str]) -> bytes | None:
        with self._lock:
            if identity not in self._bodies:
                return None
            self._bodies.move_to_end(identity)
            return self._bodies[identity]

    def put(self, identity: tuple[str, str, str], body: bytes) -> None:
        with self._lock:
            self._size += len(body) - len(self._bodies.pop(identity, b""))
            self._bodies[identity] = body
            while self._size > self._limit:
                _, oldest = self._bodies.popitem(last=False)
                self._size -= len(oldest)


def _row(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
    except ValueError as error:
        raise QueryFailed("HIVE_CURSOR_ERROR", f"Row is not a valid JSON Object - {error} in {where}") from error
    if not isinstance(row, dict):
        raise QueryFailed("HIVE_CURSOR_ERROR", f"Row is not a valid JSON Object - in {where}")
    return {name.lower(): value for name, value in row.items()}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _checked(value: Any, kind: str, name: str, url: str, number: int) -> Any:
    if value is None or _fits(value, kind):
        return value
    raise QueryFailed(
        "HIVE_BAD_DATA",
        f"Error parsing field value for column {name}: {value!r:.80} is no {kind}, {url} line {number}",
    )


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
