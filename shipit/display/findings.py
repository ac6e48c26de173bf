"""Lay out what `inv lint` found: a table a file, then each rule's reason and fix once, the count last. Pure."""

from __future__ import annotations

from itertools import groupby

from shipit.display.text import Line, clean, table, wrap
from shipit.events import Linted
from shipit.models import Finding, Severity
from shipit.wording import plural

_TONES = {Severity.ERROR: "bad", Severity.WARNING: "warn", Severity.NOTE: "dim"}


def finding_lines(found: Linted, limit: int | None = None) -> list[Line]:
    """Lay out the findings; `limit` is the columns that a line may take."""
    lines: list[Line] = []
    for file, some in groupby(found.findings, key=lambda f: f.file):
        lines += [Line(t, "head") for t in wrap(clean(file), limit)]
        lines += _table(list(some), limit)
    explained = [f for f in found.findings if f.severity is not Severity.NOTE]
    for rule in dict.fromkeys(f.rule for f in explained):
        reasons = dict.fromkeys(("why", f.why) for f in explained if f.rule == rule)
        fixes = dict.fromkeys(("fix", f.fix) for f in explained if f.rule == rule)
        lines += [Line(""), Line(rule, "head")]
        for name, text in (*reasons, *fixes):
            lines += [Line(t) for t in wrap(clean(f"  {name}  {text}"), limit, " " * 7)]
    if lines:
        lines.append(Line(""))
    return [*lines, *(Line(t, _tone(found)) for t in wrap(tally(found), limit, "  "))]


def _table(some: list[Finding], limit: int | None) -> list[Line]:
    rows = [(str(f.line or "-"), f.severity.value, f.rule, f.what) for f in some]
    inner = None if limit is None else limit - 2
    plain = table(("",) * 4, rows, right={0})[1:]
    if inner is None or all(len(text) <= inner for text in plain):
        return [Line(f"  {text}", _TONES[f.severity]) for text, f in zip(plain, some, strict=True)]
    # What is wrong must stay readable: it goes below, where it does not fit beside.
    heads = table(("",) * 3, [row[:3] for row in rows], right={0})[1:]
    lines: list[Line] = []
    for head, f in zip(heads, some, strict=True):
        lines += [Line(t, _TONES[f.severity]) for t in wrap(f"  {head}", limit, "    ")]
        lines += [Line(t) for t in wrap(clean(f"      {f.what}"), limit, " " * 6)]
    return lines


def tally(found: Linted) -> str:
    """Say in a line how many findings of which kind there are, in how many files."""
    counts = [(sum(f.severity is s for f in found.findings), s.value) for s in Severity]
    said = ", ".join(plural(n, name) for n, name in counts if n) or "nothing found"
    where = plural(found.files, "file")
    where += f" and {plural(found.queues, 'queue')}" if found.queues else ""
    return f"{said} in {where}" + (f"; {found.ignored:,} ignored" if found.ignored else "")


def _tone(found: Linted) -> str:
    worst = {f.severity for f in found.findings}
    return next((_TONES[s] for s in (Severity.ERROR, Severity.WARNING) if s in worst), "good")
