"""Give every instance exactly one state, and set each group's expected build beside CodeDeploy's word. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shipit.errors import UsageError
from shipit.models import (
    CLOCK_SKEW,
    Deployment,
    Fleet,
    Group,
    GroupView,
    Instance,
    Node,
    NodeState,
    QueryCost,
    Report,
    Spending,
    Verification,
    Wanted,
    stale_after,
)
from shipit.verify.steps import next_step

_LEAVING = ("Terminating", "Terminated", "Detaching", "Detached", "EnteringStandby", "Standby")
#: Who creates a deployment for instances that were launched, and not for the whole group (CodeDeploy's `creator`).
_FOR_THE_LAUNCHED = "autoscaling"


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Say what every instance should run, and how patiently it is judged.

    `groups` maps each group to what it is expected to run, `published` each published build to the digest of its
    content, needed of those expected alone. `heartbeat` is the seconds between two reports of an instance, `grace`
    those that a launched one has to come up. `build_of` reads the build that a deployment brings, empty where it is
    none of ours.
    """

    env: str
    groups: Mapping[str, Wanted]
    published: Mapping[str, str]
    heartbeat: float
    grace: float
    build_of: Callable[[Deployment | None], str] = lambda deployment: ""

    def __post_init__(self) -> None:
        """Raise UsageError for a build that no instance could prove to run, and where nothing is expected."""
        if not self.groups:
            raise UsageError("no build is expected of any group", hint="name one with --build")
        for build in dict.fromkeys(w.build for w in self.groups.values()):
            if build not in self.published:
                raise UsageError(f"{build!r} is not a published build", hint="name one that `inv publish` uploaded")
            if not self.published[build]:
                raise UsageError(
                    f"build {build} was published without a digest of its content: nothing can prove it",
                    hint="publish a build of a newer commit",
                )

    @property
    def build(self) -> str:
        """Return the build that most groups are expected to run."""
        return Counter(w.build for w in self.groups.values()).most_common(1)[0][0]


def judge(
    fleet: Fleet, reports: Iterable[Report], expected: Expectation, *, now: datetime, cost: QueryCost
) -> Verification:
    """Give every member of the fleet, and every reporter that is not one, exactly one state.

    Every group of the fleet must be one that `expected` names. Of several reports of an instance the newest counts.
    """
    latest = {report.instance_id: report for report in sorted(reports, key=lambda r: r.reported_at)}
    nodes: list[Node] = []
    views: list[GroupView] = []
    for group in fleet.groups:
        view = _view(group, expected)
        own = [_node(group, i, latest.pop(i.id, None), view, expected, now) for i in group.instances]
        views.append(_noted(view, group, own))
        nodes += own
    nodes += [_departed(report, now) for report in sorted(latest.values(), key=lambda r: (r.asg, r.instance_id))]
    return Verification(
        env=expected.env,
        build=expected.build,
        nodes=tuple(nodes),
        cost=cost,
        at=now,
        groups=tuple(views),
        spent=Spending().plus(cost),
    )


def _view(group: Group, expected: Expectation) -> GroupView:
    wanted, active = expected.groups[group.name], group.active
    brings = active is not None and expected.build_of(active) == wanted.build
    return GroupView(
        group=group.name,
        queue=group.queue,
        expected=wanted.build,
        rollout=wanted.rollout,
        codedeploy=expected.build_of(group.last_success),
        deployment_id=group.last_success.id if group.last_success else "",
        moving=active.id if active is not None and brings and active.creator != _FOR_THE_LAUNCHED else "",
    )


def _noted(view: GroupView, group: Group, nodes: Sequence[Node]) -> GroupView:
    """Return the view with what CodeDeploy and the processes, or the rollout, say differently.

    While a deployment runs, CodeDeploy's last success is yesterday's word, and disagrees with nobody.
    """
    if group.active is not None:
        return view
    said = view.codedeploy or ("a revision of others" if group.last_success else "nothing yet")
    said = f"CodeDeploy says {said}" + (f" ({view.deployment_id})" if view.deployment_id else "")
    fresh = [n for n in nodes if n.state is NodeState.CURRENT or n.state.is_drift]
    others = Counter(n.running or "none" for n in fresh if n.running != view.codedeploy)
    if others:
        told = [f"{_say(count, len(fresh))} {build}" for build, count in others.most_common()]
        note = f"{said}, {', '.join(told)}"
    elif view.rollout and view.codedeploy != view.expected:
        note = f"{said}, rollout {view.rollout} was to bring {view.expected}"
    else:
        return view
    return replace(view, note=note)


def _say(count: int, of: int) -> str:
    if of == 1:
        return "its process says"
    return f"{count:,} of {of:,} processes {'says' if count == 1 else 'say'}"


def _node(
    group: Group, instance: Instance, report: Report | None, view: GroupView, expected: Expectation, now: datetime
) -> Node:
    state = _state(instance, report, view.expected, expected, now)
    age = _age(report, now) if report else None
    return Node(
        instance_id=instance.id,
        group=group.name,
        queue=group.queue,
        state=state,
        expected=view.expected,
        running=report.running_build if report else "",
        installed=report.build if report else "",
        age=age,
        next_step=next_step(
            state,
            group,
            instance,
            view,
            env=expected.env,
            ahead=age is not None and age < -CLOCK_SKEW,
        ),
    )


def _departed(report: Report, now: datetime) -> Node:
    return Node(
        instance_id=report.instance_id,
        group=report.asg,
        queue=report.queue,
        state=NodeState.DEPARTED,
        running=report.running_build,
        installed=report.build,
        age=_age(report, now),
    )


def _state(instance: Instance, report: Report | None, build: str, expected: Expectation, now: datetime) -> NodeState:
    if instance.state.startswith(_LEAVING):
        return NodeState.LEAVING
    # Pending comes with a launch that may be long past: a lifecycle hook can hold an instance there for hours.
    state = _said(report, build, expected, now)
    waits = state not in (NodeState.CURRENT, NodeState.WRONG_DIGEST)
    return NodeState.STARTING if waits and _is_young(instance, expected.grace, now) else state


def _said(report: Report | None, build: str, expected: Expectation, now: datetime) -> NodeState:
    """Judge a report alone, as if its instance had been up for long."""
    if report is None:
        return NodeState.SILENT
    if not -CLOCK_SKEW <= _age(report, now) <= stale_after(expected.heartbeat):
        return NodeState.STALE
    runs, holds = report.running_build, report.build
    if runs == holds == build:
        proved = report.digest == expected.published[build]
        return NodeState.CURRENT if proved else NodeState.WRONG_DIGEST
    if holds == build:
        return NodeState.RESTART_NEEDED
    # The process may run the expected build while the disk holds another: the next restart would bring that one.
    other = holds if runs == build else runs or holds
    return NodeState.OUTDATED if other in expected.published else NodeState.UNKNOWN_BUILD


def _is_young(instance: Instance, grace: float, now: datetime) -> bool:
    if instance.state.startswith("Pending"):
        return True
    return instance.launched_at is not None and (now - instance.launched_at).total_seconds() < grace


def _age(report: Report, now: datetime) -> float:
    return (now - report.reported_at).total_seconds()
