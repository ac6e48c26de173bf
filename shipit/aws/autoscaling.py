"""The Auto Scaling gateway: which groups there are, by tag, and who is in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shipit.aws.refusals import explained
from shipit.models import Instance

#: Names in one DescribeAutoScalingGroups: it takes 50, and up to 100 where MaxRecords says so (its API reference).
_PAGE = 100


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

    def members(self, names: Iterable[str]) -> Mapping[str, tuple[Instance, ...]]:
        """Return the members of the groups of these names, in any lifecycle state.

        A group that does not exist has none: AWS leaves it out of its answer, and here it is empty.
        """
        wanted = sorted(set(names))
        found: dict[str, tuple[Instance, ...]] = dict.fromkeys(wanted, ())
        for start in range(0, len(wanted), _PAGE):
            batch = wanted[start : start + _PAGE]
            with explained():
                paginator = self._client.get_paginator("describe_auto_scaling_groups")
                for page in paginator.paginate(AutoScalingGroupNames=batch, PaginationConfig={"PageSize": _PAGE}):
                    found |= {r.name: r.instances for r in map(_record, page["AutoScalingGroups"])}
        return found


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
