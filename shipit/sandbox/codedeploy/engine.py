"""What becomes of a deployment: its instances in slots, its verdict, and the deployments that follow from it.

Event-driven: every step is a callback on the clock under the store's lock, so that no deployment needs a thread and
no caller waits. Where a sentence here says "unmeasured", no source tells what AWS does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from shipit.models import DeploymentStatus, TargetStatus
from shipit.sandbox.agents import Agent, Members
from shipit.sandbox.clock import Handle, Timer
from shipit.sandbox.codedeploy.health import Progress, Verdict
from shipit.sandbox.codedeploy.lifecycle import Lifecycle
from shipit.sandbox.codedeploy.records import (
    AUTO_UPDATE,
    LAUNCH,
    ROLLBACK,
    USER,
    Deployment,
    Group,
    Host,
    Order,
    Registration,
    RollbackPolicy,
    Target,
)
from shipit.sandbox.codedeploy.store import Store
from shipit.sandbox.wire import ApiError

#: Seconds after which an in-place deployment fails (reference codedeploy.md, section 2).
DEPLOYMENT_MUST_END = 12 * 3600.0

_TOO_FEW_HEALTHY = (
    "HEALTH_CONSTRAINTS",
    "The overall deployment failed because too many individual instances failed deployment, too few healthy "
    "instances are available for deployment, or some instances in your deployment group are experiencing problems.",
)
_NO_INSTANCES = (
    "NO_INSTANCES",
    "The deployment failed because no instances were found for your deployment group. Check your deployment group "
    "settings to make sure the tags for your Amazon EC2 instances or Auto Scaling groups correctly identify the "
    "instances you want to deploy to, and then try again.",
)
_MANUAL_STOP = ("MANUAL_STOP", "The deployment was stopped by the user.")
_TIMEOUT = ("TIMEOUT", "The deployment did not end within its time limit.")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bound the service.

    `active` deployments run in the account at once (AWS's default, adjustable, and launches count); one stays
    Created and then Queued for `created` and `queued` seconds of the clock before it begins.
    """

    active: int = 1000
    created: float = 0.5
    queued: float = 0.5


