"""Read which build ran where over time, through Athena."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shipit import sql
from shipit.aws.athena import Athena, Row
from shipit.aws.reports import moment, stamp
from shipit.models import CLOCK_SKEW, BuildRun, QueryCost


class HistoryReader:
    """Ask the table of starts, deploys and stops."""

    def __init__(self, athena: Athena, *, database: str, table: str, bucket: str, prefix: str) -> None:
        """Read `database`.`table` over the objects in `bucket` below `prefix`.

        Raises UsageError for names that Athena or S3 would not take.
        """
        self._athena = athena
        self._sql = sql.history(database=database, table=table, bucket=bucket, prefix=prefix)

    def runs(self, now: datetime, look_back: float) -> tuple[tuple[BuildRun, ...], QueryCost]:
        """Return what was started in the last `look_back` seconds, the first first, and what the question cost.

        What runs since before that is not in it: it said nothing since. Raises AwsError.
        """
        since, until = now - timedelta(seconds=look_back), now + timedelta(seconds=CLOCK_SKEW)
        answer = self._athena.run(self._sql, (_day(since), _day(until), stamp(since), stamp(until)))
        return tuple(_run(row) for row in answer.rows), answer.cost


def _day(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d")


def _run(row: Row) -> BuildRun:
    until = row["until"]
    return BuildRun(
        asg=row["asg"] or "",
        build=row["build"] or "",
        deployment_id=row["deployment_id"] or "",
        instances=int(row["instances"] or 0),
        since=moment(row["since"] or ""),
        until=moment(until) if until else None,
        unended=int(row["unended"] or 0),
    )
