"""Where it goes: groups and their instances."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shipit.models.deployment import Deployment


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


@dataclass(frozen=True, kw_only=True)
class InstanceFacts:
    """Read what EC2 knows of an instance: its state (`running`, `terminated`, …) and why that changed.

    `reason_code` is StateReason's code (`Server.SpotInstanceTermination`, `Client.UserInitiatedShutdown`, …);
    `lifecycle` is `spot` or `on-demand`.
    """

    id: str
    state: str
    launched_at: datetime | None = None
    lifecycle: str = "on-demand"
    reason_code: str = ""
    reason: str = ""

    @property
    def alive(self) -> bool:
        """Tell whether it runs, or is about to."""
        return self.state in ("pending", "running")
