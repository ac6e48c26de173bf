"""Bring one build to many groups at once: start, watch, tell, end.

Threads create the deployments, one loop reads them all in batches and feeds `advance`, which is pure: from the
previous state and what was observed it makes the next state and the events. The loop sleeps, polls and emits.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from shipit.errors import AwsUnavailable, GroupBusy, Interrupted, ShipitError
from shipit.events import (
    Event,
    GroupEnded,
    GroupProgress,
    GroupStarted,
    Listener,
    Notice,
    RolloutFinished,
    RolloutStarted,
    Tick,
)
from shipit.models import Deployment, DeploymentStatus, Overview, Phase, Revision, RolloutPlan

#: Seconds between looks at what the creating threads got, while there are groups to create.
_LISTEN = 0.2
#: Threads that create deployments. The rate budget sets the pace; this only hides the latency of a call.
_CREATORS = 16

_PHASES = {
    DeploymentStatus.SUCCEEDED: Phase.SUCCEEDED,
    DeploymentStatus.FAILED: Phase.FAILED,
    DeploymentStatus.STOPPED: Phase.STOPPED,
}


class Deployer(Protocol):
    """What a rollout needs of CodeDeploy."""

    def create(
        self, group: str, revision: Revision, *, description: str, config: str, ignore_stop_failures: bool = False
    ) -> str:
        """Start a deployment and return its id; raises GroupBusy or another ShipitError."""

    def deployments(self, ids: Iterable[str]) -> Mapping[str, Deployment]:
        """Return the deployments by id."""


class Clock(Protocol):
    """The time, as a rollout sees it."""

    def now(self) -> datetime:
        """Return the moment, aware, in UTC."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True, kw_only=True)
class GroupState:
    """Say where one group stands: its deployment, its counts, and how it ended."""

    group: str
    instances: int
    phase: Phase = Phase.WAITING
    deployment_id: str = ""
    overview: Overview = Overview()
    started_at: datetime | None = None
    error_code: str = ""
    error_message: str = ""


@dataclass(frozen=True, kw_only=True)
class RolloutState:
    """Say where the rollout stands: every group that its plan deploys, by name."""

    groups: Mapping[str, GroupState]

    @property
    def ended(self) -> bool:
        """Tell whether no group will change again."""
        return all(g.phase.ended for g in self.groups.values())

    @property
    def running(self) -> tuple[str, ...]:
        """Return the ids of the deployments that have not ended."""
        return tuple(g.deployment_id for g in self.groups.values() if g.phase is Phase.RUNNING)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Hold what one tick saw: deployments created, creations refused, and deployments read, by group or id."""

    created: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, ShipitError] = field(default_factory=dict)
    deployments: Mapping[str, Deployment] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RolloutResult:
    """Say how a rollout ended: each group's state, wall seconds; `timed_out` when the deadline came first."""

    plan: RolloutPlan
    groups: Mapping[str, GroupState]
    seconds: float
    timed_out: bool = False

    def count(self, phase: Phase) -> int:
        """Count the groups in this phase."""
        return sum(g.phase is phase for g in self.groups.values())


def begin(plan: RolloutPlan) -> RolloutState:
    """Return the state before anything was created."""
    return RolloutState(
        groups={p.group.name: GroupState(group=p.group.name, instances=p.group.in_service) for p in plan.to_deploy}
    )


def advance(previous: RolloutState, observed: Observed, now: datetime) -> tuple[RolloutState, tuple[Event, ...]]:
    """Return the next state and what changed, from the previous state and one tick's observations.

    Pure. A group that ended stays as it is; a deployment that AWS left out of its answer changes nothing.
    """
    groups: dict[str, GroupState] = {}
    events: list[Event] = []
    for name, before in previous.groups.items():
        after = _step(before, observed, now)
        groups[name] = after
        events += _told(before, after, now)
    return RolloutState(groups=groups), tuple(events)


