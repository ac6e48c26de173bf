"""Partition projection: which partitions a table has, and which of them a query needs.

Follows AWS's guide "Use partition projection with Amazon Athena": the types enum, integer, date and injected, and NOW
with arithmetic in ranges of dates.
"""

from __future__ import annotations

import calendar
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from shipit.sandbox.athena.catalog import Table
from shipit.sandbox.athena.failures import QueryFailed

#: More candidates than this are a mistake in a range, not a table.
_MOST_PARTITIONS = 1_000_000
_LETTERS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_FORMAT_PART = re.compile(r"'([^']*)'|([A-Za-z])\2*|[^A-Za-z']+")
_NOW = re.compile(r"NOW\s*(?:([+-])\s*(\d+)\s*(YEAR|MONTH|WEEK|DAY|HOUR|MINUTE|SECOND)S?)?")
_UNIT = re.compile(r"(YEAR|MONTH|WEEK|DAY|HOUR|MINUTE|SECOND)S?")

Partition = Mapping[str, str]


def partitions(table: Table, wanted: Mapping[str, Sequence[str]], now: datetime) -> list[Partition]:
    """Return all partitions that the projection yields at `now`, before any pruning.

    `wanted` has the values that the query demands of a column by equality: an injected column has no others. Raises
    QueryFailed for a projection that Athena would refuse.
    """
    if not table.partitions:
        return [{}]
    if not table.projected:
        raise QueryFailed("NOT_SUPPORTED", f"the sandbox reads partitions only by projection; {table.name} has none")
    columns = [list(_Column(table, name, now).values(wanted.get(name))) for name in table.partitions]
    count = 1
    for values in columns:
        count *= len(values)
    if count > _MOST_PARTITIONS:
        raise _wrong(table, f"the projection yields {count} partitions, more than {_MOST_PARTITIONS}")
    return [dict(zip(table.partitions, values, strict=True)) for values in itertools.product(*columns)]


def location(table: Table, partition: Partition) -> str:
    """Return the s3:// URL of a partition. Raises QueryFailed for a template that leaves a column out."""
    template = table.properties.get("storage.location.template")
    if template is None:
        return table.location + "".join(f"{name}={value}/" for name, value in partition.items())
    for name, value in partition.items():
        if f"${{{name}}}" not in template:
            raise _wrong(table, f"storage.location.template has no placeholder for {name}")
        template = template.replace(f"${{{name}}}", value)
    return template.rstrip("/") + "/"


class _Column:
    """Read the projection of one partition column."""

    def __init__(self, table: Table, name: str, now: datetime) -> None:
        self._table = table
        self._name = name
        self._now = now

    def values(self, wanted: Sequence[str] | None) -> Iterator[str]:
        match self._property("type"):
            case "enum":
                return (value.strip() for value in self._property("values").split(","))
            case "integer":
                return self._integers()
            case "date":
                return self._dates()
            case "injected":
                if not wanted:
                    raise QueryFailed(
                        "CONSTRAINT_VIOLATION",
                        f"For the injected projected partition column {self._name}, the WHERE clause must contain "
                        "only static equality conditions, and at least one such condition must be present",
                    )
                return iter(dict.fromkeys(wanted))
            case other:
                raise _wrong(self._table, f"unknown projection type {other!r} of {self._name}")

    def _property(self, key: str, default: str | None = None) -> str:
        full = f"projection.{self._name}.{key}"
        value = self._table.properties.get(full, default)
        if value is None:
            raise _wrong(self._table, f"the column {self._name} is missing projection configuration: {full}")
        return value

    def _ends(self) -> tuple[str, str]:
        ends = [end.strip() for end in self._property("range").split(",")]
        if len(ends) != 2:
            raise _wrong(self._table, f"projection.{self._name}.range must have two ends")
        return ends[0], ends[1]

    def _interval(self, default: str | None) -> int:
        text = self._property("interval", default)
        if not text.isdigit() or not int(text):
            raise _wrong(self._table, f"projection.{self._name}.interval must be a positive number, not {text!r}")
        return int(text)

    def _integers(self) -> Iterator[str]:
        try:
            low, high = map(int, self._ends())
            digits = int(self._property("digits", "1"))
        except ValueError as error:
            raise _wrong(self._table, f"projection.{self._name}: {error}") from error
        return (f"{n:0{digits}d}" for n in range(low, high + 1, self._interval("1")))

    def _dates(self) -> Iterator[str]:
        pattern = self._strftime(self._property("format"))
        low, high = (self._moment(end, pattern) for end in self._ends())
        # Athena's default for single days or months is one of them; finer formats must say.
        default = None if re.search("%[HMS]", pattern) else ("1", "DAYS" if "%d" in pattern else "MONTHS")
        step = self._interval(default[0] if default else None)
        unit = _UNIT.fullmatch(self._property("interval.unit", default[1] if default else None).upper())
        if unit is None:
            raise _wrong(self._table, f"projection.{self._name}.interval.unit is not a unit of time")
        # Counted from the start: the 31st plus a month, twice, is the 31st again where there is one.
        moments = (_plus(low, n * step, unit[1]) for n in range(_MOST_PARTITIONS))
        return (moment.strftime(pattern) for moment in itertools.takewhile(lambda m: m <= high, moments))

    def _moment(self, text: str, pattern: str) -> datetime:
        """Return one end of a range, cut to what the format can say: so NOW counts as its whole hour or day."""
        relative = _NOW.fullmatch(text)
        try:
            if relative is None:
                return datetime.strptime(text, pattern)
            moment = self._now
            if relative[1]:
                moment = _plus(moment, int(relative[1] + relative[2]), relative[3])
            return datetime.strptime(moment.strftime(pattern), pattern)
        except ValueError as error:
            raise _wrong(self._table, f"projection.{self._name}.range: {error}") from error

    def _strftime(self, java: str) -> str:
        """Translate a pattern of Java's DateTimeFormatter, the letters that make dates and times of day."""
        parts = []
        for part in _FORMAT_PART.finditer(java):
            text = part[0]
            if part[2] and text not in _LETTERS:
                raise _wrong(self._table, f"the sandbox does not know {text!r} in projection.{self._name}.format")
            parts.append(_LETTERS.get(text) or (part[1] or text).replace("%", "%%"))
        return "".join(parts)


def _plus(moment: datetime, count: int, unit: str) -> datetime:
    if unit not in ("YEAR", "MONTH"):
        return moment + timedelta(**{f"{unit.lower()}s": count})
    months = moment.year * 12 + moment.month - 1 + count * (12 if unit == "YEAR" else 1)
    year, month = divmod(months, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def _wrong(table: Table, message: str) -> QueryFailed:
    return QueryFailed("INVALID_TABLE_PROPERTY", f"Table {table.database}.{table.name}: {message}")
