"""Operations on deployments."""

from __future__ import annotations

from typing import Any

from shipit.sandbox.codedeploy.operations import Operations, operation
from shipit.sandbox.codedeploy.paging import page
from shipit.sandbox.codedeploy.records import Bundle, Deployment, Group, Order
from shipit.sandbox.codedeploy.requests import (
    limit_batch,
    read_bundle,
    read_description,
    read_rollback,
    refuse_unsupported,
    require,
)
from shipit.sandbox.codedeploy.views import deployment_view
from shipit.sandbox.wire import ApiError

_MOST_IN_BATCH = 25
_STORED = ("overrideAlarmConfiguration", "ec2DeploymentOptions")


class DeploymentOperations(Operations):
    """Serve deployments."""

    @operation
    def create_deployment(self, request: dict[str, Any]) -> dict[str, Any]:
        """Accept a deployment of a group; whether the revision exists shows in DownloadBundle only, as on AWS."""
        require(request, "deploymentGroupName")
        refuse_unsupported(request, ("targetInstances",))
        group = self._store.group(request["applicationName"], request["deploymentGroupName"])
        rollback = request.get("autoRollbackConfiguration")
        order = Order(
            group=group,
            bundle=_read_bundle(request, group),
            config=self._store.config(request.get("deploymentConfigName", group.config)),
            description=read_description(request),
            ignore_stop_failures=request.get("ignoreApplicationStopFailures", False),
            outdated_only=request.get("updateOutdatedInstancesOnly", False),
            file_exists_behavior=request.get("fileExistsBehavior", "DISALLOW"),
            mode=request.get("deploymentMode"),
            rollback=read_rollback(rollback) if rollback is not None else None,
            options={name: request[name] for name in _STORED if name in request},
        )
        return {"deploymentId": self._engine.submit(order).id}

    @operation
    def get_deployment(self, request: dict[str, Any]) -> dict[str, Any]:
        """Show a deployment."""
        return {"deploymentInfo": deployment_view(self._store.deployment(request["deploymentId"]))}

    @operation
    def batch_get_deployments(self, request: dict[str, Any]) -> dict[str, Any]:
        """Show up to 25 deployments; unknown ids are left out."""
        ids = request["deploymentIds"]
        limit_batch(ids, _MOST_IN_BATCH)
        known = [self._store.deployments[i] for i in ids if i in self._store.deployments]
        return {"deploymentsInfo": [deployment_view(deployment) for deployment in known]}

    @operation
    def list_deployments(self, request: dict[str, Any]) -> dict[str, Any]:
        """List ids, the newest first: of one group or of all, by status and by time of creation."""
        application, group = request.get("applicationName"), request.get("deploymentGroupName")
        if application or group:
            require(request, "applicationName", "deploymentGroupName")
            self._store.group(request["applicationName"], request["deploymentGroupName"])
        statuses = request.get("includeOnlyStatuses")
        start, end = _read_range(request.get("createTimeRange", {}))
        found = [
            deployment.id
            for deployment in reversed(self._store.deployments.values())
            if (not group or _is_of(deployment, application, group))
            and (not statuses or deployment.status in statuses)
            and start <= deployment.created_at <= end
        ]
        ids, token = page(found, request.get("nextToken"))
        return {"deployments": ids, "nextToken": token}

    @operation
    def stop_deployment(self, request: dict[str, Any]) -> dict[str, Any]:
        """Stop a deployment; Pending says that hooks still run, which nothing interrupts."""
        deployment = self._store.deployment(request["deploymentId"])
        if self._engine.stop(deployment, request.get("autoRollbackEnabled")):
            return {"status": "Pending", "statusMessage": "Lifecycle events that run now will be finished."}
        return {"status": "Succeeded", "statusMessage": "No more deployments will be scheduled."}

    @operation
    def continue_deployment(self, request: dict[str, Any]) -> dict[str, Any]:
        """Refuse: only blue/green deployments wait to be continued."""
        require(request, "deploymentId")
        self._store.deployment(request["deploymentId"])
        message = "ContinueDeployment is for blue/green deployments, and this one is in place"
        raise ApiError("UnsupportedActionForDeploymentTypeException", message)


def _read_bundle(request: dict[str, Any], group: Group) -> Bundle:
    """Return the revision to deploy: that of the request, or for a restart the last successful one."""
    if request.get("deploymentMode") != "RESTART":
        return read_bundle(request.get("revision"))
    if request.get("revision"):
        raise ApiError("InvalidInputException", "a deployment of mode RESTART takes no revision")
    if request.get("updateOutdatedInstancesOnly"):
        raise ApiError("InvalidInputException", "a deployment of mode RESTART takes no updateOutdatedInstancesOnly")
    if group.last_success is None:
        message = f"The Deployment Group '{group.name}' has no successful deployment to restart"
        raise ApiError("RevisionRequiredException", message)
    return group.last_success.order.bundle


def _read_range(times: dict[str, float]) -> tuple[float, float]:
    start, end = times.get("start", float("-inf")), times.get("end", float("inf"))
    if start > end:
        raise ApiError("InvalidTimeRangeException", "createTimeRange ends before it starts")
    return start, end


def _is_of(deployment: Deployment, application: str | None, group: str) -> bool:
    owner = deployment.order.group
    return owner.name == group and owner.application.name == application
