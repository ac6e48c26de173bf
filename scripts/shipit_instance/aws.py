"""Send requests to AWS, signed with the instance role's credentials (Signature Version 4)."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import os
import re
import time
import urllib.parse
from collections.abc import Mapping

from shipit_instance.metadata import Credentials, Failed, Metadata, Server

#: Seconds that one step of a request may take.
_TIMEOUT = 5.0
#: The version of each query API, and what stands for it in AWS_ENDPOINT_URL_<…> (its id in botocore's models).
_APIS = {"sts": ("2011-06-15", "STS"), "autoscaling": ("2011-01-01", "AUTO_SCALING")}
#: Codes by which AWS says that the credentials, not the request, are at fault: others help.
_STALE = frozenset(
    (
        *("ExpiredToken", "ExpiredTokenException", "InvalidToken", "InvalidAccessKeyId", "InvalidClientTokenId"),
        *("SignatureDoesNotMatch", "TokenRefreshRequired", "UnrecognizedClientException"),
    )
)
#: Codes of other answers below 500 after which the same request may go well (S3's error responses, and the common
#: errors of query APIs).
_PASSING = frozenset(
    (
        *("RequestTimeTooSkewed", "RequestExpired", "RequestTimeout", "RequestTimeoutException", "OperationAborted"),
        *("ConditionalRequestConflict", "TemporaryRedirect", "SlowDown", "Throttling", "ThrottlingException"),
    )
)


class Refused(Failed):
    """Say that AWS refused a request: `code` is AWS's own; `passing` whether the same request may go well later."""

    def __init__(self, text: str, code: str, passing: bool) -> None:
        """Keep the text, the code and whether it passes."""
        super().__init__(text)
        self.code = code
        self.passing = passing


class Aws:
    """Call the few operations that an instance needs; each thread needs one of its own."""

    def __init__(self, metadata: Metadata, region: str) -> None:
        """Call AWS in `region` with the credentials that `metadata` has."""
        self._metadata = metadata
        self._region = region
        self._servers: dict[str, Server] = {}
        self._user: tuple[str, str] = ("", "")

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Write a new object; one of the key that is there already is as good, for keys are never used twice.

        Raises Refused, and Failed where AWS did not answer.
        """
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
        if endpoint or "." in bucket:  # a dot in the name would not match the certificate
            server, path = self._server(endpoint or self._url("s3")), f"/{bucket}/{key}"
        else:
            server, path = self._server(self._url(f"{bucket}.s3")), f"/{key}"
        path = urllib.parse.quote(server.path + path, safe="/-_.~")
        # Immutable: written once, and an attempt repeated finds what the first one wrote (412).
        self._send("s3", server, "PUT", path, {"if-none-match": "*"}, body, good=(200, 412))

    def call(self, service: str, action: str, **parameters: str) -> str:
        """Call an operation of a service with a query API; return its XML.

        Raises Refused, and Failed where AWS did not answer.
        """
        version, name = _APIS[service]
        endpoint = os.environ.get(f"AWS_ENDPOINT_URL_{name}") or os.environ.get("AWS_ENDPOINT_URL", "")
        server = self._server(endpoint or self._url(service))
        form = {"Action": action, "Version": version, **parameters}
        headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        body = urllib.parse.urlencode(form).encode()
        return self._send(service, server, "POST", f"{server.path}/", headers, body, good=(200,)).decode()

    def user_id(self) -> str:
        """Return what a policy calls `${aws:userid}`: `AROA…:i-…` for an instance's role. Raises Failed.

        AWS is asked once for each access key. That a role's session has this form is AWS's documentation (IAM User
        Guide, "AWS global condition context keys") and was not tried on an account.
        """
        key = self._metadata.credentials().key
        if self._user[0] != key:
            found = re.search(r"<UserId>([^<]+)</UserId>", self.call("sts", "GetCallerIdentity"))
            if not found:
                raise Failed("sts: GetCallerIdentity: no UserId in the answer")
            self._user = (key, found[1])
        return self._user[1]

    def _url(self, name: str) -> str:
        domain = "amazonaws.com.cn" if self._region.startswith("cn-") else "amazonaws.com"
        return f"https://{name}.{self._region}.{domain}"

    def _server(self, url: str) -> Server:
        if url not in self._servers:
            self._servers[url] = Server(url, _TIMEOUT)
        return self._servers[url]

    def _send(
        self,
        service: str,
        server: Server,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        good: tuple[int, ...],
    ) -> bytes:
        credentials = self._metadata.credentials()
        # By the metadata service's clock: AWS refuses a request signed at another time than its own.
        now = time.time() + self._metadata.ahead
        signed = sign(service, server.host, method, path, headers, body, self._region, credentials, now)
        try:
            answer = server.request(method, path, signed, body)
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"{service}: {error or type(error).__name__}") from error
        if answer.status in good:
            return answer.body
        text = answer.body.decode(errors="replace")
        found = re.search(r"<Code>([^<]+)</Code>", text)
        code = found[1] if found else ""
        if code in _STALE:
            self._metadata.forget_credentials()
        passing = answer.status >= 500 or answer.status in (408, 409, 429) or code in _STALE or code in _PASSING
        raise Refused(f"{service}: HTTP {answer.status} {code or text[:200]}".rstrip(), code, passing)


def sign(
    service: str,
    host: str,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    region: str,
    credentials: Credentials,
    now: float,
) -> dict[str, str]:
    """Return `headers` with what makes a request authentic; `path` is quoted, and no query follows it."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(body).hexdigest()
    signed = {**headers, "host": host, "x-amz-content-sha256": digest, "x-amz-date": moment}
    if credentials.token:
        signed["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    request = f"{method}\n{path}\n\n{lines}\n{names}\n{digest}"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signed["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.key}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    )
    return signed
