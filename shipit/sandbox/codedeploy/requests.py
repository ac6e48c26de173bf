"""AWS dictionary -> record, for what more than one operation reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shipit.models import Revision
from shipit.sandbox.codedeploy.records import Bundle, RollbackPolicy
from shipit.sandbox.wire import ApiError

_BUNDLE_TYPES = ("tar", "tgz", "zip")
_MAX_DESCRIPTION = 256


def read_bundle(location: dict[str, Any] | None) -> Bundle:
    """Read a RevisionLocation. Raises RevisionRequiredException, or InvalidRevisionException for all but S3."""
    if not location:
        raise ApiError("RevisionRequiredException", "Revision is required")
    s3 = location.get("s3Location")
    if location.get("revisionType") != "S3" or not s3:
        raise ApiError("InvalidRevisionException", "the sandbox deploys revisions of type S3 with an s3Location only")
    if not s3.get("bucket") or not s3.get("key") or s3.get("bundleType") not in _BUNDLE_TYPES:
        message = f"s3Location needs bucket, key and a bundleType of {', '.join(_BUNDLE_TYPES)}"
        raise ApiError("InvalidRevisionException", message)
    revision = Revision(
        bucket=s3["bucket"], key=s3["key"], version_id=s3.get("version", ""), etag=s3.get("eTag", "").strip('"')
    )
    return Bundle(revision=revision, type=s3["bundleType"])


def read_rollback(config: dict[str, Any]) -> RollbackPolicy:
    """Read an AutoRollbackConfiguration. Raises InvalidAutoRollbackConfigException."""
    policy = RollbackPolicy(enabled=config.get("enabled", False), events=tuple(config.get("events", ())))
    if policy.enabled and not policy.events:
        raise ApiError("InvalidAutoRollbackConfigException", "an enabled automatic rollback needs events")
    return policy


def read_description(request: dict[str, Any]) -> str:
    """Read a description of at most 256 characters. Raises DescriptionTooLongException."""
    description: str = request.get("description", "")
    if len(description) > _MAX_DESCRIPTION:
        message = f"The description is {len(description)} characters long, at most {_MAX_DESCRIPTION} are allowed"
        raise ApiError("DescriptionTooLongException", message)
    return description


def require(request: dict[str, Any], *names: str) -> None:
    """Refuse a request without one of these: AWS's model calls some optional that the service needs."""
    for name in names:
        if not request.get(name):
            raise ApiError(f"{name[0].upper()}{name[1:]}RequiredException", f"{name} is required")


def refuse_unsupported(request: dict[str, Any], names: Iterable[str]) -> None:
    """Refuse, rather than ignore, what would change the behaviour on AWS. Raises InvalidInputException."""
    for name in names:
        if request.get(name):
            raise ApiError("InvalidInputException", f"the sandbox's CodeDeploy does not support {name}")


def limit_batch(names: list[str], most: int, code: str = "BatchLimitExceededException") -> None:
    """Refuse a batch of more than `most`. Raises BatchLimitExceededException, or `code`."""
    if len(names) > most:
        raise ApiError(code, f"a batch holds at most {most} items, and this one has {len(names)}")
