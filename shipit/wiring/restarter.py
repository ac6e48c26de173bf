"""Let a rollout restart: CodeDeploy's mode RESTART behind the words of a deployer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from shipit.models import Deployment, Revision

if TYPE_CHECKING:
    from shipit.aws.codedeploy import CodeDeploy


class Restarter:
    """Create deployments of mode RESTART; satisfies `shipit.rollout.Deployer`."""

    def __init__(self, codedeploy: CodeDeploy) -> None:
        """Create them through the gateway."""
        self._codedeploy = codedeploy

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
        """Start a group's last successful revision anew; a restart takes no revision and no choice of targets."""
        return self._codedeploy.restart(group, description=description, config=config)

    def deployments(self, ids: Iterable[str]) -> Mapping[str, Deployment]:
        """Return the deployments by id."""
        return self._codedeploy.deployments(ids)

    def poll(self, ids: Collection[str]) -> Mapping[str, Deployment]:
        """Return the deployments by id as one attempt tells them."""
        return self._codedeploy.poll(ids)

    def last_attempts(self, groups: Collection[str]) -> Mapping[str, Deployment]:
        """Return the newest deployment of each group."""
        return self._codedeploy.last_attempts(groups)

    def stop(self, deployment_id: str) -> None:
        """Stop a deployment."""
        self._codedeploy.stop(deployment_id)
