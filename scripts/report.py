#!/usr/bin/env python3
"""Report what this instance has installed and what its worker really runs: one JSON object, written once to S3.

Usage: report.py HOME PID REASON, for example `report.py /opt/shipit/worker 4711 deploy`. HOME holds `current`; PID is
the worker's main process. Standard library alone, Python 3.9 and later, so that it runs on any instance as it is.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import sys
import time
import urllib.parse

IMDS = "http://169.254.169.254/"
ATTEMPTS = 3
#: What stands before an instance's id in `${aws:userid}`: the id of its role, here of the sandbox's.
ROLE_ID = "AROASANDBOXSANDBOX00"


class Failed(Exception):
    """Say in one line why there is no report."""


class Server:
    """Talk HTTP with one server over one connection."""

    def __init__(self, url: str, timeout: float) -> None:
        """Connect to the host of `url` at the first request; `timeout` is in seconds."""
        parts = urllib.parse.urlsplit(url)
        self.host = parts.netloc
        self.path = parts.path.rstrip("/")
        connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = connect(parts.netloc, timeout=timeout)

    def request(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, bytes]:
        """Return status and body; raises OSError or http.client.HTTPException where there is no answer."""
        try:
            self._connection.request(method, path, body or None, headers)
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise


class Metadata:
    """Ask the instance metadata service, version 2."""

    def __init__(self, url: str) -> None:
        """Get a token. Raises Failed where the service does not answer."""
        self._server = Server(url, timeout=2)
        self._headers: dict[str, str] = {}
        token = self._request("PUT", "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        self._headers = {"X-aws-ec2-metadata-token": token}

    def get(self, path: str) -> str:
        """Return the text at `latest/<path>`. Raises Failed."""
        return self._request("GET", path, self._headers)

    def _request(self, method: str, path: str, headers: dict[str, str]) -> str:
        try:
            status, body = self._server.request(method, f"{self._server.path}/latest/{path}", headers)
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"instance metadata: {error}") from error
        if status != 200:
            raise Failed(f"instance metadata: {path}: HTTP {status}")
        return body.decode()

    def credentials(self) -> dict[str, str]:
        """Return the instance role's credentials, or those of the environment where it has some."""
        if os.environ.get("AWS_ACCESS_KEY_ID"):
            return {
                "AccessKeyId": os.environ["AWS_ACCESS_KEY_ID"],
                "SecretAccessKey": os.environ["AWS_SECRET_ACCESS_KEY"],
                "Token": os.environ.get("AWS_SESSION_TOKEN", ""),
            }
        role = self.get("meta-data/iam/security-credentials/").strip()
        found: dict[str, str] = json.loads(self.get(f"meta-data/iam/security-credentials/{role}"))
        return found


def instance_env(root: str) -> dict[str, str]:
    """Read the facts that user data wrote."""
    with open(f"{root}/etc/shipit/instance.env", encoding="utf-8") as file:
        pairs = (line.strip().split("=", 1) for line in file if "=" in line)
        return dict(pairs)


def running_build(pid: str) -> str:
    """Return the build of a process: what its environment says, if its working folder says the same; else nothing."""
    with open(f"/proc/{pid}/environ", "rb") as file:
        environment = dict(pair.split(b"=", 1) for pair in file.read().split(b"\0") if b"=" in pair)
    build = environment.get(b"SHIPIT_BUILD", b"").decode()
    return build if os.path.basename(os.readlink(f"/proc/{pid}/cwd")) == build else ""


def started_at(pid: str) -> str:
    """Return when a process started (proc(5): field 22 of stat, in ticks since boot)."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    with open("/proc/stat", encoding="utf-8") as file:
        booted = next(int(line.split()[1]) for line in file if line.startswith("btime "))
    return timestamp(booted + ticks / os.sysconf("SC_CLK_TCK"))


def timestamp(seconds: float) -> str:
    """Return epoch seconds as UTC in a fixed width, so that such strings sort as the times do."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}Z"


