"""Run the bundle's hooks on one instance below a root, with a scripted systemctl and a small S3."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from instances import FACTS

from shipit.build.standard import standard_entries
from shipit.bundle import Entry, pack
from shipit.sandbox.instance.imds import Imds

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


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextlib.contextmanager
def services(ends: Mapping[str, datetime] | None = None) -> Iterator[tuple[str, FakeS3]]:
    """Serve S3, STS and the instance's metadata on loopback; yield the endpoint and what S3 holds.

    `ends` says when spot takes an instance, by its id; it may change while this serves.
    """
    s3, imds = FakeS3(), Imds({FACTS.id: FACTS}.get, ({} if ends is None else ends).get)

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/_imds"):
            return imds({**environ, "PATH_INFO": environ["PATH_INFO"].removeprefix("/_imds")}, start_response)
        if environ["REQUEST_METHOD"] == "POST":
            start_response("200 OK", [])
            return [f"<UserId>{USER_ID}</UserId>".encode()]
        return s3(environ, start_response)

    server = make_server("127.0.0.1", 0, serve, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", s3
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def last_line(result: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """Return the fields with which a hook that went well ends."""
    assert result.returncode == 0, result.stderr
    line = result.stdout.splitlines()[-1]
    assert len(line) < 500
    fields: dict[str, object] = json.loads(line)
    return fields


def refusal(result: subprocess.CompletedProcess[str]) -> str:
    """Return what a hook that failed said last."""
    assert result.returncode == 1
    return result.stderr.splitlines()[-1]


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
    #: What the last hook of `prepare` printed.
    last: str = ""

    @property
    def home(self) -> Path:
        return self.root / "opt/shipit/worker"

    @property
    def incoming(self) -> Path:
        return self.root / "opt/shipit/incoming"

    @property
    def units(self) -> Path:
        return self.root / "etc/systemd/system"

    @property
    def calls(self) -> list[str]:
        path = self.answers / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def named_releases(self) -> list[str]:
        """Return the releases that are whole."""
        return sorted(name for name in os.listdir(self.home / "releases") if not name.startswith("."))

    def release(self, build: str) -> Path:
        return self.home / "releases" / build

    def answer(self, verb: str, script: str) -> None:
        """Let systemctl run this script for a verb."""
        (self.answers / verb).write_text(script)

    def unpack(
        self, build: str, files: Mapping[str, str] | None = None, *, bring: Mapping[str, bytes] | None = None
    ) -> None:
        """Lay out the unpacked bundle of a build, as DownloadBundle leaves it: the example, `files` and `bring`."""
        content = self.bundle.parent / "content"
        shutil.rmtree(content, ignore_errors=True)
        shutil.copytree(PROJECT / "examples/worker", content, ignore=shutil.ignore_patterns("__pycache__"))
        texts = {name: text.encode() for name, text in (files or {}).items()}
        for name, data in (texts | dict(bring or {})).items():
            (content / name).parent.mkdir(parents=True, exist_ok=True)
            (content / name).write_bytes(data)
        self.pack(build, content)

    def pack(self, build: str, content: Path, links: Mapping[str, str] | None = None) -> None:
        """Make a bundle of a folder, links and the standard parts, and unpack it where the agent would."""
        own = {path.relative_to(content).as_posix(): path for path in content.rglob("*") if path.is_file()}
        entries = [
            *(Entry(name=name, source=path, executable=os.access(path, os.X_OK)) for name, path in own.items()),
            *(Entry(name=name, source=content, link=target) for name, target in (links or {}).items()),
            *(entry for entry in standard_entries() if entry.name not in own),
        ]
        moment = datetime(2026, 11, 24, tzinfo=UTC)
        packed = pack(
            entries, self.bundle.parent / "bundle.tgz", version=build, sha="a" * 40, committed_at=moment, level=1
        )
        shutil.rmtree(self.bundle, ignore_errors=True)
        with tarfile.open(packed.path) as archive:
            archive.extractall(self.bundle, filter="fully_trusted")

    def install(self) -> None:
        """Copy the bundle to the fixed folder, as Install does."""
        shutil.copytree(self.bundle, self.incoming, dirs_exist_ok=True)

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

    def say(self, **settings: str) -> None:
        """Add to what user data says of this instance."""
        with (self.root / "etc/shipit/instance.env").open("a") as file:
            file.writelines(f"{key}={value}\n" for key, value in settings.items())

    def prepare(
        self, build: str, files: Mapping[str, str] | None = None, *, bring: Mapping[str, bytes] | None = None
    ) -> None:
        """Bring a build as far as AfterInstall does."""
        self.unpack(build, files, bring=bring)
        for step in ("before_install.sh", "", "after_install.sh"):
            if step:
                result = self.hook(step)
                assert result.returncode == 0, result.stderr
                self.last = result.stdout
            else:
                self.install()

    def switch(self, build: str) -> None:
        """Prepare a build and switch to it."""
        self.prepare(build)
        result = self.hook("application_start.sh")
        assert result.returncode == 0, result.stderr

    def work(self, build: str, *, folder: Path | None = None) -> int:
        """Start a process that looks like a build's worker, as a switch to it does; systemctl shows its pid, too."""
        current = self.home / "current"
        current.unlink(missing_ok=True)
        current.symlink_to(f"releases/{build}")
        worker = subprocess.Popen(["sleep", "600"], cwd=folder or self.release(build), env={"SHIPIT_BUILD": build})
        self.workers.append(worker)
        self.answer("show", f"printf 'MainPID={worker.pid}\\nNRestarts=0\\nActiveState=active\\n'")
        return worker.pid
