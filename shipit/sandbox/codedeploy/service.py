"""CodeDeploy as the door's handler: all operations over one store and one engine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from shipit.sandbox.agents import Agent, Members
from shipit.sandbox.clock import Timer
from shipit.sandbox.codedeploy.applications import ApplicationOperations
from shipit.sandbox.codedeploy.configs import ConfigOperations
from shipit.sandbox.codedeploy.deployments import DeploymentOperations
from shipit.sandbox.codedeploy.engine import Engine, Limits
from shipit.sandbox.codedeploy.groups import GroupOperations
from shipit.sandbox.codedeploy.store import Store
from shipit.sandbox.codedeploy.targets import TargetOperations
from shipit.sandbox.codedeploy.views import bundle_view
from shipit.sandbox.wire import ApiError

#: What a deployment to a group that runs nothing yet is of; no such object is there.
_NOTHING = {"s3Location": {"bucket": "nowhere", "key": "nothing.tgz", "bundleType": "tgz"}}


def _nobody_waits(asg: str, instance_id: str, succeeded: bool) -> None:
    """Ignore how a launch came out."""


class CodeDeploy(ApplicationOperations, GroupOperations, ConfigOperations, DeploymentOperations, TargetOperations):
    """Serve CodeDeploy from memory: the handler of `JsonService("codedeploy", …)`."""

    def __init__(
        self,
        clock: Timer,
        members: Members,
        agent: Agent,
        region: str = "us-east-1",
        *,
        account: str = "123456789012",
        limits: Limits | None = None,
        launch_ended: Callable[[str, str, bool], None] = _nobody_waits,
    ) -> None:
        """Run deployments on `clock`, to the instances that `members` knows, through `agent`.

        `launch_ended(asg, instance_id, succeeded)` is called on the clock's thread, without a lock, once for each
        group that deployed to a new instance, or once where none had anything to deploy: the answer to the launch
        hook, which abandons the instance where `succeeded` is False.
        """
        store = Store(clock.now())
        engine = Engine(store, clock, members, agent, limits or Limits(), launch_ended)
        super().__init__(store, engine, clock, f"arn:aws:ec2:{region}:{account}:instance/")

    def instance_launched(self, asg: str, instance_id: str) -> None:
        """Deploy to a new instance before it enters service; returns at once, from any thread."""
        self._engine.instance_launched(asg, instance_id)

    def instance_gone(self, instance_id: str) -> None:
        """Note that an instance died; returns at once, from any thread."""
        self._engine.instance_gone(instance_id)

    def limit_active(self, active: int | None) -> None:
        """Let so many deployments run in the account from now on; None for what the limits said at first."""
        with self._store.lock:
            self._engine.limit_active(active)

    def occupy(self, application: str, group: str, description: str, note: Callable[[str, bool], None]) -> None:
        """Start a deployment of what the group runs, as a user would.

        `note(deployment id, may succeed)` is called before any of it runs; it may not succeed where the group ran
        nothing before, as then no such revision exists. Raises ApiError.
        """
        with self._store.lock:
            last = self._store.group(application, group).last_success
            revision = bundle_view(last.order.bundle) if last else _NOTHING
            # As a client sends it: without what is not there.
            location = {key: value for key, value in revision["s3Location"].items() if value}
            request = {
                "applicationName": application,
                "deploymentGroupName": group,
                "deploymentConfigName": "CodeDeployDefault.AllAtOnce",
                "description": description,
                "revision": {"revisionType": "S3", "s3Location": location},
            }
            note(self.create_deployment(request)["deploymentId"], last is not None)

    def abort(self, deployment_id: str) -> None:
        """Stop a deployment, without a rollback, where it still runs."""
        with contextlib.suppress(ApiError):
            self.stop_deployment({"deploymentId": deployment_id, "autoRollbackEnabled": False})
