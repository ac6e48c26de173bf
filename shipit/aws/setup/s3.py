"""The S3 gateway of setup: what expires in a bucket.

S3 has one list of rules per bucket, replaced as a whole and without a condition: of two who add a rule at the same
moment, one is undone. The list is therefore read right before it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from shipit.aws.refusals import code_of, explained
from shipit.models import ExpiryRule

_NO_RULES = "NoSuchLifecycleConfiguration"
#: What S3 takes for its default where a new list does not repeat it.
_SMALLEST = "TransitionDefaultMinimumObjectSize"


class BucketRules:
    """Read and extend a bucket's lifecycle. All methods raise AwsError."""

    def __init__(self, client: Any, name: str) -> None:
        """Use `client`, a boto3 client of s3, for this bucket."""
        self._client = client
        self._name = name

    def rules(self) -> tuple[ExpiryRule, ...]:
        """Return all rules of the bucket, as far as an ExpiryRule can say what they say."""
        return tuple(_rule(raw) for raw in self._read()["Rules"])

    def add(self, rules: Sequence[ExpiryRule]) -> None:
        """Put rules beside all that are there; in a versioned bucket what expired goes for good a day later.

        The delete markers that are left over go by themselves, as markers older than the rule's days do (S3 User
        Guide, "Removing expired object delete markers"; not tried).
        """
        found = self._read()
        merged = [*map(_with_filter, found["Rules"]), *map(_raw, rules)]
        more = {_SMALLEST: found[_SMALLEST]} if found.get(_SMALLEST) else {}
        with explained():
            self._client.put_bucket_lifecycle_configuration(
                Bucket=self._name, LifecycleConfiguration={"Rules": merged}, **more
            )

    def _read(self) -> Mapping[str, Any]:
        with explained():
            try:
                found: Mapping[str, Any] = self._client.get_bucket_lifecycle_configuration(Bucket=self._name)
            except ClientError as error:
                if code_of(error) == _NO_RULES:
                    return {"Rules": []}
                raise
        return found


def _rule(raw: Mapping[str, Any]) -> ExpiryRule:
    return ExpiryRule(
        id=raw.get("ID", ""),
        prefix=raw.get("Filter", {}).get("Prefix") or raw.get("Prefix", ""),
        days=raw.get("Expiration", {}).get("Days"),
        enabled=raw.get("Status") == "Enabled",
    )


def _raw(rule: ExpiryRule) -> dict[str, Any]:
    return {
        "ID": rule.id,
        "Filter": {"Prefix": rule.prefix},
        "Status": "Enabled",
        "Expiration": {"Days": rule.days},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
    }


def _with_filter(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a rule in today's form, of the same meaning: S3 refuses a list in which both forms occur.

    ("Filter element can only be used in Lifecycle V2", hashicorp/terraform-provider-aws issue 23299 and others.)
    """
    if "Filter" in raw or "Prefix" not in raw:
        return raw
    return {**{key: value for key, value in raw.items() if key != "Prefix"}, "Filter": {"Prefix": raw["Prefix"]}}
