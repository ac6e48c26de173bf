"""What a rollout means to do with each group, and where each stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shipit.models.build import PublishedBuild
from shipit.models.fleet import Group


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
