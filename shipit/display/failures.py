"""Lay out failures: a group's in full, a later one like it in a line, and all that are equal as one at the end.

Pure, as `shipit.display.blocks`: values in, lines out, `limit` the columns that a line may take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from shipit.display.board import Board
from shipit.display.text import Line, clean, clip, listing, wrap
from shipit.display.words import TONES
from shipit.events import GroupDiagnosed
from shipit.models import Cluster, Judged, LifecycleEvent, Phase
from shipit.wording import plural

#: Lines of a script's log: where a group is told in full, and where many are summed up.
_TAIL, _SHORT_TAIL = 10, 5
#: Groups that fail alike: the first is told in full, as many have a line, the rest only count in the summary.
_LINES = 20
#: Kinds of failure in a summary, the worst first.
_CLUSTERS = 10
_LABEL = 13


def failure_lines(failure: GroupDiagnosed, limit: int | None = None) -> list[Line]:
    """Lay out why a group failed: cause, instances, lifecycle event, script, end of its log, next command."""
    worst = failure.judged[0] if failure.judged else None
    facts: list[tuple[str, str, str]] = []
    if failure.deployment_id:
        facts.append(("deployment", failure.deployment_id, ""))
    if worst:
        named = listing([j.target.instance_id for j in failure.judged])
        facts += [("instances", f"{named} ({_counts(failure.judged)})", ""), *_evidence(worst)]
    facts.append(("next", failure.next_step, "head"))
    lines = [Line(t, "bad") for t in wrap(clean(f"{failure.group} failed: {failure.cause}"), limit, "    ")]
    for name, said, tone in facts:
        text = f"    {name:<10}  {clean(said)}"
        whole = [clip(text, limit)] if limit is not None and tone == "dim" else wrap(text, limit, " " * 16)
        lines += [Line(t, tone) for t in whole]
    return lines


def _evidence(worst: Judged) -> Iterator[tuple[str, str, str]]:
    event = shown_event(worst)
    if event is None:
        if worst.detail:
            yield "evidence", f"{worst.target.instance_id}: {worst.detail}", ""
        return
    yield "event", f"{event.name} ({event.error_code})" if event.error_code else event.name, ""
    if event.script:
        yield "script", event.script, ""
    if event.message:
        yield "message", event.message, ""
    if tail := log_tail(event, _TAIL):
        yield "log", f"of {worst.target.instance_id}, its last lines:", ""
        yield from (("", f"| {t}", "dim") for t in tail)


def shown_event(judged: Judged) -> LifecycleEvent | None:
    """Return the event that shows the cause; on an instance that is gone, none does."""
    return None if judged.cause.gone else judged.target.failed_event


def log_tail(event: LifecycleEvent, most: int) -> list[str]:
    """Return the last lines of the event's log that say anything."""
    return [t.rstrip() for t in event.log_tail.splitlines() if t.strip()][-most:]


def _counts(judged: Iterable[Judged]) -> str:
    return ", ".join(f"{count:,} {cause}" for cause, count in Counter(j.cause for j in judged).items())


def failure_told(failure: GroupDiagnosed, alike: Sequence[str], limit: int | None = None) -> list[Line]:
    """Lay out a failure in full, in a line, or not at all; `alike` are the groups that failed so, this one last."""
    if len(alike) <= 1:
        return failure_lines(failure, limit)
    if len(alike) > _LINES:
        return []
    as_whom = "again, as before" if alike[0] == failure.group else f"as {alike[0]} did"
    said = clean(f"{failure.group} failed {as_whom}: {_counts(failure.judged) or failure.cause}")
    return [Line(t, "bad") for t in wrap(said, limit, "    ")]


def cluster_lines(clusters: Sequence[Cluster], board: Board, limit: int | None = None) -> list[Line]:
    """Lay out equal failures for a summary: how many, where and why, one log for several groups, what to type."""
    lines: list[Line] = []
    for found in clusters[:_CLUSTERS]:
        phases = {row.phase for g in found.groups if (row := board.rows.get(g)) and row.phase.bad}
        phase = phases.pop() if len(phases) == 1 else Phase.FAILED
        tone = "warn" if found.sample and found.sample.cause.gone else TONES.get(phase, "bad")
        lines += _labelled(f"{phase:<9}", cluster_title(found), tone, limit)
        if len(found.groups) > 1:
            lines += _labelled("", f"in {listing(found.groups)}", "", limit)
            lines += _sample(found, limit)
        if found.next_step:
            lines += _labelled("", f"next: {found.next_step}", "head", limit)
    if rest := clusters[_CLUSTERS:]:
        reach = plural(sum(len(c.instances) for c in rest), "instance")
        lines += _labelled("", f"... and {plural(len(rest), 'more kind')} of failure ({reach})", "dim", limit)
    return lines


def cluster_title(found: Cluster) -> str:
    """Say equal failures in a line: `37 instances in 12 groups: AfterInstall, exit 1: scripts/after_install.sh`."""
    groups = plural(len(found.groups), "group")
    if found.instances:
        where = f"in {groups}" if len(found.groups) > 1 else f"of {found.groups[0]}"
        what = f"{plural(len(found.instances), 'instance')} {where}"
    else:
        what = groups if len(found.groups) > 1 else found.groups[0]
    held = f" ({len(found.held_back):,} more were held back)" if found.held_back else ""
    return f"{what}: {found.cause}{held}"


def _sample(found: Cluster, limit: int | None) -> Iterator[Line]:
    if found.sample is None:
        return
    event = shown_event(found.sample)
    if event is None:
        yield from _labelled("", f"{found.sample.target.instance_id}: {found.sample.detail}", "", limit)
    elif tail := log_tail(event, _SHORT_TAIL):
        yield from _labelled("", f"log of {found.sample.target.instance_id}, its last lines:", "", limit)
        for text in tail:
            whole = f"{' ' * _LABEL}| {clean(text)}"
            yield Line(whole if limit is None else clip(whole, limit), "dim")


def _labelled(label: str, text: str, tone: str, limit: int | None) -> list[Line]:
    whole = f"  {label:<{_LABEL - 2}}{clean(text)}"
    return [Line(t, tone) for t in wrap(whole, limit, " " * _LABEL)]
