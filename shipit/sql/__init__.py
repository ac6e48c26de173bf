"""The statements for Athena, with their names filled in; values are parameters and never pass here.

Athena takes no parameter for an identifier nor anywhere in DDL (reference athena.md, "SQL that works"), so names are
checked by pattern instead: none can hold a quote, a space or a semicolon.
"""

from __future__ import annotations

import re
from importlib.resources import files
from string import Template

from shipit.errors import UsageError

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,127}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9._=-]+(/[A-Za-z0-9._=-]+)*")
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)
#: The layout of the reports' keys and columns; a new one gets a new number beside the old.
_LAYOUT = "reports/v1"


class _Statement(Template):
    # "$" is taken: storage.location.template has placeholders of its own.
    delimiter = "@"


def reports_ddl(*, database: str, table: str, bucket: str, prefix: str) -> tuple[str, ...]:
    """Return the statements that create the database and the table of reports, one per query, in order.

    Raises UsageError for a name that Athena or S3 would not take.
    """
    location = reports_location(bucket, prefix)
    names = {"database": _identifier("database", database), "table": _identifier("table", table)}
    text = _read("reports.ddl.sql").substitute(names, location=location)
    return tuple(statement.strip() for statement in text.split(";\n"))


def latest(*, database: str, table: str, bucket: str, prefix: str) -> str:
    """Return the query for the newest report of each instance, by those who can be proved to have written them.

    Its parameters are the first and the last slot (`2026-11-22-13`), and the times from (inclusive) and to
    (exclusive) as reports write them. A row without an `instance_id` stands for the reports that count for nobody;
    its `stray` is the path of one. Raises UsageError for a name that Athena or S3 would not take.
    """
    names = {"database": _identifier("database", database), "table": _identifier("table", table)}
    return _read("latest.sql").substitute(names, pattern=_pattern(reports_location(bucket, prefix)))


def reports_location(bucket: str, prefix: str) -> str:
    """Return the s3:// URL below which reports lie, without a slash at the end.

    Raises UsageError for a bucket or prefix that would not survive as part of a statement or a key.
    """
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(f"{bucket!r} is not the name of an S3 bucket", hint="check `bucket` and `reports.bucket`")
    if not _PREFIX.fullmatch(prefix):
        raise UsageError(
            f"{prefix!r} cannot be the prefix of reports",
            hint="use letters, digits and . _ = - with single slashes between, none at the ends: reports.prefix",
        )
    return f"s3://{bucket}/{prefix}/{_LAYOUT}"


def _identifier(what: str, name: str) -> str:
    if not _IDENTIFIER.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a {what} in Athena",
            hint=f"use lower-case letters, digits and _ (at most 128, no digit first): reports.{what}",
        )
    return name


def _pattern(location: str) -> str:
    """Return the regular expression of a location; of what one may hold, only the dot means more than itself."""
    return location.replace(".", "[.]")


def _read(name: str) -> _Statement:
    text = (files(__name__) / name).read_text(encoding="utf-8")
    # The comments are for the file's readers; nobody measured whether Athena's DDL takes them.
    return _Statement(_COMMENT.sub("", text))
