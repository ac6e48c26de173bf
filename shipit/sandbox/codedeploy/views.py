"""Record -> AWS dictionary. What is None or missing here is left out of the answer."""

from __future__ import annotations

from typing import Any

from shipit.models import EventStatus, TargetStatus
from shipit.sandbox.codedeploy.health import Measure
from shipit.sandbox.codedeploy.records import (
    Application,
    Bundle,
    Config,
    Deployment,
    Event,
    Group,
    Registration,
    RollbackPolicy,
    Target,
)

_OVERVIEW = (
    TargetStatus.PENDING,
    TargetStatus.IN_PROGRESS,
    TargetStatus.SUCCEEDED,
    TargetStatus.FAILED,
    TargetStatus.SKIPPED,
    TargetStatus.READY,
)
_IN_PLACE = {"deploymentType": "IN_PLACE", "deploymentOption": "WITHOUT_TRAFFIC_CONTROL"}


def application_view(application: Application) -> dict[str, Any]:
    """Show an ApplicationInfo."""
    return {
        "applicationId": application.id,
        "applicationName": application.name,
        "createTime": application.created_at,
        "linkedToGitHub": False,
        "computePlatform": "Server",
    }


def bundle_view(bundle: Bundle) -> dict[str, Any]:
    """Show a RevisionLocation."""
    revision = bundle.revision
    return {
        "revisionType": "S3",
        "s3Location": {
            "bucket": revision.bucket,
            "key": revision.key,
            "bundleType": bundle.type,
            "version": revision.version_id or None,
            "eTag": revision.etag or None,
        },
    }


def registration_view(application: Application, bundle: Bundle, registration: Registration) -> dict[str, Any]:
    """Show a GenericRevisionInfo; its groups are those whose last success was this revision."""
    return {
        "description": registration.description or None,
        "deploymentGroups": [
            group.name
            for group in application.groups.values()
            if group.last_success and group.last_success.order.bundle == bundle
        ],
        "firstUsedTime": registration.first_used_at,
        "lastUsedTime": registration.last_used_at,
        "registerTime": registration.registered_at,
    }


def config_view(config: Config) -> dict[str, Any]:
    """Show a DeploymentConfigInfo.

    OneAtATime's rule has no true form in the API; what AWS shows is unmeasured, so it is left out.
    """
    rule = config.rule
    shown = {"type": rule.measure, "value": rule.value} if rule.measure is not Measure.ALL_BUT_ONE else None
    return {
        "deploymentConfigId": config.id,
        "deploymentConfigName": config.name,
        "minimumHealthyHosts": shown,
        "createTime": config.created_at,
        "computePlatform": "Server",
    }


def group_view(group: Group) -> dict[str, Any]:
    """Show a DeploymentGroupInfo; targetRevision is the last successful one, which scale-outs get."""
    return {
        "deploymentStyle": _IN_PLACE,
        **group.options,
        "applicationName": group.application.name,
        "deploymentGroupId": group.id,
        "deploymentGroupName": group.name,
        "deploymentConfigName": group.config,
        "autoScalingGroups": [{"name": name, "hook": hook} for name, hook in group.asgs.items()],
        "serviceRoleArn": group.role,
        "targetRevision": bundle_view(group.last_success.order.bundle) if group.last_success else None,
        "autoRollbackConfiguration": _rollback_view(group.rollback),
        "outdatedInstancesStrategy": group.outdated_strategy,
        "lastSuccessfulDeployment": _last_view(group.last_success),
        "lastAttemptedDeployment": _last_view(group.last_attempt),
        "computePlatform": "Server",
    }


