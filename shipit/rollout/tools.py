"""What a rollout acts through: Protocols that gateways and fakes satisfy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shipit.events import Listener
from shipit.models import Deployment, Examination, Revision
from shipit.rollout.state import RolloutState


class Deployer(Protocol):
    """What a rollout needs of CodeDeploy."""

    def create(
        self,
        group: str,
        revision: Revision,
        *,
        description: str,
        config: str,
        ignore_stop_failures: bool = False,
        outdated_only: bool = False,
    ) -> str:
        """Start a deployment in one attempt and return its id.

        Raises GroupBusy, AccountFull, AwsThrottled (nothing was done), AwsUnavailable (it may have been done), or
        another ShipitError, which is final.
        """

    def deployments(self, ids: Iterable[str]) -> Mapping[str, Deployment]:
        """Return the deployments by id; unknown ones are left out."""

    def poll(self, ids: Collection[str]) -> Mapping[str, Deployment]:
        """Return the deployments by id as one attempt tells them; those of an unlucky call are left out, too.

        Raises AwsUnavailable where no call was served.
        """

    def last_attempts(self, groups: Collection[str]) -> Mapping[str, Deployment]:
        """Return the newest deployment of each group, where it had one."""

    def stop(self, deployment_id: str) -> None:
        """Stop a deployment without a rollback; one that has ended already is none of our business."""


class Scout(Protocol):
    """What a rollout needs of EC2 and Auto Scaling."""

    def examine(self, group: str, deployment_id: str) -> Examination:
        """Look at the targets of a deployment and at what became of their instances; raises AwsError."""

    def members(self, groups: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return the instances in service of each group; raises AwsError."""


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Read what others asked of a running rollout: to `stop` (by whom), and how many waves they let through."""

    stop: str = ""
    promoted: int = 0


class Journal(Protocol):
    """Where a rollout notes how it stands, and finds what others ask of it. No call raises."""

    def note(self, state: RolloutState) -> None:
        """Keep the state, soon; does not wait."""

    def orders(self, *, now: bool = False) -> Orders:
        """Return the orders as they were read last; with `now` they are read first, which may take a while."""


class Clock(Protocol):
    """The time, as a rollout sees it. It never goes back, and no step of the machine's clock moves it."""

    def now(self) -> datetime:
        """Return the moment, aware, in UTC."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True, kw_only=True)
class Tools:
    """Hold what a rollout acts through. `guard` raises where the lock is lost; `calls` counts AWS's by operation."""

    deployer: Deployer
    scout: Scout
    journal: Journal
    clock: Clock
    listen: Listener
    guard: Callable[[], None]
    calls: Callable[[], Mapping[str, int]] = dict
