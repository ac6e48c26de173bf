"""Compare what instances report with who is in the fleet: pure in `judge`, patient in `verify`.

Membership comes from Auto Scaling, for Athena cannot tell a terminated instance from a silent one (reference
athena.md, "What decides the design"). Doubt never counts as success: what is not proved current is something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shipit.errors import AwsUnavailable, DriftError, StillRunning, UsageError
from shipit.events import Listener, Notice, Verified, ignore
from shipit.models import Fleet, Group, Instance, Node, NodeState, QueryCost, Report, Verification

#: A report older than two heartbeats and this many seconds is stale (reference athena.md, "States of an instance").
_LATE = 60.0
#: A report from further ahead of our clock than this proves nothing, in seconds.
_SKEW = 60.0
_LEAVING = ("Terminating", "Terminated", "Detaching", "Detached", "EnteringStandby", "Standby")


class FleetSource(Protocol):
    """Tell who is in the fleet, or in the part of it that is to be checked."""

    def read_with_launch_times(self) -> Fleet:
        """Return the groups with their instances and when these were launched."""


class ReportSource(Protocol):
    """Tell what the instances last said."""

    def latest_reports(self, now: datetime, look_back: float) -> tuple[tuple[Report, ...], QueryCost]:
        """Return the newest report of each instance in the last `look_back` seconds, and what that cost."""


class Clock(Protocol):
    """Tell the time and wait."""

    def now(self) -> datetime:
        """Return the time, aware and in UTC."""

    def sleep(self, seconds: float) -> None:
        """Block for that many seconds."""


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Say what every instance should run, and how patiently it is judged.

    `published` maps each published build to the digest of its content. `heartbeat` is the seconds between two
    reports of an instance, `grace` those that a launched one has to come up.
    """

    env: str
    build: str
    published: Mapping[str, str]
    heartbeat: float
    grace: float

    def __post_init__(self) -> None:
        """Raise UsageError for a build that no instance could prove to run."""
        if self.build not in self.published:
            raise UsageError(f"{self.build!r} is not a published build", hint="name one that `inv publish` uploaded")
        if not self.published[self.build]:
            raise UsageError(
                f"build {self.build} was published without a digest of its content: nothing can prove it",
                hint="publish a build of a newer commit",
            )


def judge(
    fleet: Fleet, reports: Iterable[Report], expected: Expectation, *, now: datetime, cost: QueryCost
) -> Verification:
    """Give every member of the fleet, and every reporter that is not one, exactly one state."""
    latest = {report.instance_id: report for report in reports}
    nodes = [
        _node(group, instance, latest.pop(instance.id, None), expected, now)
        for group in fleet.groups
        for instance in group.instances
    ]
    nodes += [_departed(report, now) for report in latest.values()]
    return Verification(env=expected.env, build=expected.build, nodes=tuple(nodes), cost=cost, at=now)


def verify(
    fleet: FleetSource,
    reports: ReportSource,
    expected: Expectation,
    *,
    clock: Clock,
    look_back: float,
    wait: float = 0.0,
    poll: float = 15.0,
    stop_when: Callable[[Verification], bool] = lambda found: False,
    listen: Listener = ignore,
) -> Verification:
    """Look until every counted instance is current or `wait` seconds have passed, and return the last look.

    With no `wait` it looks once; `stop_when` ends the wait early. Emits Verified after each look. While there is
    time, AWS being out of reach is a Notice; at the end it raises AwsUnavailable, for it is no verdict. Seconds.
    """
    deadline = clock.now() + timedelta(seconds=wait)
    while True:
        # Who is there comes first: one that is launched between the two reads is not held to a report.
        at = clock.now()
        left = (deadline - at).total_seconds()
        try:
            members = fleet.read_with_launch_times()
            found, cost = reports.latest_reports(at, look_back)
        except AwsUnavailable as error:
            if left <= 0:
                raise
            listen(Notice(text=f"{error.message}; looking again", warning=True))
        else:
            verification = judge(members, found, expected, now=at, cost=cost)
            final = verification.converged or left <= 0 or stop_when(verification)
            listen(Verified(verification=verification, final=final))
            if final:
                return verification
        clock.sleep(min(poll, max(left, 0.0)))


