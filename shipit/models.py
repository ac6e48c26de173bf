"""The shared vocabulary: frozen types and status enums that every verb and gateway speaks.

Times are aware datetimes in UTC. Nothing here knows AWS's dictionaries; `shipit.aws` translates them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DeploymentStatus(StrEnum):
    """Say how far a CodeDeploy deployment is (botocore's service model, `DeploymentStatus`)."""

    CREATED = "Created"
    QUEUED = "Queued"
    IN_PROGRESS = "InProgress"
    BAKING = "Baking"
    READY = "Ready"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"

    @property
    def ended(self) -> bool:
        """Tell whether the deployment will never change again."""
        return self in (self.SUCCEEDED, self.FAILED, self.STOPPED)


class TargetStatus(StrEnum):
    """Say how far one instance of a deployment is (botocore's service model, `TargetStatus`)."""

    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    UNKNOWN = "Unknown"
    READY = "Ready"


class EventStatus(StrEnum):
    """Say how far one lifecycle event is (botocore's service model, `LifecycleEventStatus`)."""

    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, kw_only=True)
class Build:
    """Name one versioned artifact.

    `digest` is the bundle's sha256 in hex and `size` its bytes; `content_digest` is that of its files (the
    `digest` of build.json), which is what an instance can report of what lies on its disk.
    """

    version: str
    sha: str
    digest: str
    committed_at: datetime
    content_digest: str = ""
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class Revision:
    """Point at a bundle in S3 as CodeDeploy sees it.

    The agent fetches `version_id` and fails on another `etag`: send both (reference codedeploy.md, §1).
    """

    bucket: str
    key: str
    version_id: str = ""
    etag: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """Find an object in S3: where it is, its size in bytes, and the metadata that it was written with."""

    revision: Revision
    size: int
    metadata: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class PublishedBuild:
    """Join a build with the revision that holds it."""

    build: Build
    revision: Revision


@dataclass(frozen=True, kw_only=True)
class Instance:
    """Describe one member of an Auto Scaling group.

    `state` is the group's LifecycleState (`InService`, `Pending:Wait`, …); `launched_at` and `lifecycle`
    (`spot` or `on-demand`) come from EC2 and are missing where EC2 was not asked or has forgotten it.
    """

    id: str
    asg: str
    state: str = "InService"
    az: str = ""
    healthy: bool = True
    launched_at: datetime | None = None
    lifecycle: str = ""

    @property
    def in_service(self) -> bool:
        """Tell whether CodeDeploy would deploy to it."""
        return self.state == "InService"


