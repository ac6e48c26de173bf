"""The parts of the page that are words and tables: the head, the failures, the proof, all groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from shipit.models import FailureNote, GroupEntry, Outcome, Proof, RolloutRecord
from shipit.report.looks import clock, outcome_mark, phase_mark, tally
from shipit.report.markup import Html, el, join
from shipit.wording import duration, moment, plural

Named = tuple[str, GroupEntry]

#: A table of more groups is folded; so are the names of a failure that more groups share, and further causes.
_OPEN, _NAMES, _CAUSES = 60, 12, 20


def head(record: RolloutRecord, now: datetime) -> Html:
    """Return what was brought where, by whom and why, and how it ended."""
    instances = sum(g.instances for g in record.groups.values())
    if record.seconds is None:
        when = f"{moment(record.started_at)}, not ended after {duration((now - record.started_at).total_seconds())}"
    else:
        when = f"{moment(record.started_at)}, for {duration(record.seconds)}"
    facts: list[tuple[str, str | Html]] = [
        ("build", el("code", record.build)),
        ("env", record.env),
        ("by", record.by),
        ("why", record.why),
        ("when", when),
        ("groups", f"{len(record.groups):,}" + (f": {tally(record.groups.values())}" if record.groups else "")),
        ("instances", f"{instances:,} in service when it began"),
        ("left out", _left_out(record.excluded) if record.excluded else ""),
        ("AWS calls", _calls(record.calls) if record.calls else ""),
    ]
    return el(
        "header",
        el("h1", outcome_mark(record.outcome), " ", record.build, " to ", record.env),
        el("p", f"Rollout {record.id}", class_="dim"),
        *_links(record),
        el("dl", *(join(el("dt", name), el("dd", value)) for name, value in facts if value)),
    )


def _links(record: RolloutRecord) -> list[Html]:
    """Say which rollout this one undoes, and which one undid it."""
    said = []
    if record.undoes:
        said.append(join("A rollback: it undoes rollout ", el("b", record.undoes), f" (inv report {record.undoes})."))
    if record.undone_by:
        said.append(join("Undone by rollout ", el("b", record.undone_by), f" (inv report {record.undone_by})."))
    return [el("p", words, class_="note") for words in said]


def _left_out(names: Sequence[str]) -> Html:
    if len(names) <= _NAMES:
        return join(", ".join(names))
    return el("details", el("summary", plural(len(names), "group")), ", ".join(names))


def _calls(calls: Mapping[str, int]) -> Html:
    each = sorted(calls.items(), key=lambda c: (-c[1], c[0]))
    said = ", ".join(f"{name} {count:,}" for name, count in each)
    return el("details", el("summary", f"{sum(calls.values()):,}"), said)


def failures(record: RolloutRecord) -> Html | None:
    """Return why groups failed, those of one cause together; nothing where none did."""
    alike: dict[tuple[str, str, str, str], list[Named]] = {}
    for name, group in record.groups.items():
        note = group.failure
        if note is None and not group.phase.bad:
            continue
        key = (note.cause, note.event, note.script) if note else ("", "", "")
        alike.setdefault((group.phase.value, *key), []).append((name, group))
    if not alike:
        return None
    ranked = sorted(alike.values(), key=lambda named: (not named[0][1].phase.bad, -len(named), named[0][0]))
    rest = ranked[_CAUSES:]
    more = None
    if rest:
        summary = f"{plural(len(rest), 'more cause')} in {plural(sum(map(len, rest)), 'group')}"
        more = el("details", el("summary", summary), *map(_failure, rest))
    return el("section", el("h2", "What went wrong"), *map(_failure, ranked[:_CAUSES]), more)


def _failure(named: Sequence[Named]) -> Html:
    first = named[0][1]
    notes = [g.failure for _, g in named if g.failure]
    note = notes[0] if notes else FailureNote(cause="no cause was recorded")
    lost = sum(len(n.instances) for n in notes)
    count = plural(len(named), "group") + (f", {plural(lost, 'instance')}" if lost else "")
    who = ", ".join(name for name, _ in named) if len(named) <= _NAMES else None
    where = " ".join(part for part in (note.event, note.script) if part)
    steps = dict.fromkeys(n.next_step for n in notes if n.next_step)
    tail = next((n.log_tail for n in notes if n.log_tail.strip()), "")
    members = [
        el("li", el("b", name), ": ", ", ".join(g.failure.instances) if g.failure else "", _deployments(g))
        for name, g in named
    ]
    return el(
        "article",
        el("h3", phase_mark(first.phase), " ", who or count),
        el("p", note.cause, f" ({count})" if who else None, class_="cause"),
        el("p", "Where: ", el("code", where)) if where else None,
        *(el("p", "Next: ", el("b", step)) for step in list(steps)[:3]),
        el("pre", tail.rstrip("\n")) if tail else None,
        el("details", el("summary", "instances and deployments"), el("ul", *members)),
        class_=f"failure {'bad' if first.phase.bad else 'warn'}",
    )


def _deployments(group: GroupEntry) -> str:
    return f" ({', '.join(group.deployments)})" if group.deployments else ""


def proof(record: RolloutRecord) -> Html:
    """Return what the instances said at the end, or that nobody asked them."""
    found = record.proof
    waves = [(n + 1, w.verified_at) for n, w in enumerate(record.waves) if w.verified_at]
    proved = [f"wave {n} at {clock(at)}" for n, at in waves if len(record.waves) > 1]
    return el(
        "section",
        el("h2", "What was verified"),
        el("p", f"Proved by the reports before the next wave began: {', '.join(proved)}.") if proved else None,
        *(_proof(found, record.build) if found else [_unproved(record)]),
    )


def _unproved(record: RolloutRecord) -> Html:
    yet = "have not been asked yet" if record.outcome is Outcome.RUNNING else "were not asked"
    return el(
        "p",
        f"The instances {yet} what they run at the end: this page says what CodeDeploy said. Ask them: ",
        el("code", f"inv verify-versions --build {record.build}"),
    )


def _proof(found: Proof, build: str) -> list[Html | None]:
    current = found.states.get("current", 0)
    sign = (
        el("span", "✓ converged", class_="tone good") if found.converged else el("span", "✗ mixed", class_="tone bad")
    )
    said = f" {current:,} of {plural(found.counted, 'instance')} reported {build} from the running process"
    head, rows = ("state", "instances"), [(state, f"{count:,}") for state, count in found.states.items() if count]
    return [
        el("p", sign, ":", said, f", at {clock(found.at)}."),
        _table(head, [[el("td", state), el("td", count, class_="number")] for state, count in rows])
        if rows
        else None,
        el("p", "Athena query ", el("code", found.query_id), class_="dim") if found.query_id else None,
    ]


def groups_table(record: RolloutRecord) -> Html | None:
    """Return all groups by name: what each ran, what it got, by which deployments, how long it took."""
    if not record.groups:
        return None
    named = sorted(record.groups.items())
    queues = any(g.queue != name for name, g in named)
    builds = any(g.build != record.build for _, g in named)
    titles = ["group", *(["queue"] if queues else []), "wave", "phase", "instances", "ran before"]
    titles += [*(["build"] if builds else []), "deployments", "took"]
    rows = [_group_cells(name, group, queues=queues, builds=builds) for name, group in named]
    return el(
        "section",
        el("h2", "All groups"),
        el("p", "Each was to get ", el("code", record.build), ".") if not builds else None,
        el(
            "details",
            el("summary", f"{plural(len(rows), 'group')}: {tally(record.groups.values())}"),
            el("div", _table(titles, rows), class_="scroll"),
            open=len(rows) <= _OPEN,
        ),
    )


def _group_cells(name: str, group: GroupEntry, *, queues: bool, builds: bool) -> list[Html]:
    return [
        el("td", el("b", name)),
        *([el("td", group.queue)] if queues else []),
        el("td", str(group.wave + 1), class_="number"),
        el("td", phase_mark(group.phase)),
        el("td", f"{group.instances:,}", class_="number"),
        el("td", el("code", group.before or "unknown")),
        *([el("td", el("code", group.build or "unknown"))] if builds else []),
        el("td", *([el("code", ", ".join(group.deployments))] if group.deployments else ["none"])),
        el("td", "" if group.seconds is None else duration(group.seconds), class_="number"),
    ]


def _table(titles: Sequence[str], rows: Sequence[Sequence[Html]]) -> Html:
    top = el("thead", el("tr", *(el("th", title, scope="col") for title in titles)))
    return el("table", top, el("tbody", *(el("tr", *cells) for cells in rows)))
