"""What the service remembers. Mutable, and touched only under the store's lock; times are epoch seconds."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from shipit.models import DeploymentStatus, EventStatus, Revision, TargetStatus
from shipit.sandbox.agents import LIFECYCLE, Outcome
from shipit.sandbox.clock import Handle
from shipit.sandbox.codedeploy.health import ALL_AT_ONCE, HealthRule

#: Who creates deployments here (botocore's service model, `DeploymentCreator`).
USER, ROLLBACK, LAUNCH, AUTO_UPDATE = "user", "codeDeployRollback", "autoscaling", "CodeDeployAutoUpdate"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Point at a revision in S3 and say how it is packed: tar, tgz or zip."""

    revision: Revision
    type: str


@dataclass(kw_only=True)
class Registration:
    """Record what an application knows of one of its revisions."""

    registered_at: float
    description: str = ""
    first_used_at: float | None = None
    last_used_at: float | None = None


@dataclass(kw_only=True)
class Application:
    """Hold an application with its groups and its revisions."""

    name: str
    id: str
    created_at: float
    groups: dict[str, Group] = field(default_factory=dict)
    revisions: dict[Bundle, Registration] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Hold a deployment configuration."""

    name: str
    id: str
    created_at: float
    rule: HealthRule
    predefined: bool = False


@dataclass(frozen=True, kw_only=True)
class RollbackPolicy:
    """Say on which events (DEPLOYMENT_FAILURE, DEPLOYMENT_STOP_ON_REQUEST, …) a rollback starts by itself."""

    enabled: bool = False
    events: tuple[str, ...] = ()

    def covers(self, event: str) -> bool:
        """Tell whether the event starts a rollback."""
        return self.enabled and event in self.events


@dataclass(frozen=True, kw_only=True)
class Host:
    """Remember what a group's last deployment left on an instance: a bundle, a failure, or nothing known."""

    bundle: Bundle | None = None
    failed: bool = False


@dataclass(kw_only=True, eq=False)
class Group:
    """Hold a deployment group.

    `asgs` maps an Auto Scaling group to its launch hook; `options` are stored for the caller and have no effect.
    `active` is the deployment of the whole group that runs now; `launching` maps each instance that a launch
    deployment works on to its Auto Scaling group; `late` are those that came too late for the active deployment.
    """

    application: Application
    name: str
    id: str
    config: str
    role: str
    asgs: dict[str, str]
    rollback: RollbackPolicy = RollbackPolicy()
    outdated_strategy: str = "UPDATE"
    options: dict[str, Any] = field(default_factory=dict)
    active: Deployment | None = None
    last_success: Deployment | None = None
    last_attempt: Deployment | None = None
    hosts: dict[str, Host] = field(default_factory=dict)
    launching: dict[str, str] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True)
class Order:
    """Say what was asked of a deployment; `only` names its instances where it is not for the whole group.

    `rollback` None means the group's own policy; `options` are stored for the caller and have no effect.
    """

    group: Group
    bundle: Bundle
    config: Config
    creator: str = USER
    description: str = ""
    ignore_stop_failures: bool = False
    outdated_only: bool = False
    file_exists_behavior: str = "DISALLOW"
    mode: str | None = None
    rollback: RollbackPolicy | None = None
    only: tuple[str, ...] | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class Event:
    """Record one lifecycle event on one instance."""

    name: str
    status: EventStatus = EventStatus.PENDING
    started_at: float | None = None
    ended_at: float | None = None
    outcome: Outcome | None = None


@dataclass(kw_only=True)
class Target:
    """Record one instance in one deployment."""

    instance_id: str
    updated_at: float
    status: TargetStatus = TargetStatus.PENDING
    events: list[Event] = field(default_factory=lambda: [Event(name=name) for name in LIFECYCLE])

    def skip_pending(self) -> None:
        """Mark the events that have not begun as skipped."""
        for event in self.events:
            if event.status is EventStatus.PENDING:
                event.status = EventStatus.SKIPPED


@dataclass(kw_only=True, eq=False)
class Deployment:
    """Record a deployment: its order, and how far it is.

    `counts` counts `targets` by status; `waiting` are those to start, in order; `fleet` the hosts around them.
    """

    id: str
    order: Order
    created_at: float
    previous: Bundle | None = None
    status: DeploymentStatus = DeploymentStatus.CREATED
    started_at: float | None = None
    completed_at: float | None = None
    error: tuple[str, str] | None = None
    deadline: Handle | None = None
    fleet: int = 0
    targets: dict[str, Target] = field(default_factory=dict)
    waiting: deque[Target] = field(default_factory=deque)
    counts: Counter[TargetStatus] = field(default_factory=Counter)
    rollback_id: str | None = None
    rollback_of: str | None = None
    rollback_message: str | None = None
    root_id: str | None = None
    follow_on_ids: list[str] = field(default_factory=list)

    @property
    def rule(self) -> HealthRule:
        """Return the rule it keeps; the launch of a single instance has nobody else to keep healthy."""
        return ALL_AT_ONCE if self.order.creator == LAUNCH else self.order.config.rule

    @property
    def begun(self) -> bool:
        """Tell whether its targets are chosen."""
        return self.started_at is not None

    def move(self, target: Target, status: TargetStatus, now: float) -> None:
        """Give a target a new status and keep the counts true."""
        self.counts[target.status] -= 1
        target.status = status
        target.updated_at = now
        self.counts[status] += 1
