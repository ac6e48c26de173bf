"""Ask the instance metadata service, version 2, and speak HTTP with anybody else."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.parse
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple

URL = "http://169.254.169.254/"

#: Seconds that a token is asked for, the longest there is; and the part of it after which another is asked for.
_TOKEN_SECONDS, _TOKEN_PART = 21_600, 0.9
#: Seconds after which the role's credentials are asked for again. The service always has valid ones, so nothing here
#: depends on the clock of this machine.
_CREDENTIALS_SECONDS = 300.0
#: Seconds by which two clocks must differ to differ at all: a Date has no fractions.
_CLOCKS_DIFFER = 2.0
#: Seconds that one step of a request may take: the service answers from within the host, in milliseconds.
_TIMEOUT = 2.0


class Failed(Exception):
    """Say in one line what could not be had, and why."""


class Answer(NamedTuple):
    """An answer of a server; `date` is its own clock, in epoch seconds, where it told it."""

    status: int
    body: bytes
    date: float | None


class Server:
    """Talk HTTP with one server, over one connection as long as that lives."""

    def __init__(self, url: str, timeout: float) -> None:
        """Connect to the host of `url` at the first request; `timeout` is in seconds, for each step of one."""
        parts = urllib.parse.urlsplit(url)
        self.host = parts.netloc
        self.path = parts.path.rstrip("/")
        connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = connect(parts.netloc, timeout=timeout)

    def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
        """Return the answer, whatever its status. Raises OSError or HTTPException where there is none."""
        kept = self._connection.sock is not None
        try:
            return self._request(method, path, headers, body)
        except (OSError, http.client.HTTPException):
            # A connection that was kept may have been closed by the other side meanwhile.
            if not kept:
                raise
            return self._request(method, path, headers, body)

    def _request(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        try:
            self._connection.request(method, path, body or None, dict(headers))
            response = self._connection.getresponse()
            return Answer(response.status, response.read(), _moment(response.getheader("Date")))
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise


def _moment(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (TypeError, ValueError):
        return None


class Credentials(NamedTuple):
    """Hold an access key; `token` is empty for a key that is not a session's."""

    key: str
    secret: str
    token: str


class Metadata:
    """Ask the metadata service; each thread needs one of its own."""

    def __init__(self, url: str = "", monotonic: Callable[[], float] = time.monotonic) -> None:
        """Ask at `url`, else where AWS_EC2_METADATA_SERVICE_ENDPOINT says, else where EC2 has it."""
        self._server = Server(url or os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or URL, _TIMEOUT)
        self._monotonic = monotonic
        self._token = ""
        self._token_until = 0.0
        self._credentials: Credentials | None = None
        self._credentials_until = 0.0
        #: By how much the service's clock is ahead of this machine's, in seconds, when it last answered.
        self.ahead = 0.0

    def get(self, path: str) -> str | None:
        """Return the text at `latest/<path>`, None where there is nothing (404). Raises Failed."""
        answer = self._ask(path)
        if answer.status == 401:
            # It expired before its time, or the service was restarted: once more with a new one.
            self._token = ""
            answer = self._ask(path)
        if answer.date is not None:
            ahead = answer.date - time.time()
            self.ahead = ahead if abs(ahead) >= _CLOCKS_DIFFER else 0.0
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise Failed(f"instance metadata: {path}: HTTP {answer.status}")
        return answer.body.decode(errors="replace")

    def require(self, path: str) -> str:
        """Return the text at `latest/<path>`. Raises Failed, also where there is nothing."""
        found = self.get(path)
        if found is None:
            raise Failed(f"instance metadata: {path}: HTTP 404")
        return found

    def credentials(self) -> Credentials:
        """Return the instance role's credentials, or those of the environment where it has some. Raises Failed."""
        if os.environ.get("AWS_ACCESS_KEY_ID"):
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
            return Credentials(*(os.environ.get(name, "") for name in names))
        if self._credentials is None or self._monotonic() >= self._credentials_until:
            self._credentials = self._role_credentials()
            self._credentials_until = self._monotonic() + _CREDENTIALS_SECONDS
        return self._credentials

    def forget_credentials(self) -> None:
        """Ask for the credentials anew at the next use: AWS refused those there are."""
        self._credentials = None

    def _role_credentials(self) -> Credentials:
        path = "meta-data/iam/security-credentials/"
        role = self.require(path).strip()
        try:
            found = json.loads(self.require(path + role))
            return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found.get("Token", ""))
        except (KeyError, ValueError) as error:
            raise Failed(f"instance metadata: the role {role} has no credentials") from error

    def _ask(self, path: str) -> Answer:
        if not self._token or self._monotonic() >= self._token_until:
            seconds = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_SECONDS)}
            answer = self._request("PUT", "api/token", seconds)
            if answer.status != 200:
                raise Failed(f"instance metadata: api/token: HTTP {answer.status}")
            self._token = answer.body.decode()
            self._token_until = self._monotonic() + _TOKEN_SECONDS * _TOKEN_PART
        return self._request("GET", path, {"X-aws-ec2-metadata-token": self._token})

    def _request(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        try:
            return self._server.request(method, f"{self._server.path}/latest/{path}", headers)
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"instance metadata: {error or type(error).__name__}") from error
