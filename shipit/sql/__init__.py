"""The statements for Athena, with their names filled in; values are parameters and never pass here.

Athena takes no parameter for an identifier nor anywhere in DDL (reference athena.md, "SQL that works"), so names are
checked by pattern instead: none can hold a quote, a space or a semicolon.

    reports.ddl.sql    the database and the table of reports; reports.cfn.yaml makes the same by CloudFormation
    history.ddl.sql    the table of starts, deploys and stops
    latest.sql         the newest report of each instance
    history.sql        which build ran where, from when to when
"""

from __future__ import annotations

import re
from importlib.resources import files
from string import Template

from shipit.errors import UsageError
from shipit.models import TableShape

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,127}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9._=-]+(/[A-Za-z0-9._=-]+)*")
_WORKGROUP = re.compile(r"[A-Za-z0-9._-]{1,128}")
_OUTPUT = re.compile(r"s3://[A-Za-z0-9._=/-]+")
_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)
#: The layouts of keys and columns; a new one gets a new number beside the old.
_REPORTS, _HISTORY = "reports/v1", "history/v1"
#: What our own DDL is made of; it is not meant for anybody else's.
_TABLE = re.compile(
    r"CREATE EXTERNAL TABLE IF NOT EXISTS `(?P<database>\w+)`\.`(?P<name>\w+)` \((?P<columns>[^)]*)\)\n"
    r"PARTITIONED BY \((?P<partitions>[^)]*)\)\nROW FORMAT SERDE '(?P<serde>[^']*)'\n"
    r"STORED AS INPUTFORMAT '(?P<input_format>[^']*)'\nOUTPUTFORMAT '(?P<output_format>[^']*)'\n"
    r"LOCATION '(?P<location>[^']*)'\nTBLPROPERTIES \((?P<properties>[^)]*)\)"
)
_COLUMN = re.compile(r"`(\w+)` (\w+)")
_PROPERTY = re.compile(r"'([^']*)' = '([^']*)'")


class _Statement(Template):
    # "$" is taken: storage.location.template has placeholders of its own.
    delimiter = "@"


def reports_ddl(*, database: str, table: str, bucket: str, prefix: str) -> tuple[str, ...]:
    """Return the statements that create the database and the table of reports, one per query, in order.

    Raises UsageError for a name that Athena or S3 would not take.
    """
    return _ddl("reports.ddl.sql", database, table, reports_location(bucket, prefix), "table")


def history_ddl(*, database: str, table: str, bucket: str, prefix: str) -> tuple[str, ...]:
    """Return the statement that creates the table of starts, deploys and stops, in a database that is there.

    Raises UsageError for a name that Athena or S3 would not take.
    """
    return _ddl("history.ddl.sql", database, table, history_location(bucket, prefix), "history-table")


def template(
    *,
    database: str,
    bucket: str,
    prefix: str,
    table: str,
    history_table: str,
    workgroup: str,
    scan_limit: str,
    output: str,
) -> str:
    """Return a CloudFormation template that makes what the DDL makes, and a workgroup; its defaults are these.

    Raises UsageError for a name that Athena or S3 would not take.
    """
    reports_ddl(database=database, table=table, bucket=bucket, prefix=prefix)
    history_ddl(database=database, table=history_table, bucket=bucket, prefix=prefix)
    if not _WORKGROUP.fullmatch(workgroup):
        raise UsageError(f"{workgroup!r} cannot name a workgroup in Athena", hint="check reports.workgroup")
    if not _OUTPUT.fullmatch(output):
        raise UsageError(f"{output!r} is no place for results", hint="check reports.output: s3://BUCKET/FOLDER/")
    return _read("reports.cfn.yaml").substitute(
        database=database,
        bucket=bucket,
        prefix=prefix,
        table=table,
        history_table=history_table,
        workgroup=workgroup,
        scan_limit=scan_limit,
        output=output,
    )


def shape(statement: str) -> TableShape:
    """Return what one of our own CREATE TABLE statements creates."""
    found = _TABLE.fullmatch(statement)
    assert found, "a statement of ours"
    return TableShape(
        database=found["database"],
        name=found["name"],
        columns=dict(_COLUMN.findall(found["columns"])),
        partitions=dict(_COLUMN.findall(found["partitions"])),
        location=found["location"],
        formats=(found["serde"], found["input_format"], found["output_format"]),
        properties=dict(_PROPERTY.findall(found["properties"])),
    )


def latest(*, database: str, table: str, bucket: str, prefix: str) -> str:
    """Return the query for the newest report of each instance, by those who can be proved to have written them.

    Its parameters are the first and the last slot (`2026-11-22-13`), and the times from (inclusive) and to
    (exclusive) as reports write them. A row without an `instance_id` stands for the reports that count for nobody;
    its `stray` is the path of one. Raises UsageError for a name that Athena or S3 would not take.
    """
    names = {"database": _identifier("database", database), "table": _identifier("table", table)}
    return _read("latest.sql").substitute(names, pattern=_pattern(reports_location(bucket, prefix)))


def history(*, database: str, table: str, bucket: str, prefix: str) -> str:
    """Return the query for which build ran where, by those who can be proved to have said so.

    Its parameters are the first and the last day (`2026-11-22`), and the times from (inclusive) and to (exclusive) as
    reports write them. Raises UsageError for a name that Athena or S3 would not take.
    """
    names = {"database": _identifier("database", database), "table": _identifier("table", table, "history-table")}
    return _read("history.sql").substitute(names, pattern=_pattern(history_location(bucket, prefix)))


def reports_location(bucket: str, prefix: str) -> str:
    """Return the s3:// URL below which reports lie, without a slash at the end.

    Raises UsageError for a bucket or prefix that would not survive as part of a statement or a key.
    """
    return _location(bucket, prefix, _REPORTS)


def history_location(bucket: str, prefix: str) -> str:
    """Return the s3:// URL below which starts, deploys and stops lie, without a slash at the end.

    Raises UsageError for a bucket or prefix that would not survive as part of a statement or a key.
    """
    return _location(bucket, prefix, _HISTORY)


def _location(bucket: str, prefix: str, layout: str) -> str:
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(f"{bucket!r} is not the name of an S3 bucket", hint="check `bucket` and `reports.bucket`")
    if not _PREFIX.fullmatch(prefix):
        raise UsageError(
            f"{prefix!r} cannot be the prefix of reports",
            hint="use letters, digits and . _ = - with single slashes between, none at the ends: reports.prefix",
        )
    return f"s3://{bucket}/{prefix}/{layout}"


def _ddl(file: str, database: str, table: str, location: str, setting: str) -> tuple[str, ...]:
    names = {"database": _identifier("database", database), "table": _identifier("table", table, setting)}
    text = _read(file).substitute(names, location=location)
    return tuple(statement.strip() for statement in text.split(";\n"))


def _identifier(what: str, name: str, setting: str = "") -> str:
    if not _IDENTIFIER.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a {what} in Athena",
            hint=f"use lower-case letters, digits and _ (at most 128, no digit first): reports.{setting or what}",
        )
    return name


def _pattern(location: str) -> str:
    """Return the regular expression of a location; of what one may hold, only the dot means more than itself."""
    return location.replace(".", "[.]")


def _read(name: str) -> _Statement:
    text = (files(__name__) / name).read_text(encoding="utf-8")
    # The comments are for the file's readers; nobody measured whether Athena's DDL takes them.
    return _Statement(_COMMENT.sub("", text))
