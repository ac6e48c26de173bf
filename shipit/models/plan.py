"""What a rollout means to do with each group, and where each stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shipit.models.build import PublishedBuild
from shipit.models.deployment import Deployment
from shipit.models.fleet import Group


class Action(StrEnum):
    """Say what a plan does with a group, and why."""

    DEPLOY = "deploy"
    CURRENT = "current"
    EMPTY = "empty"
    BUSY = "busy"
    NEWER = "newer"  # it runs a newer build, and going back was not asked for
    EXCLUDED = "excluded"


@dataclass(frozen=True, kw_only=True)
class PlannedGroup:
    """Decide one group: `reason` is a sentence for people; `running` the build it runs, if known.

    `wave` counts from 0. `config` is the deployment configuration, the plan's where empty; `published` the build to
    bring, the plan's where None. `expected` is how many seconds it took in past rollouts; `holder` the deployment of
    somebody else that has to end first.
    """

    group: Group
    action: Action
    reason: str
    running: str = ""
    wave: int = 0
    config: str = ""
    published: PublishedBuild | None = None
    expected: float | None = None
    holder: Deployment | None = None


@dataclass(frozen=True, kw_only=True)
class RolloutPlan:
    """Freeze what a rollout will do. Made without a write; only the rollout acts on it.

    `expected` is how many seconds it should take, by past rollouts.
    """

    id: str
    env: str
    published: PublishedBuild
    groups: tuple[PlannedGroup, ...]
    deployment_config: str = ""
    expected: float | None = None

    @property
    def to_deploy(self) -> tuple[PlannedGroup, ...]:
        """Return the groups that the rollout will start."""
        return tuple(g for g in self.groups if g.action is Action.DEPLOY)

    @property
    def waves(self) -> tuple[tuple[PlannedGroup, ...], ...]:
        """Return the groups to deploy wave by wave, those that take longest first; waves of nothing are left out."""
        numbers = sorted({g.wave for g in self.to_deploy})
        return tuple(
            tuple(sorted((g for g in self.to_deploy if g.wave == n), key=lambda g: -(g.expected or 0.0)))
            for n in numbers
        )

    def count(self, action: Action) -> int:
        """Count the groups with this action."""
        return sum(g.action is action for g in self.groups)


class Phase(StrEnum):
    """Say where a group stands in a rollout."""

    WAITING = "waiting"  # not started, or to be started again
    RUNNING = "running"  # its deployment exists and has not ended
    EXAMINING = "examining"  # its deployment ended, and why is being looked into
    SUCCEEDED = "succeeded"  # every target that is still there succeeded
    PARTIAL = "partial"  # CodeDeploy says Succeeded, yet targets failed or were skipped
    EMPTY = "empty"  # no instance was left in service
    SKIPPED = "skipped"  # somebody else's deployment holds it, and it was to be left alone then
    FAILED = "failed"  # CodeDeploy says Failed, or the deployment could not be created
    STOPPED = "stopped"

    @property
    def ended(self) -> bool:
        """Tell whether the group will not change again in this rollout."""
        return self not in (Phase.WAITING, Phase.RUNNING, Phase.EXAMINING)

    @property
    def bad(self) -> bool:
        """Tell whether it ended as it should not have."""
        return self in (Phase.PARTIAL, Phase.SKIPPED, Phase.FAILED, Phase.STOPPED)


@dataclass(frozen=True, kw_only=True)
class HealthRule:
    """Say how many instances a deployment configuration keeps healthy: a count, or a percentage rounded up.

    `value` None keeps all but one, whatever their number (reference codedeploy.md, §1 "Minimum healthy hosts").
    """

    value: int | None = None
    percent: bool = False

    def slots(self, hosts: int) -> int:
        """Return on how many of so many hosts it works at a time; 0 where it cannot work at all."""
        if self.value is None:
            return min(hosts, 1)
        kept = -(-hosts * self.value // 100) if self.percent else self.value
        return max(hosts - kept, 0)


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """Say how many may fail: `count`, or `percent` (0 to 100) of the whole rollout's, rounded down.

    A share is of the whole, never of one group: of a group of 1 to 3 no share means anything.
    """

    count: int = 0
    percent: float | None = None

    def of(self, total: int) -> int:
        """Return how many of `total` may fail."""
        return self.count if self.percent is None else int(total * self.percent / 100)

    def __str__(self) -> str:
        return str(self.count) if self.percent is None else f"{self.percent:g}%"
