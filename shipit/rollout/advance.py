"""From a state and what was seen to the next state and the events that tell it. Pure.

What ended stays as it is; a deployment that AWS left out of its answer changes nothing; a lost or late answer never
becomes a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from shipit.errors import AccountFull, AwsError, AwsLoggedOut, AwsThrottled, AwsUnavailable, GroupBusy, ShipitError
from shipit.events import (
    Event,
    GroupBlocked,
    GroupEnded,
    GroupProgress,
    GroupRetried,
    GroupStarted,
    Notice,
    RolloutHalted,
)
from shipit.models import Deployment, DeploymentStatus, Examination, Overview, Phase, TargetStatus, Try
from shipit.rollout.conclude import conclude, condemn
from shipit.rollout.state import Errand, GroupState, Observed, OnBusy, Policy, RolloutState
from shipit.wording import share

#: Seconds until a call that AWS did not serve is made again, and until a full account is asked again.
_RETRY_AFTER, _THROTTLED_FOR, _FULL_FOR = 3.0, 0.5, 10.0
#: Whose deployments CodeDeploy starts by itself: they are nobody's, and end soon (reference codedeploy.md, §1).
_ITS_OWN = frozenset(
    {"autoscaling", "autoscalingTermination", "codeDeployRollback", "CodeDeploy", "CodeDeployAutoUpdate"}
)


def advance(previous: RolloutState, observed: Observed, now: datetime) -> tuple[RolloutState, tuple[Event, ...]]:
    """Return the next state and what changed, from the previous state and one tick's observations."""
    groups: dict[str, GroupState] = {}
    events: list[Event] = []
    for name, before in previous.groups.items():
        after = before if before.phase.ended else _step(before, observed, previous, now)
        groups[name] = after
        events += _told(before, after, observed.deployments.get(after.holder), now)
        refusal = observed.stopped.get(name)
        if before.errand is Errand.STOP and refusal is not None and not isinstance(refusal, AwsUnavailable):
            events.append(Notice(text=f"{name}: not stopped: {refusal.message}", warning=True))
    state = replace(previous, groups=groups, resume_at=_resume_at(previous, observed, groups, now))
    if not state.halted and (reason := spent(state)):
        state = replace(state, halted=reason)
        events.append(RolloutHalted(reason=reason, at=now))
    return state, tuple(events)


def spent(state: RolloutState) -> str:
    """Say in what the failure budget is spent; empty where it is not."""
    policy, groups = state.policy, state.groups.values()
    failed = sum(g.phase in (Phase.FAILED, Phase.PARTIAL, Phase.STOPPED) for g in groups)
    allowed = policy.failed_groups
    if allowed is not None and failed > allowed.of(len(groups)):
        return f"{share(failed, len(groups), 'group')} failed, and {allowed} may"
    allowed = policy.failed_instances
    if allowed is not None:
        total = sum(g.instances for g in groups)
        bad = sum(_instances_failed(g) for g in groups)
        if bad > allowed.of(total):
            return f"{share(bad, total, 'instance')} failed, and {allowed} may"
    return ""


def _instances_failed(group: GroupState) -> int:
    """Count the instances that a build is to blame for, as far as was looked: one that failed may be gone."""
    return sum(j.cause.blames_build for j in group.examination.judged)


def _resume_at(
    previous: RolloutState, observed: Observed, groups: dict[str, GroupState], now: datetime
) -> datetime | None:
    if any(isinstance(error, AccountFull) for error in observed.refused.values()):
        return now + timedelta(seconds=_FULL_FOR)
    # Room that a failure made is for others only when it was judged: it may have spent the budget.
    held = (Phase.RUNNING, Phase.EXAMINING)
    freed = any(g.phase not in held and previous.groups[name].phase in held for name, g in groups.items())
    return None if freed else previous.resume_at


def _step(state: GroupState, observed: Observed, whole: RolloutState, now: datetime) -> GroupState:
    name = state.group
    if name in observed.members and state.phase is not Phase.EXAMINING:
        state = replace(state, present=observed.members[name])
    if name in observed.created:
        state = _created(state, observed.created[name], now)
    if name in observed.absent and state.errand is Errand.FIND:
        state = replace(state, errand=None, unsure=False)
    if name in observed.refused:
        state = _refused(state, observed.refused[name], observed.deployments, whole.policy, now)
    if name in observed.withdrawn:
        state = _done(state, Errand.START)
    if name in observed.stopped:
        state = _stop_answered(state, observed.stopped[name], now)
    if name in observed.examined:
        state = _examined(state, observed.examined[name], whole.policy, now)
    if state.phase is Phase.RUNNING:
        return _looked(state, observed, now)
    if state.phase is Phase.WAITING:
        return _waited(state, observed, whole, now)
    return state


