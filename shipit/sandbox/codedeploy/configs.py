"""Operations on deployment configurations."""

from __future__ import annotations

import uuid
from typing import Any

from shipit.sandbox.codedeploy.health import HealthRule, Measure
from shipit.sandbox.codedeploy.operations import Operations, operation
from shipit.sandbox.codedeploy.paging import page
from shipit.sandbox.codedeploy.records import Config
from shipit.sandbox.codedeploy.requests import refuse_unsupported
from shipit.sandbox.codedeploy.views import config_view
from shipit.sandbox.wire import ApiError


class ConfigOperations(Operations):
    """Serve deployment configurations."""

    @operation
    def create_deployment_config(self, request: dict[str, Any]) -> dict[str, Any]:
        """Create a configuration from minimumHealthyHosts; percentages lie in 0 to 100."""
        name = request["deploymentConfigName"]
        refuse_unsupported(request, ("trafficRoutingConfig", "zonalConfig"))
        if request.get("computePlatform", "Server") != "Server":
            raise ApiError("InvalidComputePlatformException", "the sandbox deploys to Server only")
        if name in self._store.configs:
            message = f"Deployment Configuration already exists: {name}"
            raise ApiError("DeploymentConfigAlreadyExistsException", message)
        rule = _read_rule(request.get("minimumHealthyHosts", {}))
        config = Config(name=name, id=str(uuid.uuid4()), created_at=self._timer.now(), rule=rule)
        self._store.configs[name] = config
        return {"deploymentConfigId": config.id}

    @operation
    def get_deployment_config(self, request: dict[str, Any]) -> dict[str, Any]:
        """Show a configuration."""
        return {"deploymentConfigInfo": config_view(self._store.config(request["deploymentConfigName"]))}

    @operation
    def list_deployment_configs(self, request: dict[str, Any]) -> dict[str, Any]:
        """List the names of all configurations, the predefined ones included."""
        names, token = page(sorted(self._store.configs), request.get("nextToken"))
        return {"deploymentConfigsList": names, "nextToken": token}

    @operation
    def delete_deployment_config(self, request: dict[str, Any]) -> dict[str, Any]:
        """Delete a configuration that no group names; one that does not exist is no error."""
        config = self._store.configs.get(request["deploymentConfigName"])
        if config is None:
            return {}
        if config.predefined:
            raise ApiError("InvalidOperationException", f"{config.name} is predefined and cannot be deleted")
        groups = [
            g.name for a in self._store.applications.values() for g in a.groups.values() if g.config == config.name
        ]
        if groups:
            raise ApiError("DeploymentConfigInUseException", f"{config.name} is used by {', '.join(groups)}")
        del self._store.configs[config.name]
        return {}


def _read_rule(hosts: dict[str, Any]) -> HealthRule:
    measure, value = hosts.get("type"), hosts.get("value", -1)
    if measure is None or value < 0 or (measure == Measure.FLEET_PERCENT and value > 100):
        message = "minimumHealthyHosts needs a type and a value, of 0 or more, and at most 100 for a percentage"
        raise ApiError("InvalidMinimumHealthyHostValueException", message)
    return HealthRule(measure=Measure(measure), value=value)
