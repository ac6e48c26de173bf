"""The reports that instances write, taken as S3 takes them under the instance role's policy (docs/iam.md).

Not by moto, which checks no policy, and to which a PUT is 10 ms of work: a rollout over 200 instances makes 400.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Protocol

from shipit.sandbox.faults.requests import read_body
from shipit.sandbox.instance.role import ROLE_ID, caller

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment


class Bucket(Protocol):
    """What is needed of S3."""

    def get(self, bucket: str, key: str) -> bytes | None:
        """Return an object, None where there is none."""

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Write an object."""


class ReportWrites:
    """Answer what an instance writes below the prefixes of reports. Safe from any thread."""

    def __init__(self, objects: Bucket, *prefixes: str) -> None:
        """Write into `objects` what goes below `prefixes`, each an `s3://bucket/prefix` URL."""
        self._objects = objects
        self._prefixes = tuple(f"/{prefix.removeprefix('s3://')}/" for prefix in prefixes)
        self._turn = threading.Lock()

    def answer(self, environ: WSGIEnvironment) -> tuple[int, bytes] | None:
        """Answer a conditional PUT of a report with a status and S3's XML; None for any other request."""
        path = environ.get("PATH_INFO", "")
        prefix = next((one for one in self._prefixes if path.startswith(one)), "")
        instance_id = caller(environ)
        asked = environ.get("REQUEST_METHOD"), environ.get("HTTP_IF_NONE_MATCH")
        if not prefix or not instance_id or asked != ("PUT", "*"):
            return None
        # A * in a policy is any text, slashes too.
        own = re.escape(f"{ROLE_ID}:{instance_id}-")
        if not re.fullmatch(rf"(slot|day)=.*/{own}.*\.json", path.removeprefix(prefix), re.DOTALL):
            return 403, _error("AccessDenied")
        body = read_body(environ)
        bucket, _, key = path.lstrip("/").partition("/")
        with self._turn:
            if self._objects.get(bucket, key) is not None:
                return 412, _error("PreconditionFailed")
            self._objects.put(bucket, key, body)
        return 200, b""


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>the sandbox's S3</Message></Error>".encode()