def _done(state: GroupState, *errands: Errand) -> GroupState:
    """Return the group with its errand over, where it is one of these: what was not asked ends nothing."""
    return replace(state, errand=None) if state.errand in errands else state


def _created(state: GroupState, deployment_id: str, now: datetime) -> GroupState:
    """Take a deployment of ours; one that is known already is not the one that was asked for."""
    if state.phase is not Phase.WAITING:
        return state
    if deployment_id in state.deployments:
        return replace(state, errand=None, unsure=False) if state.errand is Errand.FIND else state
    return replace(
        _done(state, Errand.START, Errand.FIND),
        phase=Phase.RUNNING,
        deployments=(*state.deployments, deployment_id),
        tries=(*state.tries, Try(deployment=deployment_id, started_at=now)),
        tried=state.tried + 1,
        overview=Overview(),
        started_at=state.started_at or now,
        quiet_since=now,
        members=state.present or state.members,
        ended_as=None,
        examination=Examination(),
        doomed=False,
        stopping=False,
        stop_taken=False,
        holder="",
        holder_stopped=False,
        unsure=False,
        not_before=None,
        empty_since=None,
        error_code="",
        error_message="",
    )


def _refused(
    state: GroupState, error: ShipitError, deployments: Mapping[str, Deployment], policy: Policy, now: datetime
) -> GroupState:
    if state.phase is not Phase.WAITING or state.errand not in (Errand.START, Errand.FIND):
        return state
    state = replace(state, errand=None)
    if isinstance(error, GroupBusy):
        return _blocked(state, error, deployments.get(error.holder_id), policy, now)
    if isinstance(error, AccountFull):
        return state
    if isinstance(error, AwsUnavailable | AwsLoggedOut):
        # Where the credentials have expired the driver ends the rollout: that is no failure of this group.
        done_nothing = isinstance(error, AwsThrottled | AwsLoggedOut)
        pause = timedelta(seconds=_THROTTLED_FOR if isinstance(error, AwsThrottled) else _RETRY_AFTER)
        return replace(state, not_before=now + pause, unsure=state.unsure or not done_nothing)
    code = "REFUSED" if isinstance(error, AwsError) else "NOT_CREATED"
    return replace(state, phase=Phase.FAILED, ended_at=now, error_code=code, error_message=error.message)


def _blocked(
    state: GroupState, busy: GroupBusy, holder: Deployment | None, policy: Policy, now: datetime
) -> GroupState:
    """Return a group that a deployment holds; the policy is for those of somebody else that have not ended."""
    if busy.holder_id in state.deployments or (holder is not None and holder.status.ended):
        # It is as good as gone, though CodeDeploy has not noticed yet.
        return replace(state, holder="", holder_stopped=False, not_before=now + timedelta(seconds=_RETRY_AFTER))
    own = holder is not None and holder.creator in _ITS_OWN
    if policy.on_busy in (OnBusy.SKIP, OnBusy.FAIL) and not own:
        phase = Phase.SKIPPED if policy.on_busy is OnBusy.SKIP else Phase.FAILED
        said = f"held by {holder.introduced(now)}" if holder else busy.message
        return replace(state, phase=phase, ended_at=now, error_code="BUSY", error_message=said)
    again = busy.holder_id == state.holder
    # One that is not to be stopped counts as stopped: what is left is to wait.
    return replace(state, holder=busy.holder_id, holder_stopped=own or (state.holder_stopped and again))


def _stop_answered(state: GroupState, error: ShipitError | None, now: datetime) -> GroupState:
    if state.errand is not Errand.STOP:
        return state
    state = replace(state, errand=None)
    if isinstance(error, AwsUnavailable):
        return replace(state, not_before=now + timedelta(seconds=_RETRY_AFTER))
    # A final refusal would only come again: then it ends when it ends.
    return replace(state, holder_stopped=True) if state.phase is Phase.WAITING else replace(state, stop_taken=True)


