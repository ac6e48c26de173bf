"""Real daemons on free ports, and clients of AWS to talk to them: for tests that need no project."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from project import free_port

from shipit.sandbox import lifecycle
from shipit.sandbox.config import SandboxConfig, state_folder
from shipit.sandbox.running import Running


def small(root: Path, **changes: Any) -> SandboxConfig:
    """Return the configuration of a small sandbox with scripted instances, on a free port."""
    values: dict[str, Any] = {
        "root": str(root),
        "port": free_port(),
        "application": "worker",
        "bucket": "some-bucket",
        "report_bucket": "some-bucket",
        "report_prefix": "sandbox",
        "database": "shipit",
        "table": "version_reports",
        "queue_tag": "queue",
        "tags": {"env": "sandbox"},
        "queues": ("email", "reports"),
        "instances": 4,
        "workers": "scripted",
        "idle": 300.0,
    }
    return SandboxConfig(**{**values, **changes})


class Sandbox:
    """A daemon, its configuration, and how to reach it."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.state = state_folder(Path(config.root))
        #: What the user was told.
        self.notices: list[str] = []

    def ensure(self) -> str:
        return lifecycle.ensure(self.config, self.notices.append)

    def stop(self) -> bool:
        return lifecycle.stop(self.config)

    @property
    def running(self) -> Running | None:
        return Running.read(self.state)

    @property
    def status(self) -> dict[str, Any]:
        return lifecycle.request(self.config.url, "status")

    def control(self, path: str, **given: object) -> dict[str, Any]:
        return lifecycle.request(self.config.url, path, given)

    def client(self, service: str, key: str = "a") -> Any:
        """Return a boto3 client with an access key, that does not try again."""
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=self.config.url,
            aws_access_key_id=key,
            aws_secret_access_key="b",
            config=Config(retries={"total_max_attempts": 1}),
        )


def eventually(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until the condition holds and return what it returned; a test that fails waits `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
    return found
