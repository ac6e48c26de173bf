"""Fill a new sandbox: buckets, Auto Scaling groups with their instances, CodeDeploy's groups, Athena's tables."""

from __future__ import annotations

import time
from typing import Any, Protocol

from shipit import sql
from shipit.sandbox.config import SandboxConfig
from shipit.sandbox.instance.facts import ACCOUNT
from shipit.sandbox.moto_door import Moto
from shipit.sandbox.scale_in import HOOK, TIMEOUT

_TEMPLATE = "shipit-worker"
_ROLE = f"arn:aws:iam::{ACCOUNT}:role/shipit-codedeploy"
#: How groups differ in size, in turn: most are small, few are large, as fleets of many queues are.
_WEIGHTS = (1, 2, 3, 4, 8, 4, 6, 2, 7, 3)


class Queries(Protocol):
    """What seeding needs of Athena."""

    def create_work_group(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make a workgroup."""

    def start_query_execution(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start a statement."""

    def get_query_execution(self, request: dict[str, Any]) -> dict[str, Any]:
        """Tell how far it is."""


class Operations(Protocol):
    """What seeding needs of CodeDeploy."""

    def create_application(self, request: dict[str, Any]) -> dict[str, Any]:
        """Create an application."""

    def create_deployment_group(self, request: dict[str, Any]) -> dict[str, Any]:
        """Create a deployment group."""


def sizes(instances: int, queues: int, *, even: bool = False) -> list[int]:
    """Spread the instances over the queues, at least one each where there are enough of them.

    With `even`, groups differ by one instance at most.
    """
    weights = [1 if even else _WEIGHTS[n % len(_WEIGHTS)] for n in range(queues)]
    floor = 1 if instances >= queues else 0
    rest = instances - floor * queues
    shares = [floor + rest * w // sum(weights) for w in weights]
    for n in range(instances - sum(shares)):
        shares[n % queues] += 1
    return shares


def seed_moto(moto: Moto, config: SandboxConfig) -> None:
    """Create the buckets, and one Auto Scaling group per queue."""
    for bucket in dict.fromkeys((config.bucket, config.report_bucket)):
        moto.create_bucket(bucket)
    moto.create_fleet_template(_TEMPLATE)
    for queue, size in zip(config.queues, sizes(config.instances, len(config.queues), even=config.even), strict=True):
        tags = {config.queue_tag: queue, **config.tags}
        moto.create_group(f"{config.application}-{queue}", _TEMPLATE, size, tags)
        moto.create_termination_hook(f"{config.application}-{queue}", HOOK, TIMEOUT)


def seed_codedeploy(codedeploy: Operations, config: SandboxConfig) -> None:
    """Create the application, and one deployment group per queue."""
    codedeploy.create_application({"applicationName": config.application, "computePlatform": "Server"})
    for queue in config.queues:
        codedeploy.create_deployment_group(
            {
                "applicationName": config.application,
                "deploymentGroupName": queue,
                "serviceRoleArn": _ROLE,
                "autoScalingGroups": [f"{config.application}-{queue}"],
                "deploymentConfigName": "CodeDeployDefault.AllAtOnce",
                "outdatedInstancesStrategy": "UPDATE",
            }
        )


def seed_athena(athena: Queries, config: SandboxConfig) -> None:
    """Create the workgroup, the database and the tables, by the same statements as on AWS."""
    if config.workgroup != "primary":
        output = {"OutputLocation": f"s3://{config.report_bucket}/athena/"}
        configuration = {"ResultConfiguration": output, "BytesScannedCutoffPerQuery": config.scan_limit}
        athena.create_work_group({"Name": config.workgroup, "Configuration": configuration})
    place = {"database": config.database, "bucket": config.report_bucket, "prefix": config.report_prefix}
    for statement in (
        *sql.reports_ddl(**place, table=config.table),
        *sql.history_ddl(**place, table=config.history_table),
    ):
        query = {
            "QueryString": statement,
            "ResultConfiguration": {"OutputLocation": f"s3://{config.report_bucket}/athena/"},
        }
        started = athena.start_query_execution(query)["QueryExecutionId"]
        while True:
            status = athena.get_query_execution({"QueryExecutionId": started})["QueryExecution"]["Status"]
            if status["State"] == "SUCCEEDED":
                break
            if status["State"] in ("FAILED", "CANCELLED"):
                raise RuntimeError(f"the sandbox's own table: {status.get('StateChangeReason')}")
            time.sleep(0.01)
