"""From a record, and what CodeDeploy knows beyond it, to the state from which a rollout goes on. Pure.

The process that wrote the record may have died between a create and its note: the mark in the deployment's
description tells (see `Mark`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from shipit.models import Deployment, Phase, PlannedGroup, RolloutPlan, RolloutRecord, Try
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
    planned = {p.group.name: p for p in plan.to_deploy}
    groups = {
        name: _restored(state, record, plan, planned[name], last_attempts.get(name))
        if name in record.groups
        else state
        for name, state in fresh.groups.items()
    }
    begun = [g.wave for g in groups.values() if g.phase.ended or g.tried]
    return replace(fresh, groups=groups, wave=max(begun, default=0))


def _restored(
    state: GroupState, record: RolloutRecord, plan: RolloutPlan, planned: PlannedGroup, last: Deployment | None
) -> GroupState:
    entry, success = record.groups[state.group], planned.group.last_success
    deployments, tries = entry.deployments, entry.tries
    newest = _newest(record, last, success)
    if newest is not None and newest.id not in deployments:
        deployments = (*deployments, newest.id)
        tries = (*tries, Try(deployment=newest.id, started_at=newest.created_at))
    mark = Mark.parse(newest.description) if newest is not None else None
    revision = (planned.published or plan.published).revision
    # Nobody else brings this build here: where it is the group's last success, a try of ours succeeded.
    brought = success is not None and success.revision == revision != entry.before_revision
    state = replace(
        state,
        deployments=deployments,
        tries=tries,
        # Of tries between the record and the newest one only the newest one's mark tells.
        tried=max(len(deployments), mark.attempt if mark is not None else 0),
        moved=brought or (success is not None and success.id in deployments),
        started_at=entry.started_at,
        ended_at=entry.ended_at,
    )
    if deployments != entry.deployments or not (entry.phase.ended or entry.phase is Phase.WAITING):
        started = state.started_at or (newest.created_at if newest else None)
        return replace(state, phase=Phase.RUNNING, started_at=started, ended_at=None, stopping=True)
    if entry.phase.ended:
        return replace(state, phase=entry.phase)
    # A try that succeeded may be hidden by what CodeDeploy did by itself since then: whether each instance has the
    # build is for a try at the outdated ones to say.
    return replace(state, tried=max(state.tried, int(brought)), outdated_only=bool(deployments) or brought)


def _newest(record: RolloutRecord, *candidates: Deployment | None) -> Deployment | None:
    """Return the newest of the deployments that bears the rollout's mark."""
    found: dict[int, Deployment] = {}
    for deployment in candidates:
        mark = Mark.of(record.id, deployment)
        if deployment is not None and mark is not None:
            found.setdefault(mark.attempt, deployment)
    return found[max(found)] if found else None


def reopen(state: RolloutState, groups: Iterable[str], reason: str, now: datetime) -> RolloutState:
    """Return the state in which groups that succeeded are tried once more, at their outdated instances alone.

    Instances that were launched in the middle got the revision before. Groups whose retries are spent stay as they
    are, and so does everything in a rollout that is closed.
    """
    changed = {}
    for name in groups:
        group = state.groups[name]
        if state.closed or group.phase is not Phase.SUCCEEDED or group.tried - group.spared > state.policy.retries:
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
