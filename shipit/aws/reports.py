"""Read what the instances say of themselves, through Athena."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from shipit import sql
from shipit.aws.athena import Athena, Row
from shipit.models import CLOCK_SKEW, QueryCost, Report

_REPORTED_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class ReportReader:
    """Ask the table of reports."""

    def __init__(
        self,
        athena: Athena,
        *,
        database: str,
        table: str,
        bucket: str,
        prefix: str,
        on_stray: Callable[[str], None] = lambda path: None,
    ) -> None:
        """Read `database`.`table` over the reports in `bucket` below `prefix`.

        `on_stray` is called with the s3:// URL of a report that counts for nobody, since its key does not prove who
        wrote it: once for each. Raises UsageError for names that Athena or S3 would not take.
        """
        self._athena = athena
        self._sql = sql.latest(database=database, table=table, bucket=bucket, prefix=prefix)
        self._on_stray = on_stray
        self._strays: set[str] = set()

    def latest_reports(self, now: datetime, look_back: float) -> tuple[tuple[Report, ...], QueryCost]:
        """Return the newest report of each instance in the last `look_back` seconds, and what that cost.

        Reports that seem to come from after `now` are left out, but for a small skew of clocks: they would hide the
        true ones. Raises AwsError.
        """
        since, until = now - timedelta(seconds=look_back), now + timedelta(seconds=CLOCK_SKEW)
        answer = self._athena.run(self._sql, (_slot(since), _slot(until), stamp(since), stamp(until)))
        for stray in {row["stray"] or "" for row in answer.rows if not row["instance_id"]} - self._strays:
            self._strays.add(stray)
            self._on_stray(stray)
        return tuple(_report(row) for row in answer.rows if row["instance_id"]), answer.cost


def _slot(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d-%H")


def stamp(at: datetime) -> str:
    """Return a time as reports write it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _report(row: Row) -> Report:
    def text(column: str) -> str:
        return row[column] or ""

    return Report(
        instance_id=text("instance_id"),
        asg=text("asg"),
        queue=text("queue"),
        build=text("build"),
        running_build=text("running_build"),
        digest=text("digest"),
        deployment_id=text("deployment_id"),
        reason=text("reason"),
        reported_at=moment(text("reported_at")),
    )


def moment(stamp: str) -> datetime:
    """Return the time of a report; a malformed one counts as ages ago, for one instance must not blind the rest."""
    try:
        return datetime.fromisoformat(stamp) if _REPORTED_AT.fullmatch(stamp) else _LONG_AGO
    except ValueError:
        return _LONG_AGO
