"""One instance below a temporary root, or in played time, and what it talks to."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hook_host import SYSTEMCTL, Host, services
from instance_aws import InstanceAws, instance_aws
from instances import FACTS
from watched import Instance


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    root, answers, programs = tmp_path / "root", tmp_path / "answers", tmp_path / "bin"
    for folder in (root / "etc/shipit", answers, programs):
        folder.mkdir(parents=True)
    (answers / "is-active").write_text("exit 3\n")
    own = {"SHIPIT_USER": pwd.getpwuid(os.getuid()).pw_name, "SHIPIT_SMOKE": "no", "SHIPIT_STABLE_SECONDS": "0"}
    (root / "etc/shipit/instance.env").write_text(FACTS.env_file(own))
    (programs / "systemctl").write_text(SYSTEMCTL)
    (programs / "systemctl").chmod(0o755)
    (programs / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (programs / "python3").chmod(0o755)
    with services() as (endpoint, s3):
        host = Host(root, answers, programs, endpoint, s3, tmp_path / "agent/deployment-archive")
        yield host
    for worker in host.workers:
        worker.kill()
        worker.wait()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[InstanceAws]:
    """Serve what an instance talks to, and let this process be the instance."""
    with instance_aws() as found:
        for service in ("S3", "STS", "AUTO_SCALING"):
            monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", found.url)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
        yield found


@pytest.fixture
def instance(aws: InstanceAws, tmp_path: Path) -> Instance:
    """Have a watcher on it."""
    return Instance(aws, tmp_path)
