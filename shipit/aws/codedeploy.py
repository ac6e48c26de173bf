"""The CodeDeploy gateway: deployment groups, deployments and targets, as models (reference codedeploy.md, §1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from shipit.aws.refusals import code_of, explained
from shipit.errors import AccountFull, AwsUnavailable, GroupBusy
from shipit.models import (
    Deployment,
    DeploymentStatus,
    EventStatus,
    HealthRule,
    LifecycleEvent,
    Overview,
    Revision,
    Target,
    TargetStatus,
)

T = TypeVar("T")

#: BatchGetDeployments and BatchGetDeploymentTargets refuse more ids than this.
BATCH = 25
_GROUP_BATCH = 100
#: Batches that are read at once: with a slow answer each, 20 in a row would take longer than a tick.
_READERS = 4
_DESCRIPTION_LIMIT = 256
_DEPLOYMENT_ID = re.compile(r"d-[A-Z0-9]+")


@dataclass(frozen=True, kw_only=True)
class GroupRecord:
    """Read one deployment group: the ASGs it deploys to, its last successful and last attempted deployment."""

    name: str
    asgs: tuple[str, ...]
    last_success_id: str = ""
    last_attempt_id: str = ""


class CodeDeploy:
    """Speak to CodeDeploy about one application. All methods raise AwsError."""

    def __init__(self, client: Any, application: str, *, once: Any = None) -> None:
        """Use `client`, a boto3 client of codedeploy, and `once`, one that makes no retries, to create."""
        self._client = client
        self._once = once or client
        self._application = application

    def groups(self) -> tuple[GroupRecord, ...]:
        """Return all deployment groups of the application, by name."""
        with explained():
            pages = self._client.get_paginator("list_deployment_groups").paginate(applicationName=self._application)
            names = [name for page in pages for name in page["deploymentGroups"]]
            return self._groups(names)

    def last_attempts(self, groups: Collection[str]) -> Mapping[str, Deployment]:
        """Return the newest deployment of each group that had one, whatever became of it.

        That a deployment shows here as soon as it was created is unmeasured on AWS; in the sandbox it does.
        """
        with explained():
            records = self._groups(groups)
        found = self.deployments([r.last_attempt_id for r in records if r.last_attempt_id])
        return {r.name: found[r.last_attempt_id] for r in records if r.last_attempt_id in found}

    def _groups(self, names: Iterable[str]) -> tuple[GroupRecord, ...]:
        infos = [
            info
            for batch in _batches(names, _GROUP_BATCH)
            for info in self._client.batch_get_deployment_groups(
                applicationName=self._application, deploymentGroupNames=batch
            )["deploymentGroupsInfo"]
        ]
        return tuple(sorted((_group(info) for info in infos), key=lambda g: g.name))

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
        """Start a deployment of `revision` to `group`, or to its outdated instances only, and return its id.

        It is one attempt, for CreateDeployment has no idempotency token: after AwsUnavailable the deployment may
        exist, and its description tells whether it does; after AwsThrottled it does not. Raises GroupBusy where
        another one is active in the group, AccountFull where the account takes no more.
        """
        location = {"bucket": revision.bucket, "key": revision.key, "bundleType": "tgz"}
        if revision.version_id:
            location["version"] = revision.version_id
        if revision.etag:
            location["eTag"] = revision.etag
        return self._submit(
            group,
            description,
            config,
            revision={"revisionType": "S3", "s3Location": location},
            ignoreApplicationStopFailures=ignore_stop_failures,
            fileExistsBehavior="OVERWRITE",
            updateOutdatedInstancesOnly=outdated_only,
        )

    def health_rule(self, config: str) -> HealthRule:
        """Return how many instances a deployment configuration keeps healthy; one call for those of the user's."""
        if config in _PREDEFINED:
            return _PREDEFINED[config]
        with explained():
            info = self._client.get_deployment_config(deploymentConfigName=config)["deploymentConfigInfo"]
        hosts = info["minimumHealthyHosts"]
        return HealthRule(value=hosts["value"], percent=hosts["type"] == "FLEET_PERCENT")

    def restart(self, group: str, *, description: str, config: str) -> str:
        """Start a deployment of mode RESTART, which brings the last successful revision again; return its id.

        Raises as `create` does.
        """
        return self._submit(group, description, config, deploymentMode="RESTART")

    def _submit(self, group: str, description: str, config: str, **request: Any) -> str:
        with explained():
            try:
                answer = self._once.create_deployment(
                    applicationName=self._application,
                    deploymentGroupName=group,
                    description=description[:_DESCRIPTION_LIMIT],
                    deploymentConfigName=config,
                    **request,
                )
            except ClientError as error:
                if code_of(error) != "DeploymentLimitExceededException":
                    raise
                raise _busy(group, str(error.response["Error"].get("Message", ""))) from error
        return str(answer["deploymentId"])

    def stop(self, deployment_id: str) -> None:
        """Stop a deployment without a rollback; one that has ended meanwhile is no error.

        Hooks that run are not interrupted (reference codedeploy.md, §1).
        """
        with explained():
            try:
                self._client.stop_deployment(deploymentId=deployment_id, autoRollbackEnabled=False)
            except ClientError as error:
                if code_of(error) != "DeploymentAlreadyCompletedException":
                    raise

    def deployments(self, ids: Iterable[str]) -> Mapping[str, Deployment]:
        """Return the deployments by id, one call per 25 ids; unknown ids are left out."""
        found: dict[str, Deployment] = {}
        for some in self._each(self._read, _batches(dict.fromkeys(ids), BATCH)):
            found.update(some)
        return found

    def poll(self, ids: Collection[str]) -> Mapping[str, Deployment]:
        """Return the deployments by id as one attempt per 25 ids tells them; those of a call that fails are left out.

        Who looks every few seconds need not wait for the retries of one call, which may take longer. Raises
        AwsUnavailable where no call was served.
        """
        found: dict[str, Deployment] = {}
        failures: list[AwsUnavailable] = []
        batches = list(_batches(dict.fromkeys(ids), BATCH))
        for some in self._each(self._glance, batches):
            if isinstance(some, AwsUnavailable):
                failures.append(some)
            else:
                found.update(some)
        if failures and len(failures) == len(batches):
            raise failures[0]
        return found

    def _each(self, read: Callable[[list[str]], T], batches: Iterable[list[str]]) -> Iterable[T]:
        """Read several batches at once; one alone needs no thread."""
        whole = list(batches)
        if len(whole) < 2:
            return [read(batch) for batch in whole]
        with ThreadPoolExecutor(_READERS, thread_name_prefix="read") as pool:
            return list(pool.map(read, whole))

    def _glance(self, ids: list[str]) -> dict[str, Deployment] | AwsUnavailable:
        try:
            with explained():
                return _by_id(self._once.batch_get_deployments(deploymentIds=ids))
        except AwsUnavailable as error:
            return error

    def _read(self, ids: list[str]) -> dict[str, Deployment]:
        with explained():
            return _by_id(self._client.batch_get_deployments(deploymentIds=ids))

    def targets(self, deployment_id: str) -> tuple[Target, ...]:
        """Return the instances of a deployment with their lifecycle events; none before it has started."""
        with explained():
            try:
                ids = self._target_ids(deployment_id)
            except ClientError as error:
                if code_of(error) == "DeploymentNotStartedException":
                    return ()
                raise
            return tuple(
                _target(item["instanceTarget"])
                for batch in _batches(ids, BATCH)
                for item in self._client.batch_get_deployment_targets(deploymentId=deployment_id, targetIds=batch)[
                    "deploymentTargets"
                ]
            )

    def _target_ids(self, deployment_id: str) -> list[str]:
        # botocore has no paginator for this operation.
        ids: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = self._client.list_deployment_targets(deploymentId=deployment_id, **token)
            ids += page.get("targetIds", [])
            if not page.get("nextToken"):
                return ids
            token = {"nextToken": page["nextToken"]}


