"""What to do next, from the state alone. Pure: it marks each errand as under way, and changes nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shipit.models import Phase, TargetStatus
from shipit.rollout.state import Command, Errand, Examine, Find, GroupState, OnBusy, Policy, RolloutState, Start, Stop

#: Seconds without news after which a deployment's targets are looked at, whoever is missing or not: who was launched
#: after the plan, or died before a resume, is missed by nobody.
_QUIET = 300.0


def decide(state: RolloutState, now: datetime) -> tuple[RolloutState, tuple[Command, ...]]:
    """Return what is to be done now, in order, and the state in which that is under way."""
    commands = [c for g in state.groups.values() if (c := _next(g, state, now)) is not None]
    if not commands:
        return state, ()
    under_way = {c.group: _under_way(state.groups[c.group], c) for c in commands}
    return replace(state, groups={**state.groups, **under_way}), tuple(commands)


def _under_way(group: GroupState, command: Command) -> GroupState:
    match command:
        case Find():
            return replace(group, errand=Errand.FIND)
        case Start():
            return replace(group, errand=Errand.START)
        case Stop(deployment_id=deployment_id):
            # Noted before the call: if its answer is lost, Stopped is still our doing.
            return replace(group, errand=Errand.STOP, stopping=group.stopping or deployment_id == group.deployment_id)
        case Examine(ended=ended):
            return replace(group, errand=Errand.EXAMINE if ended else Errand.LOOK)


def next_due(state: RolloutState, now: datetime) -> datetime | None:
    """Return when something may have to be done next though nothing is heard; None where there is no such time."""
    moments = [g.not_before for g in state.groups.values() if g.errand is None and not g.phase.ended]
    return min((m for m in [*moments, state.resume_at] if m is not None and m > now), default=None)


def _next(group: GroupState, whole: RolloutState, now: datetime) -> Command | None:
    if group.errand is not None or (group.not_before is not None and now < group.not_before):
        return None
    match group.phase:
        case Phase.EXAMINING:
            return Examine(group=group.group, deployment_id=group.deployment_id, ended=True)
        case Phase.RUNNING if group.doomed:
            return None if group.stop_taken else Stop(group=group.group, deployment_id=group.deployment_id)
        case Phase.RUNNING if _hangs(group, now) or _is_unexplained(group, whole.policy):
            return Examine(group=group.group, deployment_id=group.deployment_id, ended=False)
        case Phase.WAITING if group.unsure:
            return Find(group=group.group, attempt=group.attempt)
        case Phase.WAITING:
            return _start(group, whole, now)
        case _:
            return None


def _hangs(group: GroupState, now: datetime) -> bool:
    """Tell whether all that the deployment waits for may be instances that are gone.

    CodeDeploy would wait for them for up to an hour (reference codedeploy.md, §4), and the pending ones would, too.
    """
    if group.quiet_since is None or now - group.quiet_since >= timedelta(seconds=_QUIET):
        return True
    waits_for = group.overview.in_progress or group.overview.pending
    return 0 < waits_for <= len(group.lost)


def _is_unexplained(group: GroupState, policy: Policy) -> bool:
    """Tell whether instances failed of which it matters, and is not known yet, whether they live."""
    known = sum(j.target.status is TargetStatus.FAILED for j in group.examination.judged)
    return policy.failed_instances is not None and group.overview.failed > known


def _start(group: GroupState, whole: RolloutState, now: datetime) -> Command | None:
    if not whole.may_start(group):
        return None
    if group.holder:
        if whole.policy.on_busy is OnBusy.STOP and not group.holder_stopped:
            return Stop(group=group.group, deployment_id=group.holder)
        return None
    if group.empty_since is not None or (whole.resume_at is not None and now < whole.resume_at):
        return None
    return Start(group=group.group, attempt=group.attempt, outdated_only=group.outdated_only)
