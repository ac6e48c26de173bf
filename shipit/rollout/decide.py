"""What to do next, from the state alone. Pure: it marks each errand as under way, and changes nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shipit.models import Phase
from shipit.rollout.state import Command, Errand, Examine, GroupState, OnBusy, RolloutState, Start, Stop


def decide(state: RolloutState, now: datetime) -> tuple[RolloutState, tuple[Command, ...]]:
    """Return what is to be done now, in order, and the state in which that is under way."""
    commands = [c for g in state.groups.values() if (c := _next(g, state, now)) is not None]
    if not commands:
        return state, ()
    under_way = {c.group: _under_way(state.groups[c.group], c) for c in commands}
    return replace(state, groups={**state.groups, **under_way}), tuple(commands)


def _under_way(group: GroupState, command: Command) -> GroupState:
    match command:
        case Start():
            return replace(group, errand=Errand.START)
        case Stop(deployment_id=deployment_id):
            # Noted before the call: if its answer is lost, Stopped is still our doing.
            return replace(group, errand=Errand.STOP, stopping=group.stopping or deployment_id == group.deployment_id)
        case Examine(ended=ended):
            return replace(group, errand=Errand.EXAMINE if ended else Errand.LOOK)


def _next(group: GroupState, whole: RolloutState, now: datetime) -> Command | None:
    if group.errand is not None or (group.not_before is not None and now < group.not_before):
        return None
    match group.phase:
        case Phase.EXAMINING:
            return Examine(group=group.group, deployment_id=group.deployment_id, ended=True)
        case Phase.RUNNING if group.doomed and not group.stop_taken:
            return Stop(group=group.group, deployment_id=group.deployment_id)
        case Phase.RUNNING if _hangs(group):
            return Examine(group=group.group, deployment_id=group.deployment_id, ended=False)
        case Phase.WAITING:
            return _start(group, whole, now)
        case _:
            return None


def _hangs(group: GroupState) -> bool:
    """Tell whether all that the deployment still waits for may be instances that are gone.

    CodeDeploy would wait for them for up to an hour (reference codedeploy.md, §4).
    """
    unfinished = group.overview.pending + group.overview.in_progress
    return not group.stopping and 0 < unfinished <= len(group.lost)


def _start(group: GroupState, whole: RolloutState, now: datetime) -> Command | None:
    if not whole.may_start(group):
        return None
    if group.holder:
        if whole.policy.on_busy is OnBusy.STOP and not group.holder_stopped:
            return Stop(group=group.group, deployment_id=group.holder)
        return None
    if group.empty_since is not None or (whole.resume_at is not None and now < whole.resume_at):
        return None
    return Start(group=group.group, attempt=group.attempt, outdated_only=group.outdated_only, unsure=group.unsure)
