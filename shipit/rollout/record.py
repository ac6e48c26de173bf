"""Write down where a rollout stands, for the process that may have to go on from there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from shipit.models import (
    Action,
    Deployment,
    FailureNote,
    Group,
    GroupEntry,
    Phase,
    RolloutPlan,
    RolloutRecord,
    Try,
)
from shipit.rollout.mark import Mark
from shipit.rollout.state import RolloutState


def entries(plan: RolloutPlan) -> Mapping[str, GroupEntry]:
    """Return the entries of the groups that a plan deploys, before anything happened."""
    return {
        p.group.name: GroupEntry(
            queue=p.group.queue,
            instances=p.group.in_service,
            wave=number,
            build=(p.published or plan.published).build.version,
            before=p.running,
            before_revision=p.group.last_success.revision if p.group.last_success else None,
        )
        for number, wave in enumerate(plan.waves)
        for p in wave
    }


def excluded(plan: RolloutPlan) -> tuple[str, ...]:
    """Return the groups that a plan leaves alone on purpose."""
    return tuple(p.group.name for p in plan.groups if p.action is Action.EXCLUDED)


def annotate(record: RolloutRecord, state: RolloutState, failures: Mapping[str, FailureNote]) -> RolloutRecord:
    """Return the record with every group as it stands now.

    Why a group failed stays noted where `failures` says nothing newer: who carries a rollout on did not look into it.
    """
    groups = dict(record.groups)
    for name, group in state.groups.items():
        phase = Phase.RUNNING if group.phase is Phase.EXAMINING else group.phase
        entry = groups.get(name, GroupEntry())
        groups[name] = replace(
            entry,
            phase=phase,
            deployments=group.deployments,
            tries=group.tries,
            started_at=group.started_at,
            ended_at=group.ended_at,
            failure=failures.get(name, entry.failure) if phase.bad else None,
        )
    return replace(record, groups=groups)


def complete(record: RolloutRecord, last_attempts: Mapping[str, Deployment]) -> RolloutRecord:
    """Return the record with each group's newest deployment, if it bears the rollout's mark and was not noted.

    The process that wrote the record may have died between a create and its note.
    """
    groups = dict(record.groups)
    for name, entry in record.groups.items():
        last = last_attempts.get(name)
        if last is None or Mark.of(record.id, last) is None or last.id in entry.deployments:
            continue
        groups[name] = replace(
            entry,
            phase=Phase.RUNNING,
            deployments=(*entry.deployments, last.id),
            tries=(*entry.tries, Try(deployment=last.id, started_at=last.created_at)),
            started_at=entry.started_at or last.created_at,
            ended_at=None,
        )
    return replace(record, groups=groups)


def gather(rollout: str, groups: Iterable[Group], *, now: datetime) -> RolloutRecord | None:
    """Return the record of a rollout made anew from the marks of its deployments, None where no group has one.

    Groups that were deployed to since, and those that it did not come to, are not in it. It counts as running, from
    the creation of its first deployment that is known, or from `now`.
    """
    found: dict[str, GroupEntry] = {}
    mark, begun = None, now
    for group in groups:
        last = group.last_attempt
        own = Mark.of(rollout, last)
        if last is None or own is None:
            continue
        mark, begun = own, min(begun, last.created_at or begun)
        found[group.name] = GroupEntry(
            queue=group.queue,
            instances=group.in_service,
            build=own.build,
            phase=Phase.RUNNING,
            deployments=(last.id,),
            started_at=last.created_at,
        )
    if mark is None:
        return None
    return RolloutRecord(id=rollout, env=mark.env, build=mark.build, by=mark.by, started_at=begun, groups=found)
