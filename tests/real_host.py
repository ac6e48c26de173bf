"""An instance whose hooks and units run on a machine of its own, under a real systemd."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hook_host import Host
from machine import Machine

#: A worker of the standard library alone: it is ready, works on a task in a child, and ends after that when told to.
#: The task takes TASK_SECONDS, and lasts until there is a file TASK_UNTIL.
WORKER = """
import os, signal, socket, sys, time

build, stopping = os.environ["SHIPIT_BUILD"], False


def say(text):
    print(f"{time.monotonic():.3f} {build} {text}", flush=True)


def stop(number, frame):
    global stopping
    stopping = True


say(f"starts as {os.getuid()} for {os.environ['SHIPIT_QUEUE']}: {os.environ.get('WORD')}")
if os.path.exists("broken"):
    sys.exit("broken")
signal.signal(signal.SIGTERM, stop)
child = os.fork()
if not child:
    signal.signal(signal.SIGTERM, lambda *_: (say("task killed"), os._exit(1)))
    time.sleep(float(os.environ.get("TASK_SECONDS", "0.3")))
    while not os.path.exists(os.environ.get("TASK_UNTIL", "/")):
        time.sleep(0.02)
    say("task done")
    os._exit(0)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
    address = os.environ["NOTIFY_SOCKET"]
    ready.sendto(b"READY=1", "\\\\0" + address[1:] if address.startswith("@") else address)
say("ready")
if os.path.exists("crash"):
    time.sleep(0.2)
    os._exit(4)
while not stopping:
    time.sleep(0.02)
os.waitpid(child, 0)
say("ends")
"""
START = "#!/bin/sh\nexec python3 worker.py\n"
#: There is no journal on the machine.
LOGGED = "[Service]\nStandardOutput=append:/var/log/worker.log\nStandardError=append:/var/log/worker.log\n"


@dataclass
class RealHost(Host):
    """Run hooks as CodeDeploy's agent does, as root and with nothing in place of systemctl."""

    machine: Machine | None = None
    #: When spot takes the instance, by its id.
    ends: dict[str, datetime] = field(default_factory=dict)

    @property
    def inside(self) -> Machine:
        assert self.machine
        return self.machine

    def point_the_watcher_here(self) -> None:
        """Let the watcher ask the servers of this test, which the hooks hear of from their own environment."""
        names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_STS", "AWS_EC2_METADATA_SERVICE_ENDPOINT")
        given = self.environment()
        lines = [f"Environment={name}={given[name]}\n" for name in names if name in given]
        folder = self.units / "worker-watcher.service.d"
        folder.mkdir(parents=True)
        log = LOGGED.removeprefix("[Service]\n").replace("worker.log", "watcher.log")
        (folder / "test.conf").write_text(f"[Service]\n{''.join(lines)}{log}")

    def hook(self, name: str, **environment: str) -> subprocess.CompletedProcess[str]:
        given = {key: value for key, value in self.environment(environment).items() if key not in ("PATH", "ANSWERS")}
        return self.inside.run(str(self.bundle / "scripts" / name), env={**given, "SHIPIT_ROOT": ""})

    def deploy(
        self, build: str, files: Mapping[str, str] | None = None, *, deployment: str = "", standard: bool = False
    ) -> str:
        """Bring a build to the instance; return what the hook that failed said, empty where none did.

        Its worker is the one above, or with `standard` what start_worker.sh starts.
        """
        ours = {} if standard else {"worker.py": WORKER, "scripts/start_worker.sh": START}
        self.unpack(build, {**ours, **(files or {})})
        for name in ("before_install.sh", "", "after_install.sh", "application_start.sh", "validate_service.sh"):
            if not name:
                self.install()
                continue
            result = self.hook(name, DEPLOYMENT_ID=deployment or f"d-{build}", LIFECYCLE_EVENT=name)
            if result.returncode:
                return result.stderr
        return ""

    def log(self, build: str = "") -> list[str]:
        """Return what the workers said, one build's or all, without the times."""
        lines = [line.split(" ", 2) for line in (self.root / "var/log/worker.log").read_text().splitlines()]
        said = [(words[1], words[2]) for words in lines if len(words) == 3]
        return [text if build else f"{who} {text}" for who, text in said if not build or who == build]

    def show(self, build: str, *properties: str) -> list[str]:
        """Return properties of a build's unit."""
        names = [word for one in properties for word in ("-p", one)]
        return self.inside.systemctl("show", *names, "--value", f"worker@{build}").splitlines()

    def until(self, holds: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, self.inside.systemctl("list-units", "worker@*")
            time.sleep(0.05)

    def active(self) -> list[str]:
        """Return the builds whose workers are up."""
        listed = self.inside.systemctl(
            "list-units", "--plain", "--no-legend", "--state=active", "worker@*"
        ).splitlines()
        return [line.split("@")[1].split(".service")[0] for line in listed]