_PREDEFINED = {
    "CodeDeployDefault.AllAtOnce": HealthRule(value=0),
    "CodeDeployDefault.HalfAtATime": HealthRule(value=50, percent=True),
    "CodeDeployDefault.OneAtATime": HealthRule(),
}


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _busy(group: str, message: str) -> AccountFull | GroupBusy:
    """Tell a busy group from the account's limit: only the former names a deployment ([I], codedeploy.md §1)."""
    holder = _DEPLOYMENT_ID.search(message)
    if holder:
        return GroupBusy(group, holder[0])
    return AccountFull(
        f"CodeDeploy refuses more deployments at once: {message}",
        hint="wait for others to end, or ask AWS to raise the quota of concurrent deployments",
    )


def _group(info: Mapping[str, Any]) -> GroupRecord:
    return GroupRecord(
        name=info["deploymentGroupName"],
        asgs=tuple(a["name"] for a in info.get("autoScalingGroups", ())),
        last_success_id=info.get("lastSuccessfulDeployment", {}).get("deploymentId", ""),
        last_attempt_id=info.get("lastAttemptedDeployment", {}).get("deploymentId", ""),
    )


def _by_id(answer: Mapping[str, Any]) -> dict[str, Deployment]:
    return {info["deploymentId"]: _deployment(info) for info in answer.get("deploymentsInfo", [])}