class Engine:
    """Run deployments. Its public methods need the store's lock held, the two about instances excepted."""

    def __init__(
        self,
        store: Store,
        timer: Timer,
        members: Members,
        agent: Agent,
        limits: Limits,
        launch_ended: Callable[[str, str, bool], None],
    ) -> None:
        """Tell `launch_ended(asg, instance_id, succeeded)` how launches came out: the answer to the launch hook."""
        self._store = store
        self._timer = timer
        self._members = members
        self._limits = limits
        self._most_active = limits.active
        self._launch_ended = launch_ended
        self._lifecycle = Lifecycle(timer, agent, store.lock)
        self._active = 0

    def submit(self, order: Order) -> Deployment:
        """Accept a deployment of a whole group.

        Raises DeploymentLimitExceededException: with the holder's id for a busy group, without for a full account.
        """
        group = order.group
        if group.active is not None:
            raise ApiError(
                "DeploymentLimitExceededException",
                f"The Deployment Group '{group.name}' already has an active Deployment '{group.active.id}'",
            )
        if self._active >= self._most_active:
            raise ApiError(
                "DeploymentLimitExceededException",
                f"The account's limit of {self._most_active} concurrent deployments is reached",
            )
        return self._create(order)

    def limit_active(self, active: int | None) -> None:
        """Let so many deployments run in the account from now on; None for what the limits said at first."""
        self._most_active = self._limits.active if active is None else active

    def stop(self, deployment: Deployment, rollback: bool | None) -> bool:
        """Stop a deployment; return whether hooks still run, for those are not interrupted.

        The status is Stopped at once, even where a dead instance holds an event. `rollback` None leaves the
        decision to the policy. Raises DeploymentAlreadyCompletedException.
        """
        if deployment.status.ended:
            message = f"The deployment {deployment.id} has already completed"
            raise ApiError("DeploymentAlreadyCompletedException", message)
        still_running = deployment.counts[TargetStatus.IN_PROGRESS] > 0
        self._end(deployment, DeploymentStatus.STOPPED, _MANUAL_STOP, rollback)
        return still_running

    def abandon(self, group: Group) -> None:
        """Fail what runs in a group that is being deleted."""
        for deployment in list(self._store.deployments.values()):
            if deployment.order.group is group and not deployment.status.ended:
                error = ("DEPLOYMENT_GROUP_MISSING", f"The deployment group {group.name} was deleted.")
                self._end(deployment, DeploymentStatus.FAILED, error, rollback=False)

    def instance_launched(self, asg: str, instance_id: str) -> None:
        """Deploy the last successful revision to a new instance, of each group on its Auto Scaling group.

        Safe from any thread, and returns at once. Where there is nothing to deploy the launch has succeeded.
        """
        self._later(0, lambda: self._launch(asg, instance_id))

    def instance_gone(self, instance_id: str) -> None:
        """Note a death. Nobody tells CodeDeploy of it: what ran there lapses (reference, section 4).

        Safe from any thread, and returns at once.
        """
        self._later(0, lambda: self._bury(instance_id))

    def _later(self, seconds: float, step: Callable[[], None]) -> Handle:
        def locked() -> None:
            with self._store.lock:
                step()

        return self._timer.call_later(seconds, locked)

    # -- a deployment's way -------------------------------------------------------------------------------------

    def _create(self, order: Order) -> Deployment:
        group, now = order.group, self._timer.now()
        deployment = Deployment(
            id=self._store.new_deployment_id(),
            order=order,
            created_at=now,
            previous=group.last_success.order.bundle if group.last_success else None,
        )
        self._store.deployments[deployment.id] = deployment
        self._active += 1
        # A launch runs beside the group's one deployment; whether AWS would let it hold up a later one: unmeasured.
        if order.creator != LAUNCH:
            group.active = group.last_attempt = deployment
            group.late = set(group.launching)
        registration = group.application.revisions.setdefault(order.bundle, Registration(registered_at=now))
        registration.first_used_at = registration.first_used_at or now
        registration.last_used_at = now
        self._later(self._limits.created, lambda: self._queue(deployment))
        return deployment

    def _queue(self, deployment: Deployment) -> None:
        if not deployment.status.ended:
            deployment.status = DeploymentStatus.QUEUED
            self._later(self._limits.queued, lambda: self._begin(deployment))

    def _begin(self, deployment: Deployment) -> None:
        if deployment.status.ended:
            return
        deployment.status = DeploymentStatus.IN_PROGRESS
        deployment.started_at = now = self._timer.now()
        fleet = self._fleet(deployment.order)
        for instance_id in self._chosen(deployment, fleet):
            deployment.targets[instance_id] = Target(instance_id=instance_id, updated_at=now)
        deployment.fleet = len(fleet.union(deployment.targets))
        deployment.waiting = deque(deployment.targets.values())
        deployment.counts[TargetStatus.PENDING] = len(deployment.targets)
        if deployment.targets:
            deployment.deadline = self._later(DEPLOYMENT_MUST_END, lambda: self._overdue(deployment))
            self._advance(deployment)
        else:
            self._end(deployment, DeploymentStatus.FAILED, _NO_INSTANCES)

    def _fleet(self, order: Order) -> set[str]:
        return {instance_id for asg in order.group.asgs for instance_id in self._members.in_service(asg)}

    def _chosen(self, deployment: Deployment, fleet: set[str]) -> list[str]:
        """Pick the targets in AWS's order: unhealthy, unknown, old revision, current revision.

        An update of outdated instances that finds none ends with NO_INSTANCES here; unmeasured.
        """
        order, hosts = deployment.order, deployment.order.group.hosts
        candidates = fleet if order.only is None else set(order.only)
        ranks = {instance_id: _rank(hosts.get(instance_id, Host()), order) for instance_id in candidates}
        if order.outdated_only:
            ranks = {instance_id: rank for instance_id, rank in ranks.items() if rank != _CURRENT}
        return sorted(ranks, key=lambda instance_id: (ranks[instance_id], instance_id))

    def _advance(self, deployment: Deployment) -> None:
        """Fill the free slots, or end the deployment."""
        progress = _progress(deployment)
        for _ in range(progress.slots):
            target = deployment.waiting.popleft()
            deployment.move(target, TargetStatus.IN_PROGRESS, self._timer.now())
            self._lifecycle.begin(deployment, target, self._ending(deployment, target))
        verdict = progress.verdict
        if verdict is Verdict.SUCCEEDED:
            self._end(deployment, DeploymentStatus.SUCCEEDED)
        elif verdict is Verdict.TOO_FEW_HEALTHY:
            self._end(deployment, DeploymentStatus.FAILED, _TOO_FEW_HEALTHY)

    def _ending(self, deployment: Deployment, target: Target) -> Callable[[TargetStatus], None]:
        def ended(status: TargetStatus) -> None:
            deployment.move(target, status, self._timer.now())
            if not self._lifecycle.is_gone(target.instance_id):
                deployment.order.group.hosts[target.instance_id] = _left_behind(deployment.order, status)
            if not deployment.status.ended:
                self._advance(deployment)

        return ended

    def _overdue(self, deployment: Deployment) -> None:
        # A stop may have come while this step waited for the lock.
        if not deployment.status.ended:
            self._end(deployment, DeploymentStatus.FAILED, _TIMEOUT)

    def _end(
        self,
        deployment: Deployment,
        status: DeploymentStatus,
        error: tuple[str, str] | None = None,
        rollback: bool | None = None,
    ) -> None:
        """End a deployment, skip what waits, and start what follows from the end."""
        now, group = self._timer.now(), deployment.order.group
        deployment.status, deployment.completed_at, deployment.error = status, now, error
        self._active -= 1
        if deployment.deadline is not None:
            deployment.deadline.cancel()
        for target in deployment.waiting:
            target.skip_pending()
            deployment.move(target, TargetStatus.SKIPPED, now)
        deployment.waiting.clear()
        if deployment.order.creator == LAUNCH:
            self._launch_done(deployment)
            return
        group.active = None
        if status is DeploymentStatus.SUCCEEDED:
            # A follow-on reaches a part of the group only, so the success stays its root's; unmeasured.
            if deployment.order.creator != AUTO_UPDATE:
                group.last_success = deployment
            self._update_late(group)
        else:
            group.late.clear()
            self._roll_back(deployment, rollback)

    # -- what follows from it -----------------------------------------------------------------------------------

    def _roll_back(self, failed: Deployment, wanted: bool | None) -> None:
        """Roll a user's deployment back where that is wanted, or, where nobody said, where the policy covers it."""
        order, group = failed.order, failed.order.group
        stopped = failed.status is DeploymentStatus.STOPPED
        policy = order.rollback or group.rollback
        covered = policy.covers("DEPLOYMENT_STOP_ON_REQUEST" if stopped else "DEPLOYMENT_FAILURE")
        if order.creator != USER or not (covered if wanted is None else wanted):
            return
        if group.last_success is None:
            failed.rollback_message = "No rollback: the deployment group has no successful deployment to return to."
            return
        rollback = self._create(_derived(order, creator=ROLLBACK, bundle=group.last_success.order.bundle))
        rollback.rollback_of, failed.rollback_id = failed.id, rollback.id

    def _update_late(self, group: Group) -> None:
        """Start the follow-on for instances that were launched in mid-deployment and run another revision."""
        root = group.last_success
        if root is None or group.active is not None or group.outdated_strategy != "UPDATE":
            return
        ready = group.late.difference(group.launching)
        group.late -= ready
        outdated = sorted(i for i in ready if group.hosts.get(i, Host()).bundle != root.order.bundle)
        if outdated:
            follow_on = self._create(
                _derived(root.order, creator=AUTO_UPDATE, only=tuple(outdated), outdated_only=True)
            )
            follow_on.root_id = root.id
            root.follow_on_ids.append(follow_on.id)

    def _launch(self, asg: str, instance_id: str) -> None:
        self._lifecycle.launched(instance_id)
        groups = self._store.groups_of(asg)
        for group in groups:
            if group.active is not None:
                group.late.add(instance_id)
            if group.last_success is not None and instance_id not in group.launching:
                group.launching[instance_id] = asg
                self._create(_derived(group.last_success.order, creator=LAUNCH, only=(instance_id,)))
        if not any(instance_id in group.launching for group in groups):
            self._timer.call_later(0, partial(self._launch_ended, asg, instance_id, True))

    def _launch_done(self, deployment: Deployment) -> None:
        """Answer the launch hook, and catch up with the group where its deployment has ended meanwhile."""
        group = deployment.order.group
        succeeded = deployment.status is DeploymentStatus.SUCCEEDED
        for instance_id in deployment.order.only or ():
            asg = group.launching.pop(instance_id)
            if not succeeded:
                group.late.discard(instance_id)
            self._timer.call_later(0, partial(self._launch_ended, asg, instance_id, succeeded))
        self._update_late(group)

    def _bury(self, instance_id: str) -> None:
        self._lifecycle.gone(instance_id)
        for application in self._store.applications.values():
            for group in application.groups.values():
                group.hosts.pop(instance_id, None)
                group.late.discard(instance_id)


