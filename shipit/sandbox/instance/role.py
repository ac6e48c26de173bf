"""The instance role: whose credentials an instance's requests bear, and by what of them it is told from others."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from shipit.sandbox.instance.facts import ACCOUNT

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

#: The role's name and its unique id, and the key of its credentials: dummies, taken as any others would be.
ROLE, ROLE_ID = "shipit-instance", "AROASANDBOXSANDBOX000"
ACCESS_KEY = "ASIASANDBOXSANDBOX00"
#: The session's token says which instance it was given to.
_TOKEN = "sandbox-"

_VALIDITY = timedelta(hours=6)


def credentials(instance_id: str) -> str:
    """Return the credentials of one instance, as its metadata service words them."""
    now = datetime.now(UTC)
    return json.dumps(
        {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "Expiration": f"{now + _VALIDITY:%Y-%m-%dT%H:%M:%SZ}",
            "AccessKeyId": ACCESS_KEY,
            "SecretAccessKey": "sandbox",
            "Token": f"{_TOKEN}{instance_id}",
        }
    )


def is_from_instance(environ: WSGIEnvironment) -> bool:
    """Tell whether an instance sent a request, to its metadata below `/_imds/` or signed with the role's key.

    That is every report, and every call of a real worker; people and their tools have keys of their own.
    """
    if environ.get("PATH_INFO", "").startswith("/_imds/"):
        return True
    return f"Credential={ACCESS_KEY}/" in environ.get("HTTP_AUTHORIZATION", "")


def caller(environ: WSGIEnvironment) -> str:
    """Return the id of the instance whose credentials a request bears; empty where they are somebody else's."""
    token = str(environ.get("HTTP_X_AMZ_SECURITY_TOKEN", ""))
    return token.removeprefix(_TOKEN) if is_from_instance(environ) and token.startswith(_TOKEN) else ""


def caller_identity(instance_id: str) -> bytes:
    """Return what STS says of an instance: its user id is the role's unique id and the instance's, as on AWS."""
    return (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        f"<Arn>arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/{instance_id}</Arn>"
        f"<UserId>{ROLE_ID}:{instance_id}</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult>"
        "<ResponseMetadata><RequestId>sandbox</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    ).encode()