def _deployment(info: Mapping[str, Any]) -> Deployment:
    counts = info.get("deploymentOverview") or {}
    error = info.get("errorInformation") or {}
    return Deployment(
        id=info["deploymentId"],
        group=info.get("deploymentGroupName", ""),
        status=DeploymentStatus(info["status"]),
        overview=Overview(
            pending=counts.get("Pending", 0),
            in_progress=counts.get("InProgress", 0),
            succeeded=counts.get("Succeeded", 0),
            failed=counts.get("Failed", 0),
            skipped=counts.get("Skipped", 0),
            ready=counts.get("Ready", 0),
        ),
        revision=_revision(info.get("revision", {}).get("s3Location")),
        description=info.get("description", ""),
        creator=info.get("creator", ""),
        error_code=error.get("code", ""),
        error_message=error.get("message", ""),
        created_at=info.get("createTime"),
        completed_at=info.get("completeTime"),
        rollback_id=info.get("rollbackInfo", {}).get("rollbackDeploymentId", ""),
        follow_on_ids=tuple(info.get("relatedDeployments", {}).get("autoUpdateOutdatedInstancesDeploymentIds", ())),
    )


def _revision(location: Mapping[str, str] | None) -> Revision | None:
    if not location:
        return None
    return Revision(
        bucket=location["bucket"],
        key=location["key"],
        version_id=location.get("version", ""),
        etag=location.get("eTag", ""),
    )


def _target(info: Mapping[str, Any]) -> Target:
    return Target(
        instance_id=info["targetId"],
        status=TargetStatus(info["status"]),
        events=tuple(_event(e) for e in info.get("lifecycleEvents") or ()),
        updated_at=info.get("lastUpdatedAt"),
    )


def _event(info: Mapping[str, Any]) -> LifecycleEvent:
    diagnostics = info.get("diagnostics") or {}
    return LifecycleEvent(
        name=info["lifecycleEventName"],
        status=EventStatus(info["status"]),
        started_at=info.get("startTime"),
        ended_at=info.get("endTime"),
        error_code=diagnostics.get("errorCode", ""),
        script=diagnostics.get("scriptName", ""),
        message=diagnostics.get("message", ""),
        log_tail=diagnostics.get("logTail", ""),
    )
