"""Where the service remembers, and AWS's errors for what it does not know."""

from __future__ import annotations

import random
import string
import threading

from shipit.sandbox.codedeploy.health import ALL_AT_ONCE, HALF_AT_A_TIME, ONE_AT_A_TIME
from shipit.sandbox.codedeploy.records import Application, Config, Deployment, Group
from shipit.sandbox.wire import ApiError

#: What a deployment uses when neither it nor its group names a configuration (reference codedeploy.md, section 1).
DEFAULT_CONFIG = "CodeDeployDefault.OneAtATime"

_PREDEFINED = {
    "CodeDeployDefault.AllAtOnce": ALL_AT_ONCE,
    "CodeDeployDefault.HalfAtATime": HALF_AT_A_TIME,
    DEFAULT_CONFIG: ONE_AT_A_TIME,
}
_ID_LETTERS = string.ascii_uppercase + string.digits


class Store:
    """Hold all records; everybody who reads or writes one holds `lock`. Deployments are kept in order of creation."""

    def __init__(self, now: float) -> None:
        """Start with the predefined configurations alone."""
        self.lock = threading.RLock()
        self.applications: dict[str, Application] = {}
        self.deployments: dict[str, Deployment] = {}
        self.configs = {
            name: Config(name=name, id=name, created_at=now, rule=rule, predefined=True)
            for name, rule in _PREDEFINED.items()
        }
        self._random = random.SystemRandom()

    def application(self, name: str) -> Application:
        """Return the application. Raises ApplicationDoesNotExistException."""
        if name not in self.applications:
            raise ApiError("ApplicationDoesNotExistException", f"No application found for name: {name}")
        return self.applications[name]

    def group(self, application: str, name: str) -> Group:
        """Return the group. Raises DeploymentGroupDoesNotExistException, or its application's error."""
        groups = self.application(application).groups
        if name not in groups:
            message = f"No Deployment Group found for name: {name}"
            raise ApiError("DeploymentGroupDoesNotExistException", message)
        return groups[name]

    def config(self, name: str) -> Config:
        """Return the configuration. Raises DeploymentConfigDoesNotExistException."""
        if name not in self.configs:
            message = f"No Deployment Configuration found for name: {name}"
            raise ApiError("DeploymentConfigDoesNotExistException", message)
        return self.configs[name]

    def deployment(self, deployment_id: str) -> Deployment:
        """Return the deployment. Raises DeploymentDoesNotExistException."""
        if deployment_id not in self.deployments:
            message = f"The deployment {deployment_id} could not be found"
            raise ApiError("DeploymentDoesNotExistException", message)
        return self.deployments[deployment_id]

    def groups_of(self, asg: str) -> list[Group]:
        """Return the groups that deploy to an Auto Scaling group."""
        return [g for application in self.applications.values() for g in application.groups.values() if asg in g.asgs]

    def new_deployment_id(self) -> str:
        """Return an id that is not taken: `d-` and nine upper-case letters or digits."""
        while True:
            deployment_id = "d-" + "".join(self._random.choices(_ID_LETTERS, k=9))
            if deployment_id not in self.deployments:
                return deployment_id
