"""Lay out what takes several lines: a plan, the end of a rollout, the verdict over a fleet.

Pure: values in, lines out. `limit` is the columns that a line may take; without one nothing is cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from shipit.display.board import Board
from shipit.display.failures import cluster_lines
from shipit.display.text import Line, clean, clip, dollars, folded, listing, size, table, width, wrap
from shipit.display.words import TONES, by_phase
from shipit.events import RolloutFinished
from shipit.models import (
    Action,
    GroupView,
    Node,
    NodeState,
    Phase,
    PlannedGroup,
    QueryCost,
    RolloutPlan,
    Spending,
    Verification,
)
from shipit.wording import duration, plural

#: A plan of more groups folds those that are alike; so does the log fold their starts and successes.
MANY = 100
_NODES = 10
#: Reports go after days: one from so many seconds ago bears a time that is none (`shipit.aws.reports.moment`).
_AGES = 10 * 365 * 86400
#: So much of a table's last column, its free text, must stay; else the table is folded.
_LAST = 24
#: So much of why a group is current stays where others need the room.
_FEW = 8
#: So many of the slowest groups are named at the end.
_SLOWEST = 3
_ACTION_TONES = {Action.DEPLOY: "", Action.CURRENT: "dim", Action.EMPTY: "dim", Action.EXCLUDED: "dim"}


def plan_lines(plan: RolloutPlan, limit: int | None = None) -> list[Line]:
    """Lay out a plan: one row a group, or a row for groups that are alike where there are many; totals last."""
    build = plan.published.build
    facts = [f for f in (build.sha[:10], size(build.size) if build.size else "", plan.deployment_config) if f]
    head = f"plan {plan.id}: {build.version} to {plan.env}" + (f" ({', '.join(facts)})" if facts else "")
    bundles = _bundles(plan.groups)
    waves = {wave[0].wave: number for number, wave in enumerate(plan.waves, 1)}
    head_row, rows = ["group", "instances", "running", "action", "reason"], []
    for bundle in bundles:
        first = bundle[0]
        action = first.action.value
        if len(waves) > 1 and first.action is Action.DEPLOY:
            action = f"wave {waves[first.wave]}"
        instances = f"{sum(g.group.in_service for g in bundle):,}"
        rows.append((_of_many(bundle), instances, first.running or "-", action, first.reason))
    return [
        *(Line(t, "head") for t in wrap(clean(head), limit, "  ")),
        *_plan_rows(head_row, rows, [b[0].action for b in bundles], limit),
        *(Line(t, "head") for t in wrap(_totals(plan), limit, "  ")),
    ]


def _plan_rows(
    head: Sequence[str], rows: Sequence[Sequence[str]], actions: Sequence[Action], limit: int | None
) -> list[Line]:
    """Lay out a plan's groups; a reason for which there is no room goes below, that of one that is current is cut."""
    room = _room(head, rows, limit)
    short, below = [], []
    for row, action in zip(rows, actions, strict=True):
        reason = clean(row[-1])
        if action is Action.CURRENT:
            reason = clip(reason, max(room, _FEW))
        too_long = width(reason) > max(room, _LAST)
        short.append((*row[:-1], "" if too_long else reason))
        below.append(wrap(f"  {reason}", limit, "    ") if too_long else [])
    first, *others = table(head, short, right={1}, limit=limit)
    lines = [Line(first, "head")]
    for text, action, more in zip(others, actions, below, strict=True):
        lines += [Line(t, _ACTION_TONES.get(action, "warn")) for t in (text, *more)]
    return lines


def _room(head: Sequence[str], rows: Sequence[Sequence[str]], limit: int | None) -> int:
    """Return how many columns are left for the last one, as many as it needs without a limit."""
    *others, last = (max(width(clean(row[n])) for row in (head, *rows)) for n in range(len(head)))
    return last if limit is None else limit - sum(others) - 2 * len(others)