@dataclass(frozen=True, kw_only=True)
class Overview:
    """Count the targets of a deployment by status (`deploymentOverview` has no Unknown)."""

    pending: int = 0
    in_progress: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    ready: int = 0

    @property
    def total(self) -> int:
        """Count all targets."""
        return self.pending + self.in_progress + self.succeeded + self.failed + self.skipped + self.ready

    @property
    def done(self) -> int:
        """Count the targets that will not change again."""
        return self.succeeded + self.failed + self.skipped


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """Observe one CodeDeploy deployment of one group.

    `creator` is `user`, `autoscaling`, `codeDeployRollback`, `CodeDeployAutoUpdate`, …; `rollback_id` the
    deployment that rolled this one back; `follow_on_ids` those that updated outdated instances after it.
    """

    id: str
    group: str
    status: DeploymentStatus
    overview: Overview = Overview()
    revision: Revision | None = None
    description: str = ""
    creator: str = "user"
    error_code: str = ""
    error_message: str = ""
    created_at: datetime | None = None
    completed_at: datetime | None = None
    rollback_id: str = ""
    follow_on_ids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LifecycleEvent:
    """Record one lifecycle event on one instance, with the diagnostics of a failed one.

    `log_tail` is at most 2,048 characters, and empty for events that succeeded (reference, §1).
    """

    name: str
    status: EventStatus
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error_code: str = ""
    script: str = ""
    message: str = ""
    log_tail: str = ""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Observe one instance in one deployment, its events in the order they run."""

    instance_id: str
    status: TargetStatus
    events: tuple[LifecycleEvent, ...] = ()
    updated_at: datetime | None = None

    @property
    def failed_event(self) -> LifecycleEvent | None:
        """Return the first event that failed."""
        return next((e for e in self.events if e.status is EventStatus.FAILED), None)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Describe one CodeDeploy deployment group, one to one with the ASG that it deploys to.

    `last_success` is the deployment that says what the group runs; `last_attempt` the newest one, whatever
    became of it; `active` the one that runs on it now, if any.
    """

    name: str
    queue: str
    asg: str
    instances: tuple[Instance, ...] = ()
    last_success: Deployment | None = None
    last_attempt: Deployment | None = None

    @property
    def active(self) -> Deployment | None:
        """Return the deployment that runs on the group now, if any."""
        return self.last_attempt if self.last_attempt and not self.last_attempt.status.ended else None

    @property
    def in_service(self) -> int:
        """Count the instances that a deployment would reach."""
        return sum(i.in_service for i in self.instances)


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Hold all groups of an environment, by name in order."""

    groups: tuple[Group, ...]


class Action(StrEnum):
    """Say what a plan does with a group, and why."""

    DEPLOY = "deploy"
    CURRENT = "current"
    EMPTY = "empty"
    BUSY = "busy"
    EXCLUDED = "excluded"


@dataclass(frozen=True, kw_only=True)
class PlannedGroup:
    """Decide one group: `reason` is a sentence for people; `running` the build it runs, if known."""

    group: Group
    action: Action
    reason: str
    running: str = ""


@dataclass(frozen=True, kw_only=True)
class RolloutPlan:
    """Freeze what a rollout will do. Made without a write; only the rollout acts on it."""

    id: str
    env: str
    published: PublishedBuild
    groups: tuple[PlannedGroup, ...]
    deployment_config: str = ""

    @property
    def to_deploy(self) -> tuple[PlannedGroup, ...]:
        """Return the groups that the rollout will start."""
        return tuple(g for g in self.groups if g.action is Action.DEPLOY)

    def count(self, action: Action) -> int:
        """Count the groups with this action."""
        return sum(g.action is action for g in self.groups)


class Phase(StrEnum):
    """Say where a group stands in a rollout."""

    WAITING = "waiting"  # not started
    RUNNING = "running"  # its deployment exists and has not ended
    SUCCEEDED = "succeeded"  # every target succeeded
    PARTIAL = "partial"  # CodeDeploy says Succeeded, yet targets failed or were skipped
    FAILED = "failed"  # CodeDeploy says Failed, or the deployment could not be created
    STOPPED = "stopped"

    @property
    def ended(self) -> bool:
        """Tell whether the group will not change again in this rollout."""
        return self not in (Phase.WAITING, Phase.RUNNING)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Read what an instance last said of itself (the columns of `version_reports`).

    `build` is what is installed on disk, `running_build` what its process runs: only the latter counts.
    """

    instance_id: str
    asg: str
    queue: str
    build: str
    running_build: str
    git_sha: str
    digest: str
    deployment_id: str
    reason: str
    reported_at: datetime


class NodeState(StrEnum):
    """Say how an instance stands to the expected build (reference athena.md, "States of an instance")."""

    CURRENT = "current"
    OUTDATED = "outdated"
    RESTART_NEEDED = "restart-needed"
    WRONG_DIGEST = "wrong-digest"
    UNKNOWN_BUILD = "unknown-build"
    STALE = "stale"
    SILENT = "silent"
    STARTING = "starting"
    LEAVING = "leaving"
    DEPARTED = "departed"

    @property
    def is_drift(self) -> bool:
        """Tell whether the instance is known not to run the expected build as expected."""
        return self in _DRIFT

    @property
    def is_unseen(self) -> bool:
        """Tell whether the instance should have said something and did not: never a success."""
        return self in (NodeState.STALE, NodeState.SILENT)

    @property
    def is_counted(self) -> bool:
        """Tell whether the instance belongs to the fleet that must converge."""
        return self not in (NodeState.LEAVING, NodeState.DEPARTED)


_DRIFT = (NodeState.OUTDATED, NodeState.RESTART_NEEDED, NodeState.WRONG_DIGEST, NodeState.UNKNOWN_BUILD)


@dataclass(frozen=True, kw_only=True)
class QueryCost:
    """Say what a query cost: its id, bytes scanned, wall seconds and dollars.

    `scanned` is what Athena read; `dollars` follows its price of $5 a terabyte with 10 MB at least
    (reference athena.md, "Requests dominate cost"; requests to S3 are not in it).
    """

    query_id: str = ""
    scanned: int = 0
    seconds: float = 0.0
    dollars: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Node:
    """Judge one instance: its state, what it said and how long ago (seconds), and what to do next."""

    instance_id: str
    group: str
    queue: str
    state: NodeState
    running: str = ""
    installed: str = ""
    age: float | None = None
    next_step: str = ""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Judge a fleet against one build at one moment."""

    env: str
    build: str
    nodes: tuple[Node, ...]
    cost: QueryCost
    at: datetime

    def count(self, state: NodeState) -> int:
        """Count the instances in this state."""
        return sum(n.state is state for n in self.nodes)

    @property
    def counted(self) -> int:
        """Count the instances that must be current for the fleet to be converged."""
        return sum(n.state.is_counted for n in self.nodes)

    @property
    def converged(self) -> bool:
        """Tell whether every counted instance is current; an empty fleet never is."""
        return self.counted > 0 and self.count(NodeState.CURRENT) == self.counted
