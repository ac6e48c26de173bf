"""Operations on the instances of a deployment, in the present form (targets) and the older one (instances)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shipit.sandbox.codedeploy.operations import Operations, operation
from shipit.sandbox.codedeploy.paging import page
from shipit.sandbox.codedeploy.records import Deployment, Target
from shipit.sandbox.codedeploy.requests import limit_batch, require
from shipit.sandbox.codedeploy.views import instance_view, target_view
from shipit.sandbox.wire import ApiError

_MOST_TARGETS, _MOST_INSTANCES = 25, 100
_STATUS_FILTER = "TargetStatus"


class TargetOperations(Operations):
    """Serve targets. All of them refuse a deployment that has not begun: DeploymentNotStartedException."""

    @operation
    def list_deployment_targets(self, request: dict[str, Any]) -> dict[str, Any]:
        """List the instance ids, by status where targetFilters asks for it."""
        require(request, "deploymentId")
        filters: dict[str, list[str]] = request.get("targetFilters", {})
        unknown = filters.keys() - {_STATUS_FILTER}
        if unknown:
            raise ApiError("InvalidTargetFilterNameException", f"the sandbox does not filter by {', '.join(unknown)}")
        ids, token = self._list(request, filters.get(_STATUS_FILTER))
        return {"targetIds": ids, "nextToken": token}

    @operation
    def get_deployment_target(self, request: dict[str, Any]) -> dict[str, Any]:
        """Show one target with its lifecycle events."""
        targets = self._show(request, [request["targetId"]], target_view, "DeploymentTargetDoesNotExistException")
        return {"deploymentTarget": targets[0]}

    @operation
    def batch_get_deployment_targets(self, request: dict[str, Any]) -> dict[str, Any]:
        """Show up to 25 targets; an unknown one fails the batch."""
        require(request, "deploymentId")
        ids = request["targetIds"]
        limit_batch(ids, _MOST_TARGETS, "DeploymentTargetListSizeExceededException")
        return {"deploymentTargets": self._show(request, ids, target_view, "DeploymentTargetDoesNotExistException")}

    @operation
    def list_deployment_instances(self, request: dict[str, Any]) -> dict[str, Any]:
        """List the instance ids, by status where instanceStatusFilter asks for it."""
        ids, token = self._list(request, request.get("instanceStatusFilter"))
        return {"instancesList": ids, "nextToken": token}

    @operation
    def get_deployment_instance(self, request: dict[str, Any]) -> dict[str, Any]:
        """Show one instance with its lifecycle events."""
        instances = self._show(request, [request["instanceId"]], instance_view, "InstanceDoesNotExistException")
        return {"instanceSummary": instances[0]}

    @operation
    def batch_get_deployment_instances(self, request: dict[str, Any]) -> dict[str, Any]:
        """Show up to 100 instances; an unknown one fails the batch."""
        ids = request["instanceIds"]
        limit_batch(ids, _MOST_INSTANCES)
        return {"instancesSummary": self._show(request, ids, instance_view, "InstanceDoesNotExistException")}

    def _list(self, request: dict[str, Any], statuses: list[str] | None) -> tuple[list[str], str | None]:
        deployment = self._begun(request)
        ids = [t.instance_id for t in deployment.targets.values() if not statuses or t.status in statuses]
        return page(ids, request.get("nextToken"))

    def _show(
        self,
        request: dict[str, Any],
        ids: list[str],
        view: Callable[[Deployment, Target, str], dict[str, Any]],
        code: str,
    ) -> list[dict[str, Any]]:
        """Show instances named by id or by ARN; raises the ApiError `code` for one that is not in the deployment."""
        deployment = self._begun(request)
        shown = []
        for name in ids:
            instance_id = name.rpartition("/")[2]
            if instance_id not in deployment.targets:
                raise ApiError(code, f"{name} is not a target of the deployment {deployment.id}")
            arn = self._arn_prefix + instance_id
            shown.append(view(deployment, deployment.targets[instance_id], arn))
        return shown

    def _begun(self, request: dict[str, Any]) -> Deployment:
        deployment = self._store.deployment(request["deploymentId"])
        if not deployment.begun:
            message = f"The deployment {deployment.id} has not started"
            raise ApiError("DeploymentNotStartedException", message)
        return deployment
