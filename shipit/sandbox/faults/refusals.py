"""What a request asks for, and how its service refuses: each protocol of AWS has words of its own."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

_TARGETS = {"CodeDeploy_20141006": "codedeploy", "AmazonAthena": "athena"}
_SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([a-z0-9-]+)/aws4_request")
_QUERY = ("ec2", "autoscaling")

UNAVAILABLE, INTERNAL = "ServiceUnavailable", "InternalFailure"
_DENIED, _EXPIRED = "AccessDeniedException", "ExpiredTokenException"
#: What the services call the same thing (their pages "Common errors" and "Error codes").
_DIALECTS = {
    "s3": {_DENIED: "AccessDenied", _EXPIRED: "ExpiredToken", INTERNAL: "InternalError"},
    "ec2": {
        _DENIED: "UnauthorizedOperation",
        _EXPIRED: "RequestExpired",
        INTERNAL: "InternalError",
        UNAVAILABLE: "Unavailable",
    },
    "autoscaling": {_DENIED: "AccessDenied", _EXPIRED: "ExpiredToken"},
}
_STATUSES = {
    INTERNAL: 500,
    "InternalError": 500,
    UNAVAILABLE: 503,
    "Unavailable": 503,
    "SlowDown": 503,
    "AccessDenied": 403,
    "UnauthorizedOperation": 403,
    "SignatureDoesNotMatch": 403,
    "InvalidAccessKeyId": 403,
    "InvalidClientTokenId": 403,
}
_MESSAGES = {
    _DENIED: "User: arn:aws:iam::123456789012:user/sandbox is not authorized to perform this action",
    _EXPIRED: "The security token included in the request is expired",
    INTERNAL: "We encountered an internal error. Please try again.",
    UNAVAILABLE: "Service is unable to handle request.",
    "ThrottlingException": "Rate exceeded",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Name a request: its service and operation as boto3 names them; `json` where it speaks AWS JSON 1.1."""

    service: str
    operation: str
    json: bool = False


def asked(environ: WSGIEnvironment, body: bytes) -> Asked:
    """Tell what a request asks for; one that bears no signature is S3's, whose objects may be public."""
    target, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    service = _TARGETS.get(target) or (scope[1] if scope else "s3")
    if operation:
        return Asked(service=service, operation=operation, json=True)
    if service == "s3":
        return Asked(service=service, operation=_s3_operation(environ))
    form = parse_qs(body.decode("utf-8", "replace"))
    return Asked(service=service, operation=form.get("Action", [""])[0])


def refusal(asked: Asked, code: str) -> tuple[int, str, bytes]:
    """Return status, content type and body of an error, its code in the service's dialect."""
    name = _DIALECTS.get(asked.service, {}).get(code, code)
    status = _STATUSES.get(name, 400)
    message = _MESSAGES.get(code, f"{name}, as the sandbox was told to answer")
    if asked.json:
        return status, "application/x-amz-json-1.1", json.dumps({"__type": name, "message": message}).encode()
    error = f"<Code>{escape(name)}</Code><Message>{escape(message)}</Message>"
    if asked.service == "s3":
        text = f"<Error>{error}<RequestId>sandbox</RequestId></Error>"
    elif asked.service == "ec2":
        text = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>sandbox</RequestID></Response>"
    else:
        error = f"<Type>{'Receiver' if status >= 500 else 'Sender'}</Type>{error}"
        text = f"<ErrorResponse><Error>{error}</Error><RequestId>sandbox</RequestId></ErrorResponse>"
    return status, "text/xml", f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()


def _s3_operation(environ: WSGIEnvironment) -> str:
    """Name an operation of S3, by method, path and query: those that tools call for objects; others by method."""
    method = str(environ.get("REQUEST_METHOD", ""))
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    bucket, _, key = environ.get("PATH_INFO", "").lstrip("/").partition("/")
    if not bucket:
        return "ListBuckets"
    if not key:
        if method == "GET":
            return "ListObjectsV2" if "list-type" in query else "ListObjectVersions" if "versions" in query else "GET"
        return {"HEAD": "HeadBucket", "PUT": "CreateBucket", "POST": "DeleteObjects"}.get(method, method)
    if "uploadId" in query:
        return {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}.get(
            method, method
        )
    if method == "PUT" and "HTTP_X_AMZ_COPY_SOURCE" in environ:
        return "CopyObject"
    names = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
    return "CreateMultipartUpload" if "uploads" in query else names.get(method, method)
