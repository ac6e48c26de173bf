"""Make what reports need on AWS, once: a plan by reading, then only what is missing.

What somebody else may rely on is never changed: a table of another shape is refused, the workgroup `primary` keeps
its limits, a lifecycle rule of the user's stays as it is, and so does one of ours that the user has changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from shipit.errors import PreflightError
from shipit.models import ExpiryRule, TableShape, Workgroup

#: The workgroup that every account has, and that its queries share where nobody says otherwise.
SHARED = "primary"
#: How many days S3 keeps what the tables show for 7 and for 400 days (reference athena.md, "Tables").
_KEPT = {"reports": 8, "history": 400}


class Doing(StrEnum):
    """Say what becomes of a part: made, changed, there as it should be, or left as somebody else wants it."""

    MAKE = "make"
    CHANGE = "change"
    THERE = "there"
    LEFT = "left"


@dataclass(frozen=True, kw_only=True)
class Goal:
    """Say what there is to be. `statements` make the database and then each of the tables, in order."""

    database: str
    tables: tuple[TableShape, ...]
    statements: tuple[str, ...]
    workgroup: Workgroup
    rules: tuple[ExpiryRule, ...]


@dataclass(frozen=True, kw_only=True)
class Found:
    """Say what there is: the tables that were found of those wanted, all lifecycle rules of the bucket."""

    database: bool
    tables: tuple[TableShape, ...]
    workgroup: Workgroup | None
    rules: tuple[ExpiryRule, ...]


@dataclass(frozen=True, kw_only=True)
class Step:
    """Name a part and what becomes of it; what carries it out is one of the last three."""

    part: str
    doing: Doing
    note: str = ""
    statement: str = ""
    workgroup: Workgroup | None = None
    rule: ExpiryRule | None = None


class Catalog(Protocol):
    """Run DDL."""

    def run(self, statement: str, /) -> object:
        """Run one statement to its end."""


class Workgroups(Protocol):
    """Make and limit workgroups."""

    def create(self, workgroup: Workgroup) -> None:
        """Make a workgroup."""

    def limit(self, name: str, scan_limit: int) -> None:
        """Let no query of it read more bytes."""


class Rules(Protocol):
    """Keep the lifecycle of a bucket."""

    def add(self, rules: Sequence[ExpiryRule]) -> None:
        """Put these beside all that are there."""


def expiry_rules(prefix: str) -> tuple[ExpiryRule, ...]:
    """Return the rules for the reports and the history below a prefix; another env's have other names."""
    return tuple(
        ExpiryRule(id=f"shipit-{prefix}-{kind}", prefix=f"{prefix}/{kind}/v1/", days=days)
        for kind, days in _KEPT.items()
    )


def decide(wanted: Goal, found: Found) -> tuple[Step, ...]:
    """Return what to do with each part, in the order in which it must be done; raises PreflightError.

    A table that is there must be as the DDL would make it: another env's, or one of other columns, would answer
    wrongly and in silence, since CREATE TABLE IF NOT EXISTS leaves it as it is.
    """
    there = {table.name: table for table in found.tables}
    for table in wanted.tables:
        if table.name in there and (wrong := list(_differences(table, there[table.name]))):
            raise PreflightError(
                f"the table {table.database}.{table.name} is there, and is another: {'; '.join(wrong)}",
                hint="name another in [reports] (`database`, `table`, `history-table`), or drop it: its objects stay",
            )
    names = (("database", wanted.database), *(("table", f"{t.database}.{t.name}") for t in wanted.tables))
    exists = (found.database, *(table.name in there for table in wanted.tables))
    return (
        _workgroup_step(wanted.workgroup, found.workgroup),
        *(_rule_step(rule, found.rules) for rule in wanted.rules),
        *(
            Step(part=f"{kind} {name}", doing=Doing.THERE if there_already else Doing.MAKE, statement=statement)
            for (kind, name), there_already, statement in zip(names, exists, wanted.statements, strict=True)
        ),
    )


def carry_out(steps: Sequence[Step], catalog: Catalog, workgroups: Workgroups, rules: Rules) -> None:
    """Do what the steps say: nothing where all is there. Raises AwsError; the same command then goes on."""
    for step in steps:
        if step.workgroup and step.doing is Doing.MAKE:
            workgroups.create(step.workgroup)
        elif step.workgroup and step.doing is Doing.CHANGE:
            assert step.workgroup.scan_limit is not None
            workgroups.limit(step.workgroup.name, step.workgroup.scan_limit)
    # S3 takes a bucket's rules only all at once.
    missing = [step.rule for step in steps if step.rule and step.doing is Doing.MAKE]
    if missing:
        rules.add(missing)
    for step in steps:
        if step.statement and step.doing is Doing.MAKE:
            catalog.run(step.statement)


def _differences(wanted: TableShape, found: TableShape) -> Iterator[str]:
    if found.location.rstrip("/") != wanted.location.rstrip("/"):
        yield f"it reads {found.location}, not {wanted.location}"
        return
    for kind, want, have in (
        ("column", wanted.columns, found.columns),
        ("partition", wanted.partitions, found.partitions),
    ):
        for name in (*want, *(name for name in have if name not in want)):
            if name not in have:
                yield f"its {kind} {name} is missing"
            elif name not in want:
                yield f"its {kind} {name} is none of ours"
            elif have[name] != want[name]:
                yield f"its {kind} {name} is {have[name]}, not {want[name]}"
    for want_format, have_format in zip(wanted.formats, found.formats, strict=True):
        if have_format and have_format != want_format:
            yield f"it is read by {have_format}, not {want_format}"
    for name, value in wanted.properties.items():
        if found.properties.get(name) != value:
            yield f"its property {name} is {found.properties.get(name, 'missing')}, not {value}"


def _workgroup_step(wanted: Workgroup, found: Workgroup | None) -> Step:
    part = f"workgroup {wanted.name}"
    if found is None:
        return Step(part=part, doing=Doing.MAKE, workgroup=wanted)
    if wanted.name == SHARED:
        note = "shared by all who name none: its limit is not ours to set"
        return Step(part=part, doing=Doing.LEFT, note=note)
    if found.scan_limit == wanted.scan_limit:
        return Step(part=part, doing=Doing.THERE)
    return Step(part=part, doing=Doing.CHANGE, note="the limit of a query", workgroup=wanted)


def _rule_step(wanted: ExpiryRule, found: Sequence[ExpiryRule]) -> Step:
    part = f"expiry of {wanted.prefix}"
    same = next((rule for rule in found if rule.id == wanted.id), None)
    if same is None:
        return Step(part=part, doing=Doing.MAKE, note=f"after {wanted.days} days", rule=wanted)
    if same == wanted:
        return Step(part=part, doing=Doing.THERE, note=f"after {wanted.days} days")
    # Somebody changed it, to keep more perhaps: to set it back would delete what it keeps.
    said = f"after {same.days} days" if same.days else "never"
    note = (
        f"the rule {same.id} says {said if same.enabled else 'nothing, being disabled'}; ours says {wanted.days} days"
    )
    return Step(part=part, doing=Doing.LEFT, note=note)
