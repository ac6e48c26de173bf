"""From a record, and what CodeDeploy knows beyond it, to the state from which a rollout goes on. Pure.

The process that wrote the record may have died between a create and its note: the mark in the deployment's
description tells (see `Mark`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from shipit.models import Deployment, Phase, RolloutPlan, RolloutRecord
from shipit.rollout.mark import Mark
from shipit.rollout.state import GroupState, Policy, RolloutState, begin


def restore(
    record: RolloutRecord, plan: RolloutPlan, last_attempts: Mapping[str, Deployment], policy: Policy
) -> RolloutState:
    """Return the state of a rollout whose process is gone.

    `plan` names all groups of the record, in its waves; `last_attempts` is each group's newest deployment. What
    ended stays ended, so that the groups that succeeded are not deployed again; what was stopped meanwhile is tried
    again, for the user asked to carry on.
    """
    fresh = begin(plan, policy)
    groups = {
        name: _restored(state, record, last_attempts.get(name)) if name in record.groups else state
        for name, state in fresh.groups.items()
    }
    open_waves = [g.wave for g in groups.values() if not g.phase.ended and g.deployments]
    ended_waves = [g.wave for g in groups.values() if g.phase.ended]
    return replace(fresh, groups=groups, wave=max([0, *open_waves, *ended_waves]))


def _restored(state: GroupState, record: RolloutRecord, last: Deployment | None) -> GroupState:
    entry = record.groups[state.group]
    deployments = entry.deployments
    if last is not None and last.id not in deployments and _is_of(last, record.id):
        deployments = (*deployments, last.id)
    state = replace(state, deployments=deployments, started_at=entry.started_at, ended_at=entry.ended_at)
    if entry.phase.ended and deployments == entry.deployments:
        return replace(state, phase=entry.phase)
    if entry.phase is Phase.WAITING and deployments == entry.deployments:
        return replace(state, outdated_only=bool(deployments))
    started = state.started_at or (last.created_at if last else None)
    return replace(state, phase=Phase.RUNNING, started_at=started, created_at=started, ended_at=None, stopping=True)


def _is_of(deployment: Deployment, rollout: str) -> bool:
    mark = Mark.parse(deployment.description)
    return mark is not None and mark.rollout == rollout


def reopen(state: RolloutState, groups: Iterable[str], reason: str, now: datetime) -> RolloutState:
    """Return the state in which groups that succeeded are tried once more, at their outdated instances alone.

    Instances that were launched in the middle got the revision before. Groups whose retries are spent stay as they
    are, and so does everything in a rollout that is closed.
    """
    changed = {}
    for name in groups:
        group = state.groups[name]
        if state.closed or group.phase is not Phase.SUCCEEDED or len(group.deployments) > state.policy.retries:
            continue
        changed[name] = replace(
            group,
            phase=Phase.WAITING,
            outdated_only=True,
            error_code="",
            error_message=reason,
            ended_at=None,
            present=None,
            stopping=False,
            stop_taken=False,
            doomed=False,
            not_before=None,
        )
    return replace(state, groups={**state.groups, **changed})