def _step(state: GroupState, observed: Observed, now: datetime) -> GroupState:
    if state.phase is Phase.WAITING:
        refusal = observed.refused.get(state.group)
        if refusal is not None:
            code = "BUSY" if isinstance(refusal, GroupBusy) else "NOT_CREATED"
            return replace(state, phase=Phase.FAILED, error_code=code, error_message=refusal.message)
        if state.group in observed.created:
            created = observed.created[state.group]
            state = replace(state, phase=Phase.RUNNING, deployment_id=created, started_at=now)
    if state.phase is not Phase.RUNNING:
        return state
    seen = observed.deployments.get(state.deployment_id)
    if seen is None:
        return state
    return replace(
        state,
        phase=_phase(seen),
        overview=seen.overview,
        error_code=seen.error_code,
        error_message=seen.error_message,
    )


def _phase(seen: Deployment) -> Phase:
    if not seen.status.ended:
        return Phase.RUNNING
    # CodeDeploy's Succeeded may hide targets that failed or were skipped (reference codedeploy.md, §1).
    if seen.status is DeploymentStatus.SUCCEEDED and (seen.overview.failed or seen.overview.skipped):
        return Phase.PARTIAL
    return _PHASES[seen.status]


def _told(before: GroupState, after: GroupState, now: datetime) -> Iterable[Event]:
    if before.phase is Phase.WAITING and after.deployment_id:
        yield GroupStarted(group=after.group, deployment_id=after.deployment_id, instances=after.instances, at=now)
    if after.phase.ended and not before.phase.ended:
        yield GroupEnded(
            group=after.group,
            deployment_id=after.deployment_id,
            phase=after.phase,
            overview=after.overview,
            seconds=(now - after.started_at).total_seconds() if after.started_at else 0.0,
            at=now,
            error_code=after.error_code,
            error_message=after.error_message,
        )
    elif after.overview != before.overview:
        yield GroupProgress(group=after.group, deployment_id=after.deployment_id, overview=after.overview, at=now)


def roll_out(
    plan: RolloutPlan,
    deployer: Deployer,
    *,
    clock: Clock,
    listen: Listener,
    poll: float,
    timeout: float,
    description: str,
    ignore_stop_failures: bool = False,
    started: Mapping[str, str] | None = None,
    calls: Callable[[], Mapping[str, int]] = dict,
) -> RolloutResult:
    """Deploy the plan's groups and watch them to their end, `poll` seconds between looks.

    `started` maps groups to deployments that exist already: they are watched and not created again, and with
    it nothing else is created. Raises Interrupted on Ctrl-C: the deployments go on in AWS. A throttled or lost
    poll is a notice, never a verdict.
    """
    return _Run(plan, deployer, clock, listen, poll, timeout, calls).run(description, ignore_stop_failures, started)


