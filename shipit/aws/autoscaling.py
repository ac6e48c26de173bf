"""The Auto Scaling gateway: which groups there are, by tag, and who is in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shipit.aws.refusals import explained
from shipit.models import Instance


@dataclass(frozen=True, kw_only=True)
class AsgRecord:
    """Read one Auto Scaling group: its tags and its members in any lifecycle state."""

    name: str
    tags: Mapping[str, str]
    instances: tuple[Instance, ...]


class AutoScaling:
    """Speak to EC2 Auto Scaling. All methods raise AwsError."""

    def __init__(self, client: Any) -> None:
        """Use `client`, a boto3 client of autoscaling."""
        self._client = client

    def groups(self, tag: str, also: Mapping[str, str]) -> tuple[AsgRecord, ...]:
        """Return the groups that bear `tag`, and all of the tags `also` with these values, by name."""
        filters = [{"Name": "tag-key", "Values": [tag]}]
        filters += [{"Name": f"tag:{key}", "Values": [value]} for key, value in also.items()]
        with explained():
            pages = self._client.get_paginator("describe_auto_scaling_groups").paginate(Filters=filters)
            records = [_record(group) for page in pages for group in page["AutoScalingGroups"]]
        return tuple(sorted(records, key=lambda r: r.name))


def _record(group: Mapping[str, Any]) -> AsgRecord:
    name = group["AutoScalingGroupName"]
    return AsgRecord(
        name=name,
        tags={tag["Key"]: tag["Value"] for tag in group.get("Tags", ())},
        instances=tuple(
            Instance(
                id=member["InstanceId"],
                asg=name,
                state=member["LifecycleState"],
                az=member.get("AvailabilityZone", ""),
                healthy=member.get("HealthStatus", "Healthy").lower() == "healthy",
            )
            for member in group.get("Instances", ())
        ),
    )
