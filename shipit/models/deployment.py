"""What CodeDeploy says: deployments, their targets, and the lifecycle events of these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shipit.models.build import Revision
from shipit.wording import duration


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

    def introduced(self, now: datetime | None) -> str:
        """Say who made it, how long ago and what for: `d-1 (user, 3.0 s old): hotfix by hand`."""
        age = ""
        if now is not None and self.created_at is not None:
            age = f", {duration((now - self.created_at).total_seconds())} old"
        return f"{self.id} ({self.creator}{age})" + (f": {self.description}" if self.description else "")


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
        """Return the event that decided: the last that failed, as only a forgiven failure is followed by others."""
        return next((e for e in reversed(self.events) if e.status is EventStatus.FAILED), None)


class Cause(StrEnum):
    """Say what became of a target that did not succeed."""

    RECLAIMED = "reclaimed"  # EC2 took the spot instance back
    SCALED_IN = "scaled in"  # its Auto Scaling group, or somebody, ended it
    AGENT_DEAD = "agent dead"  # alive, and nobody fetched its commands
    SCRIPT_FAILED = "script failed"
    TIMED_OUT = "timed out"
    SKIPPED = "skipped"  # alive, and the deployment ended before its turn
    RUNNING = "running"  # alive, and on its way
    UNKNOWN = "unknown"

    @property
    def gone(self) -> bool:
        """Tell whether the instance is no more: that says nothing about the build."""
        return self in (Cause.RECLAIMED, Cause.SCALED_IN)

    @property
    def blames_build(self) -> bool:
        """Tell whether deploying the same again would only do the same."""
        return self in (Cause.AGENT_DEAD, Cause.SCRIPT_FAILED, Cause.TIMED_OUT, Cause.UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Judge one target that did not succeed: the cause, and in words what shows it."""

    target: Target
    cause: Cause
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Examination:
    """Hold what a look at a deployment's targets found: those that did not succeed, and who is in service now."""

    judged: tuple[Judged, ...] = ()
    in_service: int = 0

    def count(self, cause: Cause) -> int:
        """Count the targets with this cause."""
        return sum(j.cause is cause for j in self.judged)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Join failures that are equal but for where they happened: one cause, one log, one next step.

    `instances` show the cause; `held_back` were skipped, or still on their way, when a deployment ended of it. Every
    instance of `groups` that has this cause is here; a group whose instances failed in several ways is in several
    clusters. `sample` is the instance whose log to read; None where no instance shows anything (a group that was
    busy). `likeness` is that of the groups' diagnoses.
    """

    likeness: str
    cause: str
    next_step: str
    groups: tuple[str, ...]
    instances: tuple[str, ...] = ()
    held_back: tuple[str, ...] = ()
    sample: Judged | None = None
