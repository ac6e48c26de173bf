"""A small AWS for tests around Athena: objects in memory, the sandbox's Athena over HTTP, a real boto3 client."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import boto3
from botocore.config import Config
from fakes import NOON
from sandbox.codedeploy.world import Door

from shipit import sql
from shipit.aws.athena import Athena
from shipit.aws.reports import ReportReader
from shipit.sandbox.athena.service import AthenaService
from shipit.sandbox.athena.store import NoSuchObject, ObjectInfo
from shipit.sandbox.wire import JsonService

BUCKET = "acme-shipit"
NAMES = {"database": "shipit", "table": "version_reports"}
PLACE = {"bucket": BUCKET, "prefix": "prod"}
OUTPUT = f"s3://{BUCKET}/results/"
REPORTS = sql.reports_location(BUCKET, "prod").removeprefix(f"s3://{BUCKET}/")


class MemoryStore:
    """Hold the objects of one bucket; `on_get` is called first with the key of each read."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.reads: list[str] = []
        self.listed: list[str] = []
        self.on_get: Callable[[str], None] = lambda key: None
        self._lock = threading.Lock()

    def list(self, bucket: str, prefix: str) -> Iterable[ObjectInfo]:
        if bucket != BUCKET:
            raise NoSuchObject(f"s3://{bucket}")
        self.listed.append(prefix)
        with self._lock:
            found = sorted(item for item in self.objects.items() if item[0].startswith(prefix))
        return [ObjectInfo(key=k, size=len(body), etag=hashlib.md5(body).hexdigest()) for k, body in found]

    def get(self, bucket: str, key: str) -> bytes:
        self.on_get(key)
        with self._lock:
            self.reads.append(key)
            if bucket != BUCKET or key not in self.objects:
                raise NoSuchObject(f"s3://{bucket}/{key}")
            return self.objects[key]

    def put(self, bucket: str, key: str, body: bytes) -> None:
        if bucket != BUCKET:
            raise NoSuchObject(f"s3://{bucket}")
        with self._lock:
            self.objects[key] = body


class Cloud:
    """One Athena with nothing in it, behind a door that many tests share."""

    def __init__(self, door: Door, **options: Any) -> None:
        self.now = NOON
        self.strays: list[str] = []
        self.url = door.url
        self.store = MemoryStore()
        self.service = AthenaService(self.store, lambda: self.now, **{"output_location": OUTPUT, **options})
        door.service = JsonService("athena", self.service)
        self.client: Any = boto3.client(
            "athena",
            endpoint_url=door.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )
        self.athena = Athena(self.client, database="shipit", sleep=lambda seconds: threading.Event().wait(0.002))

    def close(self) -> None:
        self.client.close()
        self.service.close()

    def create_table(self) -> None:
        for statement in sql.reports_ddl(**NAMES, **PLACE):
            self.athena.run(statement)

    def reader(self) -> ReportReader:
        return ReportReader(self.athena, **NAMES, **PLACE, on_stray=self.strays.append)

    def rows(self, statement: str, *parameters: str | int | bool) -> list[list[str | None]]:
        return [list(row.values()) for row in self.athena.run(statement, parameters).rows]

    def put(self, name: str, body: bytes | str | dict[str, Any], *, slot: str = f"{NOON:%Y-%m-%d-%H}") -> str:
        """Write an object below a slot of the reports; a dict becomes one JSON line."""
        text = json.dumps(body) + "\n" if isinstance(body, dict) else body
        key = f"{REPORTS}/slot={slot}/{name}"
        self.store.put(BUCKET, key, text.encode() if isinstance(text, str) else text)
        return key


def own(instance_id: str, number: int = 1) -> str:
    """Return the name of an object that this instance may write."""
    return f"AROATEST:{instance_id}-{number}.json"


def line(instance_id: str, at: datetime = NOON, **changes: Any) -> dict[str, Any]:
    """Return a report as an instance writes it."""
    return {
        "schema_version": 1,
        "instance_id": instance_id,
        "asg": "workers-email",
        "queue": "email",
        "build": "v2",
        "git_sha": "abc",
        "digest": "d2",
        "running_build": "v2",
        "deployment_id": "d-1",
        "reason": "heartbeat",
        "seq": 1,
        "reported_at": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
        **changes,
    }
