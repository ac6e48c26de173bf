"""The EC2 gateway: when instances were launched, whether they are spot, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shipit.aws.refusals import explained
from shipit.models import InstanceFacts

_PAGE = 200


class Ec2:
    """Speak to EC2. All methods raise AwsError."""

    def __init__(self, client: Any) -> None:
        """Use `client`, a boto3 client of ec2."""
        self._client = client

    def instances(self, ids: Iterable[str]) -> Mapping[str, InstanceFacts]:
        """Return what EC2 knows of the instances; those it has forgotten are left out.

        A filter is used, for a list of ids fails as a whole when one of them is gone.
        """
        wanted = sorted(set(ids))
        found: dict[str, InstanceFacts] = {}
        for start in range(0, len(wanted), _PAGE):
            names = [{"Name": "instance-id", "Values": wanted[start : start + _PAGE]}]
            with explained():
                pages = self._client.get_paginator("describe_instances").paginate(Filters=names)
                for page in pages:
                    for reservation in page["Reservations"]:
                        for instance in reservation["Instances"]:
                            facts = _facts(instance)
                            found[facts.id] = facts
        return found


def _facts(instance: Mapping[str, Any]) -> InstanceFacts:
    return InstanceFacts(
        id=instance["InstanceId"],
        state=instance["State"]["Name"],
        launched_at=instance.get("LaunchTime"),
        lifecycle=instance.get("InstanceLifecycle", "on-demand"),
        reason_code=instance.get("StateReason", {}).get("Code", ""),
        reason=instance.get("StateReason", {}).get("Message", "") or instance.get("StateTransitionReason", ""),
    )