_UNHEALTHY, _UNKNOWN, _OLD, _CURRENT = range(4)


def _derived(order: Order, **changes: Any) -> Order:
    """Make the order of a deployment that the service itself creates: no description, and no rollback of its own."""
    plain = replace(order, description="", mode=None, outdated_only=False, only=None, rollback=RollbackPolicy())
    return replace(plain, **changes)


def _rank(host: Host, order: Order) -> int:
    if host.failed:
        return _UNHEALTHY
    if host.bundle is None:
        return _UNKNOWN
    return _CURRENT if host.bundle == order.bundle else _OLD


def _left_behind(order: Order, status: TargetStatus) -> Host:
    """Say what an instance holds after a deployment: only a success leaves something known."""
    if status is TargetStatus.SUCCEEDED:
        return Host(bundle=order.bundle)
    return Host(failed=status is TargetStatus.FAILED)


def _progress(deployment: Deployment) -> Progress:
    counts = deployment.counts
    return Progress(
        hosts=deployment.fleet,
        minimum=deployment.rule.minimum(deployment.fleet),
        waiting=len(deployment.waiting),
        running=counts[TargetStatus.IN_PROGRESS],
        succeeded=counts[TargetStatus.SUCCEEDED],
        failed=counts[TargetStatus.FAILED],
    )
