"""Operations on deployment groups."""

from __future__ import annotations

import uuid
from typing import Any

from shipit.sandbox.codedeploy.operations import Operations, operation
from shipit.sandbox.codedeploy.paging import page
from shipit.sandbox.codedeploy.records import Application, Group
from shipit.sandbox.codedeploy.requests import limit_batch, read_rollback, refuse_unsupported
from shipit.sandbox.codedeploy.store import DEFAULT_CONFIG
from shipit.sandbox.codedeploy.views import group_view
from shipit.sandbox.wire import ApiError

#: Reference codedeploy.md, section 2.
_MOST_GROUPS, _MOST_ASGS, _MOST_IN_BATCH = 1000, 10, 100

_STORED = ("triggerConfigurations", "alarmConfiguration", "ec2DeploymentOptions", "terminationHookEnabled")
_UNSUPPORTED = (
    "ec2TagFilters",
    "ec2TagSet",
    "onPremisesInstanceTagFilters",
    "onPremisesTagSet",
    "loadBalancerInfo",
    "blueGreenDeploymentConfiguration",
    "ecsServices",
)


class GroupOperations(Operations):
    """Serve deployment groups: in place, without traffic control, found by Auto Scaling group."""

    @operation
    def create_deployment_group(self, request: dict[str, Any]) -> dict[str, Any]:
        """Create a group; its configuration falls back to OneAtATime."""
        application = self._store.application(request["applicationName"])
        name = request["deploymentGroupName"]
        _refuse_taken(application, name)
        if len(application.groups) >= _MOST_GROUPS:
            message = f"an application has at most {_MOST_GROUPS} deployment groups"
            raise ApiError("DeploymentGroupLimitExceededException", message)
        group = Group(
            application=application,
            name=name,
            id=str(uuid.uuid4()),
            config=DEFAULT_CONFIG,
            role=request["serviceRoleArn"],
            asgs={},
        )
        self._apply(group, request)
        application.groups[name] = group
        return {"deploymentGroupId": group.id}

    @operation
    def update_deployment_group(self, request: dict[str, Any]) -> dict[str, Any]:
        """Change what the request names, and leave the rest."""
        application = self._store.application(request["applicationName"])
        group = self._store.group(application.name, request["currentDeploymentGroupName"])
        name = request.get("newDeploymentGroupName", group.name)
        if name != group.name:
            _refuse_taken(application, name)
        self._apply(group, request)
        del application.groups[group.name]
        group.name = name
        application.groups[name] = group
        return {"hooksNotCleanedUp": []}

    @operation
    def get_deployment_group(self, request: dict[str, Any]) -> dict[str, Any]:
        """Show a group."""
        group = self._store.group(request["applicationName"], request["deploymentGroupName"])
        return {"deploymentGroupInfo": group_view(group)}

    @operation
    def batch_get_deployment_groups(self, request: dict[str, Any]) -> dict[str, Any]:
        """Show up to 100 groups of one application; errorMessage names the unknown ones (unmeasured)."""
        application = self._store.application(request["applicationName"])
        names = request["deploymentGroupNames"]
        limit_batch(names, _MOST_IN_BATCH)
        unknown = [name for name in names if name not in application.groups]
        return {
            "deploymentGroupsInfo": [group_view(application.groups[n]) for n in names if n in application.groups],
            "errorMessage": f"No Deployment Group found for: {', '.join(unknown)}" if unknown else None,
        }

    @operation
    def list_deployment_groups(self, request: dict[str, Any]) -> dict[str, Any]:
        """List the names of an application's groups."""
        application = self._store.application(request["applicationName"])
        names, token = page(sorted(application.groups), request.get("nextToken"))
        return {"applicationName": application.name, "deploymentGroups": names, "nextToken": token}

    @operation
    def delete_deployment_group(self, request: dict[str, Any]) -> dict[str, Any]:
        """Delete a group and fail what runs in it; one that does not exist is no error."""
        application = self._store.applications.get(request["applicationName"])
        group = application.groups.pop(request["deploymentGroupName"], None) if application else None
        if group is not None:
            self._engine.abandon(group)
        return {"hooksNotCleanedUp": []}

    def _apply(self, group: Group, request: dict[str, Any]) -> None:
        """Set what the request names; raises before it changes anything."""
        refuse_unsupported(request, _UNSUPPORTED)
        _refuse_style(request.get("deploymentStyle", {}))
        asgs = request.get("autoScalingGroups", list(group.asgs))
        if len(asgs) > _MOST_ASGS:
            raise ApiError(
                "InvalidAutoScalingGroupException", f"a group has at most {_MOST_ASGS} Auto Scaling groups"
            )
        config = self._store.config(request.get("deploymentConfigName", group.config)).name
        rollback = group.rollback
        if "autoRollbackConfiguration" in request:
            rollback = read_rollback(request["autoRollbackConfiguration"])
        group.asgs = {asg: group.asgs.get(asg) or _new_hook(request, group) for asg in asgs}
        group.config = config
        group.rollback = rollback
        group.role = request.get("serviceRoleArn", group.role)
        group.outdated_strategy = request.get("outdatedInstancesStrategy", group.outdated_strategy)
        group.options |= {name: request[name] for name in _STORED if name in request}


def _new_hook(request: dict[str, Any], group: Group) -> str:
    name = request.get("newDeploymentGroupName", group.name)
    return f"CodeDeploy-managed-automatic-launch-deployment-hook-{name}-{uuid.uuid4()}"


def _refuse_taken(application: Application, name: str) -> None:
    if name in application.groups:
        message = f"Deployment Group already exists: {name} in application {application.name}"
        raise ApiError("DeploymentGroupAlreadyExistsException", message)


def _refuse_style(style: dict[str, Any]) -> None:
    kind, option = style.get("deploymentType", "IN_PLACE"), style.get("deploymentOption", "WITHOUT_TRAFFIC_CONTROL")
    if (kind, option) != ("IN_PLACE", "WITHOUT_TRAFFIC_CONTROL"):
        message = "the sandbox deploys IN_PLACE and WITHOUT_TRAFFIC_CONTROL only"
        raise ApiError("InvalidDeploymentStyleException", message)