def _examined(state: GroupState, found: Examination | ShipitError, policy: Policy, now: datetime) -> GroupState:
    if state.errand not in (Errand.LOOK, Errand.EXAMINE):
        return state
    asked, state = state.errand, replace(state, errand=None)
    if isinstance(found, AwsUnavailable | AwsLoggedOut):
        return replace(state, not_before=now + timedelta(seconds=_RETRY_AFTER))
    if state.phase is Phase.EXAMINING and asked is Errand.EXAMINE:
        if isinstance(found, ShipitError):
            return condemn(state, found, now)
        return conclude(state, found, policy, now)
    if state.phase is not Phase.RUNNING or asked is not Errand.LOOK:
        # A look from before the end says nothing about the end.
        return state
    state = replace(state, quiet_since=now, not_before=now + timedelta(seconds=policy.look_every))
    if isinstance(found, ShipitError):
        return state
    moving = [j for j in found.judged if j.target.status not in (TargetStatus.FAILED, TargetStatus.SKIPPED)]
    doomed = _waits_in_vain(found) and (all(j.cause.gone for j in moving) or _waits_in_vain(state.examination))
    return replace(
        state,
        examination=found,
        members=frozenset(j.target.instance_id for j in moving),
        doomed=doomed,
        not_before=None if doomed else state.not_before,
    )


def _waits_in_vain(found: Examination) -> bool:
    """Tell whether all that the deployment works on is gone.

    Those that are pending wait behind it; just between two turns it looks the same, so that one look proves nothing
    while there are living ones among them.
    """
    moving = [j for j in found.judged if j.target.status not in (TargetStatus.FAILED, TargetStatus.SKIPPED)]
    worked_on = [j for j in moving if j.target.status is not TargetStatus.PENDING] or moving
    return bool(worked_on) and all(j.cause.gone for j in worked_on)


def _looked(state: GroupState, observed: Observed, now: datetime) -> GroupState:
    seen = observed.deployments.get(state.deployment_id)
    if seen is None:
        return state
    # Where nobody can tell since when it is quiet, counts that are new to us alone are no news.
    news = seen.overview != state.overview and state.quiet_since is not None
    state = replace(
        state,
        overview=seen.overview,
        error_code=seen.error_code,
        error_message=seen.error_message,
        quiet_since=now if news else state.quiet_since,
    )
    if not seen.status.ended:
        return state
    succeeded = seen.status is DeploymentStatus.SUCCEEDED
    tries = tuple(replace(t, ended_at=now) if t.deployment == seen.id else t for t in state.tries)
    state = replace(state, tries=tries, ended_as=seen.status, moved=state.moved or succeeded, not_before=None)
    # CodeDeploy's Succeeded may hide targets that failed or were skipped (reference codedeploy.md, §1).
    if succeeded and 0 < seen.overview.succeeded == seen.overview.total:
        # What a look saw on the way is over: it would count as failed instances.
        return replace(state, phase=Phase.SUCCEEDED, errand=None, examination=Examination(), ended_at=now)
    return replace(state, phase=Phase.EXAMINING)


def _waited(state: GroupState, observed: Observed, whole: RolloutState, now: datetime) -> GroupState:
    if state.errand is not None:
        return state
    holder = observed.deployments.get(state.holder)
    if holder is not None and holder.status.ended:
        state = replace(state, holder="", holder_stopped=False)
    if not state.deployments or state.unsure:
        return state
    if whole.closed:
        return replace(state, phase=Phase.STOPPED, ended_at=now)
    if state.present:
        return replace(state, empty_since=None)
    # Where nobody could look it may have filled again.
    if state.empty_since is not None and state.present is not None:
        patience = timedelta(seconds=whole.policy.wait_for_members)
        if now - state.empty_since >= patience:
            return replace(state, phase=Phase.EMPTY, ended_at=now)
    return state


def _told(before: GroupState, after: GroupState, holder: Deployment | None, now: datetime) -> Iterable[Event]:
    if after.deployments != before.deployments:
        yield GroupStarted(
            group=after.group,
            deployment_id=after.deployment_id,
            instances=after.instances,
            attempt=after.tried,
            at=now,
        )
    if after.holder and after.holder != before.holder:
        said = holder.introduced(now) if holder else ""
        yield GroupBlocked(group=after.group, holder_id=after.holder, at=now, holder=said)
    if after.phase.ended and not before.phase.ended:
        yield GroupEnded(
            group=after.group,
            deployment_id=after.deployment_id,
            phase=after.phase,
            overview=after.overview,
            seconds=max((now - after.started_at).total_seconds(), 0.0) if after.started_at else 0.0,
            at=now,
            error_code=after.error_code,
            error_message=after.error_message,
        )
    elif after.phase is Phase.WAITING and before.phase is not Phase.WAITING:
        yield GroupRetried(group=after.group, deployment_id=after.deployment_id, reason=after.error_message, at=now)
    elif after.overview != before.overview:
        yield GroupProgress(group=after.group, deployment_id=after.deployment_id, overview=after.overview, at=now)
