"""Where reports are kept: tables over a bucket, who pays for a query, what expires."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TableShape:
    """Describe an external table: Hive types by column, in order, where its objects lie, how they are read.

    `formats` are the SerDe and the input and output formats, by the names of their classes.
    """

    database: str
    name: str
    columns: Mapping[str, str]
    partitions: Mapping[str, str]
    location: str
    formats: tuple[str, ...]
    properties: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Workgroup:
    """Describe a workgroup of Athena: the bytes that one query may read (None: any), where results go by default."""

    name: str
    scan_limit: int | None = None
    output: str = ""


@dataclass(frozen=True, kw_only=True)
class ExpiryRule:
    """Say that the objects below a prefix (with its slash) go after so many days; None for a rule that says other."""

    id: str
    prefix: str
    days: int | None
    enabled: bool = True
