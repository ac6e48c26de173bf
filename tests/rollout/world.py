"""An AWS in memory, on a clock that only sleeping moves: what a rollout meets, by script and by chance.

It keeps the facts of reference codedeploy.md: one deployment at a time in a group, no idempotency token, instances
that die in the middle and keep their deployment waiting for an hour, launched ones that get the last successful
build and an update after it. Calls fail by the chances of `Faults`, before or after they took effect. One process
drives it in one `Life`; a life that has ended hears of nothing more and does nothing more.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

from fakes import NOON, published

from shipit.errors import AccountFull, GroupBusy, ShipitError
from shipit.models import (
    Action,
    Cause,
    Deployment,
    DeploymentStatus,
    Examination,
    Group,
    Instance,
    Judged,
    Overview,
    PlannedGroup,
    RolloutPlan,
    Target,
    TargetStatus,
)
from shipit.rollout.mark import Mark

OLD, NEW = "v1", "v2"
HOUR = 3600.0


class Died(BaseException):
    """The process that drove the rollout is gone."""


@dataclass(kw_only=True)
class Faults:
    """Give the chances of what befalls a call, each from 0 to 1; nothing befalls any after `until` seconds."""

    throttled: float = 0.0
    unreached: float = 0.0  # the call never arrives
    unheard: float = 0.0  # it is carried out, and the answer is lost
    omitted: float = 0.0  # of one deployment in a batch
    until: float = HOUR


@dataclass(kw_only=True)
class WorldInstance:
    """One instance; `comes_at` is when it is in service."""

    id: str
    build: str
    comes_at: float = 0.0
    died_at: float | None = None
    died_of: Cause = Cause.RECLAIMED
    bad: bool = False  # the hooks of the new build fail on it


@dataclass(kw_only=True)
class WorldTarget:
    status: TargetStatus = TargetStatus.PENDING
    ends_at: float = 0.0


@dataclass(kw_only=True)
class WorldDeployment:
    id: str
    group: str
    build: str
    description: str
    creator: str
    created_at: float
    serial: bool = False  # OneAtATime instead of AllAtOnce
    targets: dict[str, WorldTarget] = field(default_factory=dict)
    status: DeploymentStatus = DeploymentStatus.CREATED
    stop_at: float | None = None
    error_code: str = ""
    follow_on_ids: tuple[str, ...] = ()


@dataclass(kw_only=True)
class WorldGroup:
    name: str
    last_success: WorldDeployment
    instances: dict[str, WorldInstance] = field(default_factory=dict)
    last_attempt: WorldDeployment | None = None
    active: WorldDeployment | None = None
    seconds: float = 10.0  # what an instance takes
    launch: float = 20.0  # until a reclaimed instance's replacement is in service
    serial: bool = False


class World:
    """Groups, instances and deployments, moved by `sleep` alone. Seconds count from noon."""

    def __init__(self, *names: str, instances: int = 2, seed: int = 0, faults: Faults | None = None) -> None:
        self.chance = random.Random(seed)
        self.faults = faults or Faults()
        self.lock = threading.RLock()
        self.at = 0.0
        self.plans: list[tuple[float, Callable[[], None]]] = []
        self.deployments: dict[str, WorldDeployment] = {}
        self.created: Counter[tuple[str, int]] = Counter()
        self.stops: list[str] = []
        self.account_limit = 1000
        self.most_active = 0
        self.stop_takes = 1.0
        # Whether a deployment that CodeDeploy started by itself counts as a group's last attempt: unmeasured on AWS.
        # If so, it hides one of ours whose answer was lost, and that has ended: such a try is made twice.
        self.own_are_newest = False
        self.members_fail = False
        self.examine_error: ShipitError | None = None
        self._ids = count(1)
        self.groups: dict[str, WorldGroup] = {}
        for name in names:
            nothing = WorldDeployment(id="", group=name, build=OLD, description="", creator="user", created_at=0.0)
            self.groups[name] = WorldGroup(name=name, last_success=nothing, launch=0.0)
            for _ in range(instances):
                self._launch(self.groups[name], OLD)
            self.groups[name].launch = 20.0

    # -- what a script says --------------------------------------------------------------------------------------

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Have something happen, so many seconds from noon on."""
        self.plans.append((seconds, what))
        self.plans.sort(key=lambda p: p[0])

    def alive(self, name: str) -> list[WorldInstance]:
        return [i for i in self.groups[name].instances.values() if i.died_at is None]

    def in_service(self, name: str) -> list[WorldInstance]:
        return [i for i in self.alive(name) if i.comes_at <= self.at]

    def take(self, name: str, *, cause: Cause = Cause.RECLAIMED, which: int = 0) -> None:
        """End one of the group's instances; a reclaimed one is replaced, and the new one gets the last success."""
        with self.lock:
            living = self.in_service(name)
            if living:
                victim = living[which % len(living)]
                victim.died_at, victim.died_of = self.at, cause
                if cause is Cause.RECLAIMED:
                    self.launch(name)

    def launch(self, name: str) -> None:
        """Scale out by one; it runs the last successful build."""
        with self.lock:
            self._launch(self.groups[name], self.groups[name].last_success.build)

    def _launch(self, group: WorldGroup, build: str) -> None:
        """Launch an instance, and deploy to it alone beside whatever runs: that is a deployment of the group, too."""
        name = f"i-{group.name}-{next(self._ids)}"
        group.instances[name] = WorldInstance(id=name, build=build, comes_at=self.at + group.launch)
        made = WorldDeployment(
            id=f"d-{group.name.upper()}{next(self._ids)}",
            group=group.name,
            build=build,
            description="",
            creator="autoscaling",
            created_at=self.at,
            targets={name: WorldTarget(status=TargetStatus.SUCCEEDED)},
            status=DeploymentStatus.SUCCEEDED,
        )
        self.deployments[made.id] = group.last_success = made
        self._attempted(group, made)

    def occupy(self, name: str, *, seconds: float = 30.0, creator: str = "user") -> str:
        """Let somebody else deploy the old build to the group; its instances take so many seconds."""
        with self.lock:
            group = self.groups[name]
            if group.active is not None:
                return group.active.id
            made = self._deploy(group, OLD, "by hand", creator=creator)
            for target in made.targets.values():
                target.ends_at = self.at + seconds
            return made.id

    def stop(self, deployment_id: str) -> None:
        with self.lock:
            found = self.deployments[deployment_id]
            if not found.status.ended and found.stop_at is None:
                found.stop_at = self.at + self.stop_takes

    def stop_active(self, name: str) -> None:
        """Let somebody stop what runs in the group."""
        active = self.groups[name].active
        if active is not None:
            self.stop(active.id)

    # -- what a test asks ----------------------------------------------------------------------------------------

    def ours(self, name: str) -> list[WorldDeployment]:
        """Return the group's deployments that bear a mark, the oldest first."""
        return [d for d in self.deployments.values() if d.group == name and Mark.parse(d.description)]

    def builds(self, name: str) -> set[str]:
        return {i.build for i in self.in_service(name)}

    # -- time ----------------------------------------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        with self.lock:
            until = self.at + seconds
            while self.plans and self.plans[0][0] <= until:
                moment, what = self.plans.pop(0)
                self.at = max(self.at, moment)
                self._progress()
                what()
            self.at = until
            self._progress()

    def _progress(self) -> None:
        for group in self.groups.values():
            # A follow-on may begin and end within one long sleep.
            while (it := group.active) is not None and self._move(group, it):
                group.active = None
                self._follow(group, it)

    def _move(self, group: WorldGroup, it: WorldDeployment) -> bool:
        """Let the deployment be as far as the time is; tell whether it has ended."""
        if it.status is DeploymentStatus.CREATED:
            it.status = DeploymentStatus.IN_PROGRESS
            if not it.targets:
                return self._end(it, DeploymentStatus.FAILED, "NO_INSTANCES")
        self._start_targets(group, it)
        for name, target in it.targets.items():
            if target.status is TargetStatus.IN_PROGRESS:
                self._move_target(group.instances[name], target, it)
        self._start_targets(group, it)
        statuses = [t.status for t in it.targets.values()]
        if it.stop_at is not None and it.stop_at <= self.at:
            for name, target in it.targets.items():
                if target.status in (TargetStatus.PENDING, TargetStatus.IN_PROGRESS):
                    dead = group.instances[name].died_at is not None
                    target.status = TargetStatus.FAILED if dead else TargetStatus.SKIPPED
            return self._end(it, DeploymentStatus.STOPPED, "")
        if it.serial and TargetStatus.FAILED in statuses and TargetStatus.PENDING in statuses:
            for target in it.targets.values():
                if target.status is TargetStatus.PENDING:
                    target.status = TargetStatus.SKIPPED
            return self._end(it, DeploymentStatus.FAILED, "HEALTH_CONSTRAINTS")
        if any(s in (TargetStatus.PENDING, TargetStatus.IN_PROGRESS) for s in statuses):
            return False
        if TargetStatus.SUCCEEDED in statuses:
            group.last_success = it
            return self._end(it, DeploymentStatus.SUCCEEDED, "")
        return self._end(it, DeploymentStatus.FAILED, "HEALTH_CONSTRAINTS")

    def _start_targets(self, group: WorldGroup, it: WorldDeployment) -> None:
        for target in it.targets.values():
            if it.serial and any(t.status is TargetStatus.IN_PROGRESS for t in it.targets.values()):
                return
            if it.serial and any(t.status is TargetStatus.FAILED for t in it.targets.values()):
                return
            if target.status is TargetStatus.PENDING:
                target.status = TargetStatus.IN_PROGRESS
                target.ends_at = max(target.ends_at, self.at + group.seconds)

    def _move_target(self, instance: WorldInstance, target: WorldTarget, it: WorldDeployment) -> None:
        if instance.died_at is not None and instance.died_at < target.ends_at:
            if self.at >= instance.died_at + HOUR:
                target.status = TargetStatus.FAILED
        elif self.at >= target.ends_at:
            failed = instance.bad and it.build == NEW
            target.status = TargetStatus.FAILED if failed else TargetStatus.SUCCEEDED
            instance.build = instance.build if failed else it.build

    @staticmethod
    def _end(it: WorldDeployment, status: DeploymentStatus, code: str) -> bool:
        it.status, it.error_code = status, code
        return True

    def _follow(self, group: WorldGroup, it: WorldDeployment) -> None:
        """Bring the last success to living instances that were launched in the middle, as CodeDeploy does."""
        if it.status is not DeploymentStatus.SUCCEEDED:
            return
        late = {i.id for i in self.alive(group.name) if i.build != it.build and i.id not in it.targets}
        if late:
            made = self._deploy(group, it.build, "", creator="CodeDeployAutoUpdate", only=late)
            it.follow_on_ids = (*it.follow_on_ids, made.id)

    def _deploy(
        self, group: WorldGroup, build: str, description: str, *, creator: str, only: set[str] | None = None
    ) -> WorldDeployment:
        reached = only if only is not None else {i.id for i in self.in_service(group.name)}
        made = WorldDeployment(
            id=f"d-{group.name.upper()}{next(self._ids)}",
            group=group.name,
            build=build,
            description=description,
            creator=creator,
            created_at=self.at,
            serial=group.serial,
            targets={i: WorldTarget() for i in sorted(reached)},
        )
        self.deployments[made.id] = made
        group.active = made
        self._attempted(group, made)
        self.most_active = max(self.most_active, sum(g.active is not None for g in self.groups.values()))
        return made

    def _attempted(self, group: WorldGroup, made: WorldDeployment) -> None:
        if made.creator == "user" or self.own_are_newest:
            group.last_attempt = made

    # -- CodeDeploy ----------------------------------------------------------------------------------------------

    def create(self, group: str, build: str, description: str, outdated_only: bool) -> str:
        with self.lock:
            found = self.groups[group]
            if found.active is not None:
                raise GroupBusy(group, found.active.id)
            if sum(g.active is not None for g in self.groups.values()) >= self.account_limit:
                raise AccountFull("the account takes no more")
            outdated = {i.id for i in self.in_service(group) if i.build != build} if outdated_only else None
            made = self._deploy(found, build, description, creator="user", only=outdated)
            mark = Mark.parse(description)
            assert mark is not None
            self.created[group, mark.attempt] += 1
            return made.id

    def view(self, it: WorldDeployment) -> Deployment:
        counts = Counter(t.status for t in it.targets.values())
        return Deployment(
            id=it.id,
            group=it.group,
            status=it.status,
            overview=Overview(
                pending=counts[TargetStatus.PENDING],
                in_progress=counts[TargetStatus.IN_PROGRESS],
                succeeded=counts[TargetStatus.SUCCEEDED],
                failed=counts[TargetStatus.FAILED],
                skipped=counts[TargetStatus.SKIPPED],
            ),
            revision=published(it.build).revision,
            description=it.description,
            creator=it.creator,
            error_code=it.error_code,
            created_at=NOON + timedelta(seconds=it.created_at),
            follow_on_ids=it.follow_on_ids,
        )

    def examine(self, group: str, deployment_id: str) -> Examination:
        with self.lock:
            it = self.deployments[deployment_id]
            judged = []
            for name, target in it.targets.items():
                instance = self.groups[group].instances[name]
                if target.status is not TargetStatus.SUCCEEDED:
                    found = Target(instance_id=name, status=target.status)
                    judged.append(Judged(target=found, cause=cause_of(instance, target)))
            return Examination(judged=tuple(judged), in_service=len(self.in_service(group)))

    def members(self, groups: Collection[str]) -> dict[str, frozenset[str]]:
        with self.lock:
            return {g: frozenset(i.id for i in self.in_service(g)) for g in groups}

    # -- plans ---------------------------------------------------------------------------------------------------

    def plan(self, waves: Mapping[str, int] | None = None) -> RolloutPlan:
        """Return the plan for all groups as they are now."""
        return RolloutPlan(
            id="r-1",
            env="test",
            published=published(NEW),
            groups=tuple(
                PlannedGroup(group=self.group(name), action=Action.DEPLOY, reason="", wave=(waves or {}).get(name, 0))
                for name in self.groups
            ),
            deployment_config="AllAtOnce",
        )

    def group(self, name: str) -> Group:
        found = self.groups[name]
        return Group(
            name=name,
            queue=name,
            asg=name,
            instances=tuple(Instance(id=i.id, asg=name) for i in self.in_service(name)),
            last_success=self.view(found.last_success),
            last_attempt=self.view(found.last_attempt) if found.last_attempt else None,
        )


def cause_of(instance: WorldInstance, target: WorldTarget) -> Cause:
    if instance.bad and target.status is TargetStatus.FAILED:
        return Cause.SCRIPT_FAILED
    if instance.died_at is not None:
        return instance.died_of
    if target.status is TargetStatus.SKIPPED:
        return Cause.SKIPPED
    return Cause.UNKNOWN if target.status is TargetStatus.FAILED else Cause.RUNNING
