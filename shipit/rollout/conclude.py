"""How a deployment that did not simply succeed leaves its group: tried again, or ended. Pure.

An instance that is gone says nothing about the build; one that is alive and failed does. CodeDeploy tells the two
apart nowhere (reference codedeploy.md, §4), so the word of EC2 and Auto Scaling stands in the Examination.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from shipit.errors import ShipitError
from shipit.models import Cause, DeploymentStatus, Examination, Judged, Overview, Phase
from shipit.rollout.state import GroupState, Policy
from shipit.wording import listing


def conclude(state: GroupState, found: Examination, policy: Policy, now: datetime) -> GroupState:
    """Return the group after its deployment's targets were looked at."""
    state = replace(state, errand=None, examination=found)
    gone = [j for j in found.judged if j.cause.gone]
    left = [j for j in found.judged if j.cause in (Cause.SKIPPED, Cause.RUNNING)]
    succeeded = state.ended_as is DeploymentStatus.SUCCEEDED
    if _reached_nobody(state, found):
        if state.moved and found.in_service:
            # One of ours succeeded before, and since then none was outdated: all that is there has the build.
            return _ended(replace(state, error_code="", error_message=""), Phase.SUCCEEDED, now)
        # Also the end of a try at outdated instances where there were none: only a whole one moves the revision
        # that the next launched instance gets (reference codedeploy.md, §1 "No InService instance").
        if state.outdated_only and found.in_service:
            state = replace(state, spared=state.spared + 1)
            return _again(state, policy, now, reason="none that was left was outdated", outdated_only=False)
        return _again(state, policy, now, reason="no instance was in service", outdated_only=False)
    if state.ended_as is DeploymentStatus.STOPPED and not state.stopping:
        return _ended(state, Phase.STOPPED, now)
    if _is_blamed(state, found, gone, left):
        return _ended(state, Phase.PARTIAL if succeeded else Phase.FAILED, now)
    if succeeded and not left:
        return _ended(state, Phase.SUCCEEDED, now)
    if gone or state.stopping or (succeeded and left):
        return _again(state, policy, now, reason=_why(gone, left), outdated_only=True)
    return _ended(state, Phase.FAILED, now)


def _reached_nobody(state: GroupState, found: Examination) -> bool:
    failed = state.ended_as is DeploymentStatus.FAILED and state.error_code == "NO_INSTANCES"
    return failed and not found.judged and not state.overview.total


def condemn(state: GroupState, error: ShipitError, now: datetime) -> GroupState:
    """Return the group whose deployment ended and whose targets nobody may look at: doubt excuses no build."""
    state = replace(
        state,
        errand=None,
        examination=Examination(),
        error_code=state.error_code or "NOT_EXAMINED",
        error_message=state.error_message or error.message,
    )
    if state.ended_as is DeploymentStatus.STOPPED:
        return _ended(state, Phase.STOPPED, now)
    return _ended(state, Phase.PARTIAL if state.ended_as is DeploymentStatus.SUCCEEDED else Phase.FAILED, now)


def _is_blamed(state: GroupState, found: Examination, gone: Sequence[Judged], left: Sequence[Judged]) -> bool:
    """Tell whether a living instance failed, or one failed that nobody could find: doubt excuses no build."""
    if any(j.cause.blames_build for j in found.judged):
        return True
    overview = state.overview
    succeeded = state.ended_as is DeploymentStatus.SUCCEEDED
    bad = overview.total - overview.succeeded if succeeded else overview.failed
    return bad > len(gone) + len(left)


def _again(state: GroupState, policy: Policy, now: datetime, *, reason: str, outdated_only: bool) -> GroupState:
    found = state.examination
    if not found.in_service and not found.count(Cause.RECLAIMED):
        # A reclaimed instance is replaced; a group that was scaled in to nothing stays empty.
        return _ended(state, Phase.EMPTY, now)
    if state.tried - state.spared > policy.retries:
        tries = f"{reason}; given up after {state.tried} tries"
        return _ended(replace(state, error_code="RETRIES", error_message=tries), Phase.FAILED, now)
    return replace(
        state,
        phase=Phase.WAITING,
        outdated_only=outdated_only,
        overview=Overview(),
        error_code="",
        error_message=reason,
        stopping=False,
        stop_taken=False,
        doomed=False,
        empty_since=now if not found.in_service else None,
        present=None,
        not_before=None,
    )


def _ended(state: GroupState, phase: Phase, now: datetime) -> GroupState:
    return replace(state, phase=phase, ended_at=now)


def _why(gone: Sequence[Judged], left: Sequence[Judged]) -> str:
    if not gone:
        return f"{len(left)} of its instances had no turn" if left else "it was stopped"
    causes = sorted({j.cause.value for j in gone})
    names = listing([j.target.instance_id for j in gone], 3)
    return f"{names} {'was' if len(gone) == 1 else 'were'} {' or '.join(causes)}"
