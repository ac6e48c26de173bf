"""CodeDeploy as the door's handler: all operations over one store and one engine."""

from __future__ import annotations

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