def _bundles(groups: Sequence[PlannedGroup]) -> list[list[PlannedGroup]]:
    """Return the groups row by row: those that are alike in one where there are many, and what nobody asked for."""
    if len(groups) > MANY:
        return _alike(groups)
    asked = [[g] for g in groups if g.action is not Action.EXCLUDED]
    return asked + _alike(g for g in groups if g.action is Action.EXCLUDED)


def _alike(groups: Iterable[PlannedGroup]) -> list[list[PlannedGroup]]:
    found: dict[tuple[Action, int, str, str], list[PlannedGroup]] = {}
    for group in groups:
        wave = group.wave if group.action is Action.DEPLOY else 0
        found.setdefault((group.action, wave, group.reason, group.running), []).append(group)
    return list(found.values())


def _of_many(groups: Sequence[PlannedGroup]) -> str:
    return groups[0].group.name if len(groups) == 1 else listing([g.group.name for g in groups], 1)


def _totals(plan: RolloutPlan) -> str:
    reached = sum(g.group.in_service for g in plan.to_deploy)
    deploy = f"{plural(len(plan.to_deploy), 'group')} to deploy ({plural(reached, 'instance')})"
    if len(plan.waves) > 1:
        deploy += f" in {len(plan.waves)} waves"
    others = [f"{plan.count(a):,} {a}" for a in Action if a is not Action.DEPLOY and plan.count(a)]
    took = f"; about {duration(plan.expected)} by past rollouts" if plan.expected else ""
    return ", ".join([deploy, *others]) + took


def summary_lines(board: Board, end: RolloutFinished, limit: int | None = None) -> list[Line]:
    """Lay out the end of a rollout: groups by phase, failures joined where they are equal, AWS calls by operation."""
    bad = [row for row in board.rows.values() if row.phase.bad]
    moving = any(row.phase in (Phase.RUNNING, Phase.EXAMINING) for row in board.rows.values())
    ended = "watched until interrupted, after" if end.interrupted else "still runs after" if moving else "ended after"
    head = f"rollout {end.rollout_id} of {end.version} {ended} {duration(end.seconds)}: {by_phase(board)}"
    tone = "warn" if end.interrupted or moving or not board.rows else "bad" if bad else "good"
    done, lost, total = board.instances()
    whole = f"instances  {done - lost:,} of {total:,} succeeded" + (f", {lost:,} did not" if lost else "")
    told = {name for found in end.clusters for name in found.groups}
    causes: dict[tuple[Phase, str], list[str]] = {}
    for row in bad:
        if row.group not in told:
            causes.setdefault((row.phase, board.cause(row)), []).append(row.group)
    facts: list[tuple[str, str]] = []
    slowest = sorted((r for r in board.rows.values() if r.seconds), key=lambda r: -(r.seconds or 0.0))[:_SLOWEST]
    if len(board.rows) > _SLOWEST and slowest:
        took = ", ".join(f"{clean(r.group)} {duration(r.seconds or 0.0)}" for r in slowest)
        facts.append((f"slowest    {took}", "dim"))
    for (phase, cause), names in causes.items():
        facts.append((f"{phase:<9}  {listing(names)}" + (f": {cause}" if cause else ""), TONES[phase]))
    if end.calls:
        calls = sorted(end.calls.items(), key=lambda c: (-c[1], c[0]))
        slowed = f"; throttled {plural(board.throttles, 'time')}" if board.throttles else ""
        said = ", ".join(f"{name} {count:,}" for name, count in calls)
        facts.append((f"AWS calls  {sum(end.calls.values()):,}: {said}{slowed}", "dim"))
    if end.interrupted:
        facts.append((f"next       its deployments go on without us; inv watch {end.rollout_id}", "head"))
    lines = [Line(t, tone) for t in wrap(clean(head), limit, "  ")]
    if board.rows:
        lines += [Line(t) for t in wrap(f"  {whole}", limit, " " * 13)]
    lines += cluster_lines(end.clusters, board, limit)
    for text, shade in facts:
        lines += [Line(t, shade) for t in wrap("  " + clean(text), limit, " " * 13)]
    return lines


