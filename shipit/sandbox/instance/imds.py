"""The instance metadata service, version 2, of all instances behind one WSGI callable."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shipit.sandbox.instance.facts import ACCOUNT, InstanceFacts
from shipit.sandbox.instance.role import ROLE, credentials

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

#: Seconds for which a token may be good (EC2 User Guide, "Use the Instance Metadata Service").
_LONGEST_TOKEN = 21_600


class Imds:
    """Serve `/<instance id>/latest/…`; mount it at a prefix, and give each instance its own endpoint.

    Only version 2 exists: a request without the token of a PUT, or with one that expired, is 401.
    """

    def __init__(
        self,
        find: Callable[[str], InstanceFacts | None],
        ends_at: Callable[[str], datetime | None] = lambda instance_id: None,
        *,
        target: Callable[[str], str] = lambda instance_id: "InService",
        fails: Callable[[str], bool] = lambda instance_id: False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look instances up by `find`, which returns None for an unknown id.

        `ends_at` returns when spot takes an instance, None while nobody wants it; `target` the lifecycle state that
        Auto Scaling brings it to; `fails` whether its service is out of order.
        """
        self._find = find
        self._ends_at = ends_at
        self._target = target
        self._fails = fails
        self._monotonic = monotonic
        self._secret = secrets.token_urlsafe(24)

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
        if self._fails(instance_id):
            return "503 Service Unavailable", ""
        if path == "api/token":
            return self._new_token(environ)
        if not self._is_good(environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN", "")):
            return "401 Unauthorized", ""
        served = {
            **_values(facts),
            **_notice(self._ends_at(instance_id)),
            "meta-data/autoscaling/target-lifecycle-state": self._target(instance_id),
        }
        value = served.get(path.rstrip("/"))
        return ("404 Not Found", "") if value is None else ("200 OK", value)

    def _new_token(self, environ: WSGIEnvironment) -> tuple[str, str]:
        wanted = str(environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN_TTL_SECONDS", ""))
        if environ["REQUEST_METHOD"] != "PUT" or not wanted.isdigit() or not 1 <= int(wanted) <= _LONGEST_TOKEN:
            return "400 Bad Request", ""
        # It says itself until when it is good: there is nothing to keep for thousands of instances.
        return "200 OK", f"{self._secret}.{self._monotonic() + int(wanted):.3f}"

    def _is_good(self, token: str) -> bool:
        secret, _, until = token.partition(".")
        try:
            return secret == self._secret and self._monotonic() < float(until)
        except ValueError:
            return False


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
        f"meta-data/iam/security-credentials/{ROLE}": credentials(facts.id),
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
    """Return the spot notice, and the recommendation that may come with it; without one both are a 404."""
    if ends_at is None:
        return {}
    action = {"action": "terminate", "time": f"{ends_at:%Y-%m-%dT%H:%M:%SZ}"}
    return {
        "meta-data/spot/instance-action": json.dumps(action),
        "meta-data/events/recommendations/rebalance": json.dumps(
            {"noticeTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        ),
    }
