"""How a rollout ends: what its groups' ends amount to, its outcome, and what the reports proved. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from shipit.errors import (
    AwsError,
    BusyError,
    DriftError,
    GroupsRefused,
    Interrupted,
    LockLost,
    ShipitError,
    StillRunning,
)
from shipit.events import GroupEnded
from shipit.models import GroupEntry, NodeState, Outcome, Overview, Phase, Proof, RolloutRecord, Verification
from shipit.rollout import RolloutState
from shipit.wording import plural, share


def proof_of(found: Verification) -> Proof:
    """Return what a look at a fleet proved."""
    return Proof(
        states=found.states,
        counted=found.counted,
        converged=found.converged,
        query_id=found.cost.query_id,
        at=found.at,
    )


def end_of(name: str, entry: GroupEntry, overview: Overview, now: datetime) -> GroupEnded:
    """Return what tells the end of a group that the record knows, `now` where it does not know when that was."""
    return GroupEnded(
        group=name,
        deployment_id=entry.deployments[-1] if entry.deployments else "",
        phase=entry.phase,
        overview=overview,
        seconds=entry.seconds or 0.0,
        at=entry.ended_at or now,
        error_message=entry.failure.cause if entry.failure else "",
    )


def ended_before(record: RolloutRecord, state: RolloutState, now: datetime) -> Iterator[GroupEnded]:
    """Tell the groups that had ended when a rollout was carried on: they are of it, and count at its end."""
    for name, entry in record.groups.items():
        if name in state.groups and state.groups[name].phase.ended:
            reached = Overview(succeeded=entry.instances) if entry.phase is Phase.SUCCEEDED else Overview()
            yield replace(end_of(name, entry, reached, now), at=now)


def is_vain(found: Verification, state: RolloutState) -> bool:
    """Tell whether all that is not current is in groups that failed: waiting brings them nothing."""
    late = {n.group for n in found.nodes if n.state.is_counted and n.state is not NodeState.CURRENT}
    return bool(late) and all(name in state.groups and state.groups[name].phase.bad for name in late)


def sum_of(state: RolloutState, build: str, *, whole: bool) -> ShipitError | None:
    """Return what the groups' ends amount to, None where that is good so far.

    What some of them failed in counts once no more may start, or where the `whole` is over.
    """
    bad = [g for g in state.groups.values() if g.phase.bad]
    if not state.halted and not (whole and bad):
        return None
    again = f"inv deploy --build {build} starts those that are not on it"
    waiting = state.count(Phase.WAITING)
    left = f"; {plural(waiting, 'was', 'were')} not started" if waiting else ""
    if state.closed:
        return ShipitError(f"{state.halted}{left}", hint=f"{again}; inv rollback goes back")
    part = share(len(bad), len(state.groups), "group")
    part_was = f"{part} {'was' if len(bad) == 1 else 'were'}"
    phases, codes = {g.phase for g in bad}, {g.error_code for g in bad}
    if phases == {Phase.SKIPPED} or codes == {"BUSY"}:
        return BusyError(f"{part_was} busy with another deployment", hint=again)
    if phases == {Phase.PARTIAL}:
        return DriftError(f"{part_was} only partly deployed{left}", hint=again)
    if codes == {"REFUSED"}:
        untried = f", {plural(waiting, 'more was', 'more were')} not tried" if waiting else ""
        return GroupsRefused(
            f"{part} could not be started{untried}: {bad[0].error_message}",
            hint=f"mend what AWS refused (docs/iam.md), then {again}",
        )
    if not state.halted and (well := state.count(Phase.SUCCEEDED)):
        return DriftError(f"{part} failed, as many as may; {well} got the build", hint=again)
    return ShipitError(f"{part} failed{left}", hint=f"{again}; inv rollback goes back")


def outcome_of(ended: ShipitError | None, *, proved: bool, stopped: bool) -> Outcome:
    """Return how a rollout ended: by what it raised, whether it was to be `proved`, whether somebody `stopped` it."""
    if ended is None:
        return Outcome.CONVERGED if proved else Outcome.DEPLOYED
    if stopped:
        return Outcome.STOPPED
    for kind, outcome in (
        (Interrupted, Outcome.INTERRUPTED),
        (StillRunning, Outcome.TIMED_OUT),
        # What runs goes on, and nobody was busy: it may be carried on once the lock is free.
        (LockLost, Outcome.INTERRUPTED),
        (BusyError, Outcome.BUSY),
        (DriftError, Outcome.DRIFTED),
        (GroupsRefused, Outcome.REFUSED),
        (AwsError, Outcome.INTERRUPTED),
    ):
        if isinstance(ended, kind):
            return outcome
    return Outcome.FAILED
