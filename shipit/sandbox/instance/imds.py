"""The instance metadata service, version 2, of all instances behind one WSGI callable."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from shipit.sandbox.instance.facts import ACCOUNT, InstanceFacts

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

#: The instance role's name, and its credentials: dummies, which the sandbox's S3 takes as it takes any.
ROLE = "shipit-instance"
ACCESS_KEY = "ASIASANDBOXSANDBOX00"

_VALIDITY = timedelta(hours=6)


def is_from_instance(environ: WSGIEnvironment) -> bool:
    """Tell whether an instance sent a request, to its metadata below `/_imds/` or signed with the role's key.

    That is every report, and every call of a real worker; people and their tools have keys of their own.
    """
    if environ.get("PATH_INFO", "").startswith("/_imds/"):
        return True
    return f"Credential={ACCESS_KEY}/" in environ.get("HTTP_AUTHORIZATION", "")


class Imds:
    """Serve `/<instance id>/latest/…`; mount it at a prefix, and give each instance its own endpoint.

    Only version 2 exists: a request without the token of a PUT is 401, as on an instance that requires it.
    """

    def __init__(
        self,
        find: Callable[[str], InstanceFacts | None],
        ends_at: Callable[[str], datetime | None] = lambda instance_id: None,
    ) -> None:
        """Look instances up by `find`, which returns None for an unknown id.

        `ends_at` returns when spot takes an instance, None while nobody wants it.
        """
        self._find = find
        self._ends_at = ends_at
        self._token = secrets.token_urlsafe(24)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        status, body = self._answer(environ)
        content = body.encode()
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(content)))])
        return [content]

    def _answer(self, environ: WSGIEnvironment) -> tuple[str, str]:
        instance_id, _, path = environ["PATH_INFO"].lstrip("/").partition("/latest/")
        facts = self._find(instance_id)
        if facts is None:
            return "404 Not Found", ""
        if path == "api/token":
            if environ["REQUEST_METHOD"] == "PUT" and "HTTP_X_AWS_EC2_METADATA_TOKEN_TTL_SECONDS" in environ:
                return "200 OK", self._token
            return "400 Bad Request", ""
        if environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN") != self._token:
            return "401 Unauthorized", ""
        value = {**_values(facts), **_notice(self._ends_at(instance_id))}.get(path.rstrip("/"))
        return ("404 Not Found", "") if value is None else ("200 OK", value)


def _values(facts: InstanceFacts) -> dict[str, str]:
    """Return what an instance may always ask for."""
    return {
        "meta-data/instance-id": facts.id,
        "meta-data/instance-life-cycle": facts.lifecycle,
        "meta-data/placement/availability-zone": facts.az,
        "meta-data/placement/region": facts.region,
        "meta-data/tags/instance": "aws:autoscaling:groupName\nqueue",
        "meta-data/tags/instance/aws:autoscaling:groupName": facts.asg,
        "meta-data/tags/instance/queue": facts.queue,
        "meta-data/iam/security-credentials": ROLE,
        f"meta-data/iam/security-credentials/{ROLE}": _credentials(),
        "dynamic/instance-identity/document": json.dumps(
            {
                "accountId": ACCOUNT,
                "instanceId": facts.id,
                "availabilityZone": facts.az,
                "region": facts.region,
            }
        ),
    }


def _notice(ends_at: datetime | None) -> dict[str, str]:
    """Return the spot notice; without one it is a 404, as on an instance that nobody takes."""
    if ends_at is None:
        return {}
    action = {"action": "terminate", "time": f"{ends_at:%Y-%m-%dT%H:%M:%SZ}"}
    return {"meta-data/spot/instance-action": json.dumps(action)}


def _credentials() -> str:
    now = datetime.now(UTC)
    return json.dumps(
        {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "Expiration": f"{now + _VALIDITY:%Y-%m-%dT%H:%M:%SZ}",
            "AccessKeyId": ACCESS_KEY,
            "SecretAccessKey": "sandbox",
            "Token": "sandbox",
        }
    )
