"""Draw when each group ran, wave by wave, as bars over one scale of time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from shipit.models import GroupEntry, RolloutRecord, WaveEntry
from shipit.report.looks import PHASES, clock, phase_mark, tally
from shipit.report.markup import Html, el, join
from shipit.wording import duration, plural

Named = tuple[str, GroupEntry]

#: A wave of more groups folds all but those that want attention, the slowest, and never shows more than `_MOST`.
_WHOLE, _SLOWEST, _MOST = 60, 10, 40
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
_TICKS = 8


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Map moments to percent of the width: `start` is 0, `seconds` later is 100; `step` lies between two ticks."""

    start: datetime
    seconds: float
    step: float

    def at(self, moment: datetime) -> float:
        """Return where a moment lies, inside 0 to 100 whatever clocks say."""
        return min(max((moment - self.start).total_seconds() / self.seconds, 0.0), 1.0) * 100


def scale_of(record: RolloutRecord, now: datetime) -> Scale:
    """Return the scale from the rollout's start to the last thing known of it; to `now` where it runs."""
    moments = [m for g in record.groups.values() for m in (g.started_at, g.ended_at)]
    moments += [m for w in record.waves for m in (w.started_at, w.ended_at, w.verified_at)]
    moments += [record.ended_at or now, record.proof.at if record.proof else None]
    seconds = max(max((m - record.started_at).total_seconds() for m in moments if m), 1.0)
    days = -(-seconds // (_TICKS * _STEPS[-1])) * _STEPS[-1]
    return Scale(
        start=record.started_at, seconds=seconds, step=next((s for s in _STEPS if seconds / s <= _TICKS), days)
    )


def timeline(record: RolloutRecord, now: datetime) -> Html | None:
    """Return the section; nothing where no group has started."""
    if not any(g.started_at for g in record.groups.values()):
        return None
    scale = scale_of(record, now)
    numbers = sorted({g.wave for g in record.groups.values()})
    waves: list[Html] = []
    for rank, number in enumerate(numbers):
        named = [(name, g) for name, g in record.groups.items() if g.wave == number]
        entry = record.waves[rank] if rank < len(record.waves) else None
        after = record.waves[rank + 1] if rank + 1 < len(record.waves) else None
        title = f"Wave {rank + 1} of {len(numbers)}" if len(numbers) > 1 else "Groups"
        waves.append(_wave(title, named, entry, after, scale, now))
    return el("section", el("h2", "Timeline"), _slowest(record), _legend(record), *waves)


def _slowest(record: RolloutRecord) -> Html | None:
    """Name the slowest groups: these make the rollout long."""
    timed = sorted(((g.seconds, name) for name, g in record.groups.items() if g.seconds is not None), reverse=True)
    if len(timed) < 2:
        return None
    named = [join(el("b", name), f" {duration(seconds)}") for seconds, name in timed[:5]]
    return el("p", "Slowest: ", join(*(join(", " if n else None, said) for n, said in enumerate(named))), ".")


def _legend(record: RolloutRecord) -> Html:
    phases = dict.fromkeys(g.phase for g in record.groups.values())
    keys = [join(el("i", class_=f"key {PHASES[p][0]}"), phase_mark(p)) for p in PHASES if p in phases]
    if any(len(g.deployments) > 1 for g in record.groups.values()):
        keys.append(join(el("i", class_="key again"), "tried more than once"))
    if any(w.verified_at for w in record.waves):
        keys.append(join(el("i", class_="key proof"), "asking the reports"))
    if len(record.waves) > 1:
        keys.append(join(el("i", class_="key bake"), "pause before the next wave"))
    return el("p", *(el("span", key) for key in keys), class_="legend")


def _wave(
    title: str, named: Sequence[Named], entry: WaveEntry | None, after: WaveEntry | None, scale: Scale, now: datetime
) -> Html:
    shown, folded = _fold(named)
    rows = [_axis(scale), _span(entry, after, scale, now), *(_row(n, g, scale, now) for n, g in shown)]
    fold = None
    if folded:
        summary = f"{plural(len(folded), 'more group')}: {tally(g for _, g in folded)}"
        inner = (_axis(scale), *(_row(n, g, scale, now) for n, g in folded))
        fold = el("details", el("summary", summary), el("div", *inner, class_="gantt"))
    return el(
        "div", el("h3", title), _told(named, entry, after), el("div", *rows, class_="gantt"), fold, class_="wave"
    )


def _fold(named: Sequence[Named]) -> tuple[list[Named], list[Named]]:
    """Return the groups to show and those to fold away, each in the order in which they started."""
    if len(named) <= _WHOLE:
        return sorted(named, key=_start), []
    slow = sorted(named, key=lambda n: -(n[1].seconds or 0.0))[:_SLOWEST]
    wanted = [n for n in sorted(named, key=_start) if n[1].phase.bad or n[1].failure or len(n[1].deployments) > 1]
    names = list(dict.fromkeys(n for n, _ in [*slow, *wanted]))[:_MOST]
    kept = frozenset(names)
    ordered = sorted(named, key=_start)
    return [n for n in ordered if n[0] in kept], [n for n in ordered if n[0] not in kept]


def _start(named: Named) -> tuple[bool, float, str]:
    name, group = named
    return (group.started_at is None, group.started_at.timestamp() if group.started_at else 0.0, name)


def _told(named: Sequence[Named], entry: WaveEntry | None, after: WaveEntry | None) -> Html:
    """Say the wave in words: what its row draws."""
    parts = [f"{plural(len(named), 'group')} ({tally(g for _, g in named)})"]
    if entry is None:
        return el("p", *parts, ".", class_="dim")
    parts.append(f"began at {clock(entry.started_at)}")
    if entry.ended_at:
        parts.append(f"ended after {_between(entry.started_at, entry.ended_at)}")
    if entry.ended_at and entry.verified_at:
        parts.append(f"was proved by the reports {_between(entry.ended_at, entry.verified_at)} later")
    rest = entry.verified_at or entry.ended_at
    if rest and after:
        parts.append(f"the next wave began {_between(rest, after.started_at)} after that")
    return el("p", "; ".join(parts), ".", class_="dim")


def _between(start: datetime, end: datetime) -> str:
    return duration((end - start).total_seconds())


def _axis(scale: Scale) -> Html:
    ticks = [
        el(
            "span",
            "0" if n == 0 else duration(n * scale.step),
            style=f"left:{n * scale.step / scale.seconds * 100:.2f}%",
        )
        for n in range(int(scale.seconds * 0.96 / scale.step) + 1)
    ]
    return join(el("span", class_="name"), el("div", *ticks, class_="axis", aria_hidden="true"), el("span"))


def _span(entry: WaveEntry | None, after: WaveEntry | None, scale: Scale, now: datetime) -> Html | None:
    """Draw the wave itself: its groups, then the reports that prove it, then the pause before the next one."""
    if entry is None:
        return None
    ended = entry.ended_at
    parts: list[Html] = [_bar("wave-bar", entry.started_at, ended or now, scale, "the wave")]
    if ended and entry.verified_at:
        parts.append(_bar("proof", ended, entry.verified_at, scale, "asking the reports"))
    rest = entry.verified_at or ended
    if rest and after:
        parts.append(_bar("bake", rest, after.started_at, scale, "pause"))
    return join(el("span", "the wave", class_="name dim"), _track(parts, scale), el("span"))


def _row(name: str, group: GroupEntry, scale: Scale, now: datetime) -> Html:
    tone = PHASES[group.phase][0]
    bars: list[Html] = []
    said = [group.phase.value]
    if tries := _tries(group):
        again = "again" if len(group.deployments) > 1 else ""
        for number, (begun, ended) in enumerate(tries, 1):
            what = f"try {number} of {len(tries)}" if number < len(tries) else group.phase
            kind = "warn" if number < len(tries) else tone
            title = f"{name}: {what}, {clock(begun)} to {clock(ended) if ended else 'now'}"
            bars.append(_bar(f"{kind} {again}", begun, ended or now, scale, title))
    if group.seconds is not None:
        said = [duration(group.seconds)]
    if len(group.deployments) > 1:
        said.append(f"{len(group.deployments)} tries")
    word = el("span", PHASES[group.phase][1], " ", ", ".join(said), class_=f"tone {tone}")
    return join(el("span", name, class_="name", title=name), _track(bars, scale), word)


def _tries(group: GroupEntry) -> list[tuple[datetime, datetime | None]]:
    """Return when each try began and ended; where not all were noted, one span from the first to the last."""
    starts = [t.started_at for t in group.tries if t.started_at]
    if group.started_at is None or not (1 < len(starts) == len(group.tries) == len(group.deployments)):
        return [(group.started_at, group.ended_at)] if group.started_at else []
    # A try whose end nobody saw ended before the next one began; the last one's is the group's.
    ends = [t.ended_at or after for t, after in zip(group.tries, starts[1:], strict=False)]
    return list(zip(starts, [*ends, group.ended_at], strict=True))


def _track(bars: Iterable[Html], scale: Scale) -> Html:
    return el("div", *bars, class_="track", style=f"background-size:{scale.step / scale.seconds * 100:.3f}% 100%")


def _bar(kind: str, start: datetime, end: datetime, scale: Scale, title: str) -> Html:
    left = scale.at(start)
    width = max(scale.at(end) - left, 0.0)
    return el("i", class_=f"bar {kind}".strip(), style=f"left:{left:.2f}%;width:{width:.2f}%", title=title)
