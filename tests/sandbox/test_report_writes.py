"""An instance writes its own reports, each once, and none for another: as its role's policy and S3 have it."""

from __future__ import annotations

import io
from typing import Any

import pytest

from shipit.sandbox.instance.role import ACCESS_KEY, ROLE_ID
from shipit.sandbox.report_writes import ReportWrites

ME, OTHER = "i-0123456789abcdef0", "i-0fedcba9876543210"
SLOT = "/bucket/env/reports/v1/slot=2026-11-22-13/"
OWN = f"{SLOT}{ROLE_ID}:{ME}-1795354027123.json"


class Objects(dict[tuple[str, str], bytes]):
    """S3 in a dict."""

    def get(self, bucket: str, key: str) -> bytes | None:  # type: ignore[override]  # S3's, not a dict's
        return super().get((bucket, key))

    def put(self, bucket: str, key: str, body: bytes) -> None:
        self[bucket, key] = body


def put(objects: Objects, path: str, body: bytes = b"{}", **changes: Any) -> int | None:
    environ = {
        "REQUEST_METHOD": "PUT",
        "PATH_INFO": path,
        "HTTP_IF_NONE_MATCH": "*",
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20261122/us-east-1/s3/aws4_request",
        "HTTP_X_AMZ_SECURITY_TOKEN": f"sandbox-{ME}",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    writes = ReportWrites(objects, "s3://bucket/env/reports/v1", "s3://bucket/env/history/v1")
    answered = writes.answer({**environ, **changes})
    return answered[0] if answered else None


def test_a_report_is_written_once_and_never_changed() -> None:
    objects = Objects()
    assert put(objects, OWN, b"first") == 200
    assert put(objects, OWN, b"second") == 412
    assert list(objects.items()) == [(("bucket", OWN.removeprefix("/bucket/")), b"first")]
    assert put(objects, OWN.replace("reports/v1/slot", "history/v1/day")) == 200


@pytest.mark.parametrize(
    "path",
    [
        f"{SLOT}{ROLE_ID}:{OTHER}-1795354027123.json",
        f"{SLOT}{OTHER}-1795354027123.json",
        f"{SLOT}AROAOTHEROTHEROTHER00:{ME}-1795354027123.json",
        f"{SLOT}{ROLE_ID}:{ME}-1795354027123.json.gz",
        f"/bucket/env/reports/v1/{ROLE_ID}:{ME}-1.json",
    ],
)
def test_a_key_of_another_author_is_refused(path: str) -> None:
    objects = Objects()
    assert put(objects, path) == 403
    assert objects == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"REQUEST_METHOD": "GET"},
        {"HTTP_IF_NONE_MATCH": ""},
        {"PATH_INFO": "/bucket/builds/x"},
        {"PATH_INFO": "/other/env/reports/v1/slot=1/x.json"},
        {"HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 Credential=person/20261122/us-east-1/s3/aws4_request"},
        {"HTTP_X_AMZ_SECURITY_TOKEN": ""},
    ],
)
def test_other_requests_are_s3s_own(changes: dict[str, str]) -> None:
    assert put(Objects(), OWN, **changes) is None