def deployment_view(deployment: Deployment) -> dict[str, Any]:
    """Show a DeploymentInfo; the overview is missing until the targets are chosen."""
    order = deployment.order
    overview = {status.value: deployment.counts[status] for status in _OVERVIEW} if deployment.begun else None
    return {
        "deploymentStyle": _IN_PLACE,
        **order.options,
        "applicationName": order.group.application.name,
        "deploymentGroupName": order.group.name,
        "deploymentConfigName": order.config.name,
        "deploymentId": deployment.id,
        "previousRevision": bundle_view(deployment.previous) if deployment.previous else None,
        "revision": bundle_view(order.bundle),
        "status": deployment.status,
        "errorInformation": _error_view(deployment),
        "createTime": deployment.created_at,
        "startTime": deployment.started_at,
        "completeTime": deployment.completed_at,
        "deploymentOverview": overview,
        "description": order.description or None,
        "creator": order.creator,
        "ignoreApplicationStopFailures": order.ignore_stop_failures,
        "autoRollbackConfiguration": _rollback_view(order.rollback) if order.rollback else None,
        "updateOutdatedInstancesOnly": order.outdated_only,
        "rollbackInfo": _rollback_info(deployment),
        "instanceTerminationWaitTimeStarted": False,
        "fileExistsBehavior": order.file_exists_behavior,
        "deploymentMode": order.mode,
        "computePlatform": "Server",
        "relatedDeployments": _related_view(deployment),
    }


def target_view(deployment: Deployment, target: Target, arn: str) -> dict[str, Any]:
    """Show a DeploymentTarget."""
    return {
        "deploymentTargetType": "InstanceTarget",
        "instanceTarget": {
            "deploymentId": deployment.id,
            "targetId": target.instance_id,
            "targetArn": arn,
            "status": target.status,
            "lastUpdatedAt": target.updated_at,
            "lifecycleEvents": [_event_view(event) for event in target.events],
        },
    }


def instance_view(deployment: Deployment, target: Target, arn: str) -> dict[str, Any]:
    """Show an InstanceSummary, the older form of a target."""
    return {
        "deploymentId": deployment.id,
        "instanceId": arn,
        "status": target.status,
        "lastUpdatedAt": target.updated_at,
        "lifecycleEvents": [_event_view(event) for event in target.events],
    }


def _event_view(event: Event) -> dict[str, Any]:
    return {
        "lifecycleEventName": event.name,
        "diagnostics": _diagnostics_view(event),
        "startTime": event.started_at,
        "endTime": event.ended_at,
        "status": event.status,
    }


def _diagnostics_view(event: Event) -> dict[str, Any] | None:
    """Show what went wrong; of a success AWS keeps nothing but the word (reference codedeploy.md, section 1)."""
    if event.outcome is None:
        return None
    if event.status is not EventStatus.FAILED:
        return {"errorCode": "Success", "scriptName": "", "message": "Succeeded", "logTail": ""}
    return {
        "errorCode": event.outcome.error_code,
        "scriptName": event.outcome.script,
        "message": event.outcome.message,
        "logTail": event.outcome.log_tail,
    }


def _error_view(deployment: Deployment) -> dict[str, Any] | None:
    if deployment.error is None:
        return None
    code, message = deployment.error
    return {"code": code, "message": message}


def _rollback_view(policy: RollbackPolicy) -> dict[str, Any]:
    return {"enabled": policy.enabled, "events": list(policy.events)}


def _rollback_info(deployment: Deployment) -> dict[str, Any] | None:
    info = {
        "rollbackDeploymentId": deployment.rollback_id,
        "rollbackTriggeringDeploymentId": deployment.rollback_of,
        "rollbackMessage": deployment.rollback_message,
    }
    return info if any(info.values()) else None


def _related_view(deployment: Deployment) -> dict[str, Any] | None:
    if deployment.root_id is None and not deployment.follow_on_ids:
        return None
    return {
        "autoUpdateOutdatedInstancesRootDeploymentId": deployment.root_id,
        "autoUpdateOutdatedInstancesDeploymentIds": deployment.follow_on_ids,
    }


def _last_view(deployment: Deployment | None) -> dict[str, Any] | None:
    if deployment is None:
        return None
    return {
        "deploymentId": deployment.id,
        "status": deployment.status,
        "endTime": deployment.completed_at,
        "createTime": deployment.created_at,
    }