def verification_lines(found: Verification, limit: int | None = None, *, everything: bool = False) -> list[Line]:
    """Lay out a verdict: a row for each group that is not clean, a line for each bad instance, the count last.

    Clean groups are left out unless CodeDeploy contradicts them; at most ten instances of a group are shown. With
    `everything` all are, and below them those that do not count.
    """
    groups: dict[str, list[Node]] = {view.group: [] for view in found.groups}
    for node in found.nodes:
        if node.state.is_counted:
            groups.setdefault(node.group, []).append(node)
    views = {view.group: view for view in found.groups}
    lines: list[Line] = []
    for name, nodes in groups.items():
        bad = [n for n in nodes if n.state is not NodeState.CURRENT]
        if bad or note_of(found, views.get(name)):
            head = "; ".join(filter(None, (_tally(nodes), note_of(found, views.get(name), bad=bool(bad)))))
            lines += [Line(t, "warn") for t in wrap(clean(f"{name}: {head}"), limit, "  ")]
            lines += _node_lines(bad, limit, most=len(bad) if everything else _NODES)
    outside = [n for n in found.nodes if not n.state.is_counted] if everything else []
    if outside:
        lines += [Line("not counted:", "dim"), *_node_lines(outside, limit, most=len(outside))]
    return [*lines, *(Line(t, "good" if found.converged else "bad") for t in wrap(verdict(found), limit, "  "))]


def note_of(found: Verification, view: GroupView | None, *, bad: bool = False) -> str:
    """Say what is particular to a group: where CodeDeploy disagrees; of a `bad` one also another build, a deployment.

    Another build is one that is not what most groups are expected to run.
    """
    if view is None:
        return ""
    other = f"expected is {view.expected}" if bad and view.expected != found.build else ""
    moving = f"{view.moving} is bringing {view.expected}" if bad and view.moving else ""
    return "; ".join(filter(None, (other, moving, view.note)))


def _node_lines(bad: Sequence[Node], limit: int | None, *, most: int) -> list[Line]:
    shown = bad[:most]
    rows = [(n.instance_id, n.state.value, n.running or "-", age(n.age)) for n in shown]
    inner = None if limit is None else limit - 2
    lines: list[Line] = []
    for text, node in zip(table(("",) * 4, rows, limit=inner)[1:], shown, strict=True):
        step = clean(node.next_step)
        joined = f"  {text}  {step}"
        if not step or limit is None or width(joined) <= limit:
            lines.append(Line(joined.rstrip()))
        else:
            lines += [Line(f"  {text}"), *(Line(t, "dim") for t in _step_lines(step, limit))]
    if len(bad) > len(shown):
        rest = f"{len(bad) - len(shown):,} more: {_states(bad[len(shown) :])}"
        lines.append(Line(f"  ... and {rest}; verify-versions --all shows them", "dim"))
    return [Line(clip(t.text, limit) if limit is not None else t.text, t.tone) for t in lines]


def _step_lines(step: str, limit: int) -> list[str]:
    """Return a command with its remark so that what is copied off a terminal is still one command."""
    indent = " " * 6
    command, mark, remark = step.partition(" # ")
    if width(indent + step) <= limit:
        return [indent + step]
    lines = wrap(indent + command, limit - 2, indent)
    lines = [*(f"{line} \\" for line in lines[:-1]), lines[-1]]
    return lines + (wrap(f"{indent}# {remark}", limit, f"{indent}# ") if mark else [])


def age(seconds: float | None) -> str:
    """Say how long ago an instance reported."""
    if seconds is None:
        return "never reported"
    if seconds > _AGES:
        return "at no time that can be read"
    return f"{duration(seconds)} ago" if seconds >= 0 else f"{duration(-seconds)} ahead"


def verdict(found: Verification) -> str:
    """Say the verdict in a line: how many are current, what the others are, what the query cost, or all of them."""
    said = progress(found)
    cost = found.cost
    if not (cost.query_id or cost.scanned or cost.seconds):
        return said
    said += f" {spent(cost)}"
    if found.spent.queries > 1:
        said += f"; {found.spent.queries:,} queries together {bill(found.spent)}"
    return said