class _Run:
    """Hold what one run of the loop shares between its steps."""

    def __init__(
        self,
        plan: RolloutPlan,
        deployer: Deployer,
        clock: Clock,
        listen: Listener,
        poll: float,
        timeout: float,
        calls: Callable[[], Mapping[str, int]],
    ) -> None:
        self._plan = plan
        self._deployer = deployer
        self._clock = clock
        self._listen = listen
        self._poll = poll
        self._begun = clock.now()
        self._deadline = self._begun + timedelta(seconds=timeout)
        self._calls = calls
        self._state = begin(plan)
        self._answers: queue.SimpleQueue[tuple[str, str | ShipitError]] = queue.SimpleQueue()
        self._halt = threading.Event()

    def run(self, description: str, ignore_stop_failures: bool, started: Mapping[str, str] | None) -> RolloutResult:
        self._listen(RolloutStarted(plan=self._plan, at=self._begun))
        pool = ThreadPoolExecutor(_CREATORS, thread_name_prefix="create")
        try:
            if started is None:
                for name in self._state.groups:
                    pool.submit(self._create, name, description, ignore_stop_failures)
            else:
                self._apply(Observed(created=started))
            timed_out = self._watch()
        except KeyboardInterrupt:
            raise self._interrupted(pool) from None
        finally:
            self._halt.set()
            pool.shutdown(wait=False, cancel_futures=True)
        self._finish(interrupted=False)
        return RolloutResult(plan=self._plan, groups=self._state.groups, seconds=self._seconds(), timed_out=timed_out)

    def _watch(self) -> bool:
        """Look until all have ended; tell whether the deadline came first."""
        look_at = self._begun
        while True:
            now = self._clock.now()
            if now >= look_at:
                self._apply(self._observe())
                look_at = now + timedelta(seconds=self._poll)
            else:
                self._apply(self._collect())
            if self._state.ended:
                return False
            if now >= self._deadline:
                return True
            self._listen(Tick(at=now))
            left = (look_at - self._clock.now()).total_seconds()
            self._clock.sleep(max(0.0, min(_LISTEN, left) if self._creating else left))

    @property
    def _creating(self) -> bool:
        return any(g.phase is Phase.WAITING for g in self._state.groups.values())

    def _create(self, group: str, description: str, ignore_stop_failures: bool) -> None:
        if self._halt.is_set():
            return
        try:
            answer: str | ShipitError = self._deployer.create(
                group,
                self._plan.published.revision,
                description=description,
                config=self._plan.deployment_config,
                ignore_stop_failures=ignore_stop_failures,
            )
        except GroupBusy as busy:
            answer = self._adopt(busy, description)
        except ShipitError as refusal:
            answer = refusal
        except Exception as defect:
            # A thread has nobody above it: without this its group would be waited for until the deadline.
            answer = ShipitError(f"{group}: {type(defect).__name__}: {defect}")
        self._answers.put((group, answer))

    def _adopt(self, busy: GroupBusy, description: str) -> str | ShipitError:
        """Take the holder for ours where its description says so: an answer was lost and the call retried."""
        try:
            holder = self._deployer.deployments([busy.holder_id]).get(busy.holder_id)
        except ShipitError as error:
            return error
        return busy.holder_id if holder and holder.description == description else busy

    def _collect(self) -> Observed:
        """Take the answers of the creating threads."""
        created: dict[str, str] = {}
        refused: dict[str, ShipitError] = {}
        while not self._answers.empty():
            group, answer = self._answers.get()
            if isinstance(answer, str):
                created[group] = answer
            else:
                refused[group] = answer
        return Observed(created=created, refused=refused)

    def _observe(self) -> Observed:
        """Take the answers, and read all deployments that run."""
        collected = self._collect()
        try:
            seen = self._deployer.deployments([*self._state.running, *collected.created.values()])
        except AwsUnavailable as error:
            self._listen(Notice(text=f"{error.message}; watching goes on", warning=True))
            seen = {}
        return replace(collected, deployments=seen)

    def _apply(self, observed: Observed) -> None:
        self._state, events = advance(self._state, observed, self._clock.now())
        for event in events:
            self._listen(event)

    def _interrupted(self, pool: ThreadPoolExecutor) -> Interrupted:
        """Stop creating, learn the fate of the creations under way, and say what goes on in AWS."""
        self._halt.set()
        pool.shutdown(wait=True, cancel_futures=True)
        self._apply(self._observe())
        self._finish(interrupted=True)
        running = len(self._state.running)
        waiting = sum(g.phase is Phase.WAITING for g in self._state.groups.values())
        build = self._plan.published.build.version
        return Interrupted(
            f"interrupted: {running} deployments go on in AWS, {waiting} groups were not started",
            hint=f"inv watch {self._plan.id} attaches again; inv deploy --build {build} starts the rest",
        )

    def _finish(self, *, interrupted: bool) -> None:
        self._listen(
            RolloutFinished(
                rollout_id=self._plan.id,
                version=self._plan.published.build.version,
                phases={name: g.phase for name, g in self._state.groups.items()},
                seconds=self._seconds(),
                calls=dict(self._calls()),
                at=self._clock.now(),
                interrupted=interrupted,
            )
        )

    def _seconds(self) -> float:
        return (self._clock.now() - self._begun).total_seconds()