def outcome(verification: Verification) -> None:
    """Return only where the fleet is converged on the build.

    Raises DriftError for drift, for instances unseen and for a check that checked nothing, and StillRunning where
    the only ones not current are still starting.
    """
    again = f"inv deploy --build {verification.build} starts the groups that are not on it"
    counted, starting = verification.counted, verification.count(NodeState.STARTING)
    if not counted:
        raise DriftError(
            "no instance is in service: nothing was checked", hint="scale a group out, or check `tags` and --only"
        )
    drift = sum(n.state.is_drift for n in verification.nodes)
    unseen = sum(n.state.is_unseen for n in verification.nodes)
    if not verification.cost.scanned and starting < counted:
        raise DriftError(
            f"Athena read no report at all, and {counted} instances should have written some",
            hint="check `bucket`, `prefix`, `database` and `table` in [reports], and the instances' right to write",
        )
    if drift or unseen:
        raise DriftError(
            f"{counted - verification.count(NodeState.CURRENT)} of {counted} instances are not proved to run "
            f"{verification.build}: {drift} drifted, {unseen} unseen, {starting} starting",
            hint=again if drift else "each of them is listed with what to look at",
        )
    if starting:
        raise StillRunning(
            f"{starting} of {counted} instances are still starting",
            hint="inv verify-versions --wait 10m goes on looking",
        )


def _node(group: Group, instance: Instance, report: Report | None, expected: Expectation, now: datetime) -> Node:
    state = _state(instance, report, expected, now)
    return Node(
        instance_id=instance.id,
        group=group.name,
        queue=group.queue,
        state=state,
        running=report.running_build if report else "",
        installed=report.build if report else "",
        age=_age(report, now) if report else None,
        next_step=_next_step(state, group, instance, report, expected, now),
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


def _state(instance: Instance, report: Report | None, expected: Expectation, now: datetime) -> NodeState:
    if instance.state.startswith(_LEAVING):
        return NodeState.LEAVING
    # Pending comes with a launch that may be long past: a lifecycle hook can hold an instance there for hours.
    state = _said(report, expected, now)
    waits = state not in (NodeState.CURRENT, NodeState.WRONG_DIGEST)
    return NodeState.STARTING if waits and _is_young(instance, expected.grace, now) else state


def _said(report: Report | None, expected: Expectation, now: datetime) -> NodeState:
    """Judge a report alone, as if its instance had been up for long."""
    if report is None:
        return NodeState.SILENT
    if not -_SKEW <= _age(report, now) <= 2 * expected.heartbeat + _LATE:
        return NodeState.STALE
    runs, holds = report.running_build, report.build
    if runs == holds == expected.build:
        proved = report.digest == expected.published[expected.build]
        return NodeState.CURRENT if proved else NodeState.WRONG_DIGEST
    if holds == expected.build:
        return NodeState.RESTART_NEEDED
    # The process may run the expected build while the disk holds another: the next restart would bring that one.
    other = holds if runs == expected.build else runs or holds
    return NodeState.OUTDATED if other in expected.published else NodeState.UNKNOWN_BUILD


def _is_young(instance: Instance, grace: float, now: datetime) -> bool:
    if instance.state.startswith("Pending"):
        return True
    return instance.launched_at is not None and (now - instance.launched_at).total_seconds() < grace


def _age(report: Report, now: datetime) -> float:
    return (now - report.reported_at).total_seconds()


def _next_step(
    state: NodeState, group: Group, instance: Instance, report: Report | None, expected: Expectation, now: datetime
) -> str:
    """Return what to type, or to look at, for one instance; empty where there is nothing to do."""
    deploy = f"inv deploy --build {expected.build} --only {group.queue}"
    shell = f"aws ssm start-session --target {instance.id}"
    match state:
        case NodeState.OUTDATED | NodeState.UNKNOWN_BUILD:
            return deploy
        case NodeState.RESTART_NEEDED:
            return f"{shell}, and restart the worker: the build is on disk, its process is older"
        case NodeState.WRONG_DIGEST:
            return f"{_replace(instance)}: files of the build were changed on it"
        case NodeState.STALE if report and _age(report, now) < -_SKEW:
            return f"{shell}, and set its clock: it is ahead of ours"
        case NodeState.STALE | NodeState.SILENT:
            return f"{shell}, and look at the worker and its reports; or {_replace(instance)}"
        case NodeState.STARTING:
            return f"wait: inv verify-versions --build {expected.build} --only {group.queue} --wait 10m"
        case _:
            return ""


def _replace(instance: Instance) -> str:
    return (
        f"aws autoscaling terminate-instance-in-auto-scaling-group --instance-id {instance.id} "
        "--no-should-decrement-desired-capacity"
    )