def spent(cost: QueryCost) -> str:
    """Say what a query read, cost and took, and its id."""
    return f"Athena: {bill(cost)}" + (f", query {clean(cost.query_id)}" if cost.query_id else "")


def bill(cost: QueryCost | Spending) -> str:
    """Say what one query, or several, read, cost and took."""
    return f"{size(cost.scanned)}, {dollars(cost.dollars)}, {duration(cost.seconds)}"


def progress(found: Verification) -> str:
    """Say how many are current and what the others are."""
    counted = [n for n in found.nodes if n.state.is_counted]
    said = _tally(counted)
    if counted and not found.cost.scanned:
        said += "; the query read nothing"
    outside = _states([n for n in found.nodes if not n.state.is_counted])
    return f"{said}; not counted: {outside}." if outside else f"{said}."


def waiting(found: Verification, left: float | None) -> str:
    """Say how far a wait is, and for how long it goes on at most."""
    more = f" Looking for {duration(left)} more." if left else ""
    return f"{progress(found)}{more}"


def brief(found: Verification, left: float | None) -> str:
    """Say how far a wait is where there is room for little."""
    more = f", looking for {duration(left)} more" if left else ""
    return f"{found.count(NodeState.CURRENT):,} of {found.counted:,} current{more}"


def _tally(nodes: Sequence[Node]) -> str:
    if not nodes:
        return "nothing was checked: no instance is in service"
    bad = _states([n for n in nodes if n.state is not NodeState.CURRENT])
    current = sum(n.state is NodeState.CURRENT for n in nodes)
    return f"{current:,} of {len(nodes):,} current" + (f"; {bad}" if bad else "")


def _states(nodes: Sequence[Node]) -> str:
    found = Counter(n.state for n in nodes)
    return ", ".join(f"{found[state]:,} {state}" for state in NodeState if found[state])


def value_lines(fields: Mapping[str, object], limit: int | None = None) -> list[Line]:
    """Lay out an answer: one field as its value, several as names and values, lists of mappings as tables."""
    if len(fields) == 1:
        return _value(next(iter(fields.values())), limit)
    wide = max((len(name) for name in fields), default=0)
    lines: list[Line] = []
    for name, value in fields.items():
        if _is_table(value):
            lines += [Line(f"{clean(name)}:", "head"), *_value(value, limit)]
        else:
            whole = f"{clean(name):<{wide}}  {_flat(value) or '-'}"
            lines += [Line(t) for t in wrap(whole, limit, " " * (wide + 2))]
    return lines


def _value(value: object, limit: int | None) -> list[Line]:
    if isinstance(value, (list, tuple)) and _is_table(value):
        names = list(dict.fromkeys(key for row in value for key in row))
        rows = [[_flat(row.get(n, "")) for n in names] for row in value]
        head = [str(n) for n in names]
        if limit is not None and _too_wide(head, rows, limit):
            return [Line(t, "" if n else "head") for n, row in enumerate(folded(head, rows, limit)) for t in row]
        lines = table(head, rows, limit=limit)
        return [Line(t, "head" if n == 0 else "") for n, t in enumerate(lines)]
    if isinstance(value, (list, tuple)):
        return [Line(t) for item in value for t in wrap(_flat(item), limit)]
    return [Line(t) for t in wrap(_flat(value), limit)]


def _too_wide(head: Sequence[str], rows: Sequence[Sequence[str]], limit: int) -> bool:
    """Tell whether more than the end of the last column would have to be cut."""
    columns = [max(width(clean(row[n])) for row in (head, *rows)) for n in range(len(head))]
    return sum(columns[:-1]) + 2 * (len(columns) - 1) + min(columns[-1], _LAST) > limit


def _is_table(value: object) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _flat(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return ", ".join(_flat(v) for v in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{clean(str(k))} {_flat(v)}" for k, v in value.items())
    return clean(str(value))
