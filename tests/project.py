"""A project with a sandbox of its own, and the real command line to use it by."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from invoke import Context

from shipit.build import name_build
from shipit.sandbox import lifecycle
from shipit.sandbox.config import SandboxConfig, from_settings, state_folder
from shipit.settings import load

REPOSITORY = Path(__file__).resolve().parents[1]
QUEUES = ("email-digest", "email-inbound", "images-resize", "reports", "webhooks-inbound")
TOML = """
application = "worker"
bucket = "shipit-test"
default-env = "sandbox"
tags = {{ env = "sandbox" }}

[build]
path = "worker"

[rollout]
poll = "200ms"

[env.sandbox.sandbox]
port = {port}
queue-names = {queues}
instances = {instances}
workers = "{workers}"
idle = "10m"

{more}
"""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that runs the tests in the background lets them ignore Ctrl-C, and their children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def finish(process: subprocess.Popen[str], timeout: float = 60) -> tuple[str, str]:
    """Return what a process of which lines were read has yet to print, once it has ended; kill it after so long.

    `communicate` would read past what the reader holds already, and lose that.
    """
    assert process.stdout
    assert process.stderr
    watchdog = threading.Timer(timeout, process.kill)
    watchdog.start()
    try:
        out, err = process.stdout.read(), process.stderr.read()
        process.wait()
    finally:
        watchdog.cancel()
    return out, err


@dataclass(frozen=True)
class Ran:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Project:
    """A git repository with the example worker and a shipit.toml: all else of its bundle comes with the tool."""

    def __init__(
        self,
        root: Path,
        *,
        instances: int = 8,
        workers: str = "stub",
        queues: Sequence[str] = QUEUES,
        more: str = "",
    ) -> None:
        self.root = root
        self.port = free_port()
        shutil.copytree(REPOSITORY / "examples/worker", root / "worker", ignore=shutil.ignore_patterns("__pycache__"))
        names = json.dumps(list(queues))
        (root / "shipit.toml").write_text(
            TOML.format(port=self.port, queues=names, instances=instances, workers=workers, more=more)
        )
        (root / "tasks.py").write_text("from shipit.tasks import namespace\n\n__all__ = ['namespace']\n")
        (root / ".gitignore").write_text(".shipit/\n__pycache__/\n")
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("first")

    def own(self, name: str) -> Path:
        """Copy a standard part into the project, as one does to change it, and return the copy's path."""
        copy = self.root / name
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / name, copy)
        return copy

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false")
        return subprocess.run(
            ["git", *who, *words], cwd=self.root, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, message: str) -> str:
        """Commit everything, and return the version that this commit builds."""
        (self.root / "worker" / "NOTES").write_text(f"{message}\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.version

    @property
    def version(self) -> str:
        """The name of a build of HEAD, without the half second that `inv version` takes."""
        return name_build(Context(), load(start=self.root)).version

    @property
    def config(self) -> SandboxConfig:
        return from_settings(load(start=self.root))

    @property
    def state(self) -> Path:
        return state_folder(self.root)

    def environment(self, **more: str) -> dict[str, str]:
        """Return an environment without credentials, CI or settings of whoever runs the tests."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "GITHUB_", "CI", "SHIPIT_"))}
        bin_folder = str(Path(sys.executable).parent)
        return {**kept, "PATH": f"{bin_folder}:{kept['PATH']}", "AWS_EC2_METADATA_DISABLED": "true", **more}

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "invoke", *words],
            cwd=self.root,
            env=self.environment(**(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def inv(self, *words: str, env: Mapping[str, str] | None = None) -> Ran:
        process = self.start(*words, env=env)
        out, err = process.communicate(timeout=90)
        return Ran(process.returncode, out, err)

    def interrupted(self, *words: str, at: str, number: int = signal.SIGINT) -> Ran:
        """Run a command and send it a signal once a line of its output contains `at`."""
        process = self.start(*words)
        assert process.stdout
        seen = []
        for line in process.stdout:
            seen.append(line)
            if at in line:
                break
        process.send_signal(number)
        out, err = finish(process)
        return Ran(process.returncode, "".join(seen) + out, err)

    def control(self, path: str, **given: object) -> dict[str, Any]:
        """Ask the daemon something below /_sandbox/."""
        return lifecycle.request(f"http://127.0.0.1:{self.port}", path, given)

    def client(self, service: str) -> Any:
        """Return a boto3 client of the project's sandbox."""
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=self.config.url,
            aws_access_key_id="a",
            aws_secret_access_key="b",
        )

    def until_idle(self) -> None:
        """Wait until no deployment runs."""
        deadline = time.monotonic() + 60
        while lifecycle.request(self.config.url, "status")["active_deployments"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def stop(self) -> None:
        lifecycle.stop(self.config)
