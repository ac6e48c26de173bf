"""Run the bundle's hooks on one instance below a root, with a scripted systemctl and a small S3."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from instances import FACTS

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

PROJECT = Path(__file__).parents[1]

#: What STS says of the instance's role.
USER_ID = f"AROAEXAMPLEEXAMPLE000:{FACTS.id}"

SYSTEMCTL = """#!/bin/sh
# Note the call; answer as the file named for the verb says.
echo "$*" >>"$ANSWERS/calls"
[ ! -f "$ANSWERS/$1" ] || . "$ANSWERS/$1"
"""


@dataclass
class FakeS3:
    """Keep objects by path; answer with `statuses` first."""

    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[dict[str, str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        path = environ["PATH_INFO"]
        headers = {k[5:].lower().replace("_", "-"): v for k, v in environ.items() if k.startswith("HTTP_")}
        self.requests.append({**headers, "path": path})
        status = self.statuses.pop(0) if self.statuses else 412 if path in self.objects else 200
        if status == 200:
            self.objects[path] = body
        start_response(f"{status} Status", [("Content-Length", "0")])
        return []


@dataclass
class Host:
    """Run hooks of one build as the agent would, and see what they did."""

    root: Path
    answers: Path
    programs: Path
    endpoint: str
    s3: FakeS3
    bundle: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.root / "opt/shipit/worker"

    @property
    def calls(self) -> list[str]:
        path = self.answers / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def release(self, build: str) -> Path:
        return self.home / "releases" / build

    def answer(self, verb: str, script: str) -> None:
        """Let systemctl run this script for a verb."""
        (self.answers / verb).write_text(script)

    def unpack(self, build: str) -> None:
        """Lay out the unpacked bundle of a build, as DownloadBundle leaves it."""
        shutil.rmtree(self.bundle, ignore_errors=True)
        shutil.copytree(PROJECT / "examples/worker", self.bundle, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(PROJECT / "scripts", self.bundle / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        (self.bundle / "build.json").write_text(
            f'{{"schema":1,"version":"{build}","sha":"{"a" * 40}","digest":"{"d" * 64}"}}\n'
        )

    def install(self) -> None:
        """Copy the bundle to the fixed folder, as Install does."""
        shutil.copytree(self.bundle, self.root / "opt/shipit/incoming", dirs_exist_ok=True)

    def hook(self, name: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one hook from the unpacked bundle."""
        return subprocess.run(
            [str(self.bundle / "scripts" / name)],
            env=self.environment(environment),
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return {
            "PATH": f"{self.programs}:{os.defpath}",
            "SHIPIT_ROOT": str(self.root),
            "ANSWERS": str(self.answers),
            "APPLICATION_NAME": "worker",
            "DEPLOYMENT_ID": "d-1",
            "LIFECYCLE_EVENT": "Event",
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ENDPOINT_URL_STS": self.endpoint,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{self.endpoint}/_imds/{FACTS.id}/",
            **(more or {}),
        }

    def prepare(self, build: str) -> None:
        """Bring a build as far as AfterInstall does."""
        self.unpack(build)
        for step in ("before_install.sh", "", "after_install.sh"):
            if step:
                result = self.hook(step)
                assert result.returncode == 0, result.stderr
            else:
                self.install()

    def work(self, build: str, *, folder: Path | None = None) -> int:
        """Start a process that looks like a build's worker; return its pid, which systemctl shows too."""
        worker = subprocess.Popen(["sleep", "600"], cwd=folder or self.release(build), env={"SHIPIT_BUILD": build})
        self.workers.append(worker)
        self.answer("show", f"printf 'MainPID={worker.pid}\\nNRestarts=0\\nActiveState=active\\n'")
        return worker.pid