def report(
    home: str, pid: str, reason: str, facts: dict[str, str], metadata: Metadata, now: float
) -> dict[str, object]:
    """Gather the columns of the table of reports."""
    with open(f"{home}/current/build.json", encoding="utf-8") as file:
        installed = json.load(file)
    identity = json.loads(metadata.get("dynamic/instance-identity/document"))
    return {
        "schema_version": 1,
        "instance_id": identity["instanceId"],
        "asg": facts["SHIPIT_ASG"],
        "queue": facts["SHIPIT_QUEUE"],
        "az": identity["availabilityZone"],
        "lifecycle": metadata.get("meta-data/instance-life-cycle"),
        "deployment_id": os.environ.get("DEPLOYMENT_ID", ""),
        "build": installed["version"],
        "git_sha": installed["sha"],
        "digest": installed["digest"],
        "running_build": running_build(pid),
        "process_started_at": started_at(pid),
        "reason": reason,
        "seq": int(time.monotonic() * 1000),  # settles the order of two reports of one millisecond
        "reported_at": timestamp(now),
    }


def sign(
    headers: dict[str, str], path: str, body: bytes, region: str, credentials: dict[str, str], now: float
) -> None:
    """Add to `headers` what a PUT to S3 needs to be authentic (AWS Signature Version 4)."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(body).hexdigest()
    headers.update({"x-amz-content-sha256": digest, "x-amz-date": moment})
    if credentials.get("Token"):
        headers["x-amz-security-token"] = credentials["Token"]
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"PUT\n{path}\n\n{lines}\n{names}\n{digest}"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials['SecretAccessKey']}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    credential = f"Credential={credentials['AccessKeyId']}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={key.hex()}"


def put(bucket: str, key: str, body: bytes, region: str, credentials: dict[str, str]) -> None:
    """Write a new object; try again while S3 is out of reach. Raises Failed."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3", "")
    if endpoint or "." in bucket:  # a dot in the name would not match the certificate
        server = Server(endpoint or f"https://s3.{region}.amazonaws.com", timeout=5)
        path = f"{server.path}/{bucket}/{key}"
    else:
        server = Server(f"https://{bucket}.s3.{region}.amazonaws.com", timeout=5)
        path = f"/{key}"
    path = urllib.parse.quote(path, safe="/-_.~")
    trouble = ""
    for attempt in range(ATTEMPTS):
        time.sleep(attempt)
        headers = {"host": server.host, "if-none-match": "*"}  # the object is new, or this is an attempt repeated
        sign(headers, path, body, region, credentials, time.time())
        try:
            status, answer = server.request("PUT", path, headers, body)
        except (OSError, http.client.HTTPException) as error:
            trouble = str(error) or type(error).__name__
            continue
        if status in (200, 412):  # 412: it is there, an earlier attempt's answer was lost
            return
        trouble = f"HTTP {status} {answer[:200].decode(errors='replace')}"
        if status < 500 and status != 429:
            break
    raise Failed(f"s3://{bucket}/{key}: {trouble}")


def main(home: str, pid: str, reason: str) -> None:
    """Make the report and send it. Raises Failed, OSError or KeyError where a part of it is missing."""
    facts = instance_env(os.environ.get("SHIPIT_ROOT", ""))
    bucket, _, prefix = facts["SHIPIT_REPORTS"].removeprefix("s3://").partition("/")
    metadata = Metadata(os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or IMDS)
    now = time.time()
    row = report(home, pid, reason, facts, metadata, now)
    slot = time.strftime("%Y-%m-%d-%H", time.gmtime(now))
    key = f"{prefix}/slot={slot}/{ROLE_ID}:{row['instance_id']}-{int(now * 1000)}.json"
    body = json.dumps(row, separators=(",", ":")).encode() + b"\n"
    put(bucket, key, body, facts["AWS_REGION"], metadata.credentials())


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Failed, OSError, KeyError, ValueError) as error:
        sys.exit(f"report.py: {type(error).__name__}: {error}")
