"""watch.py as a service: real processes, real signals, a systemctl that is a script."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import eventually
from hook_host import SYSTEMCTL
from instance_aws import InstanceAws, instance_aws
from project import REPOSITORY
from watched import FACTS

#: Says that it was told to stop polling, then to stop, and takes a moment for that.
WORKER = """
import os, signal, sys, time
notes = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
signal.signal(signal.SIGUSR2, lambda *_: os.write(notes, b"quiesced "))
signal.signal(signal.SIGTERM, lambda *_: (os.write(notes, b"stopped "), os._exit(0)))
os.write(notes, b"up ")
while True:
    time.sleep(10)
"""


class Machine:
    """A root with an application, its worker, and watchers."""

    def __init__(self, folder: Path, aws: InstanceAws) -> None:
        self.aws, self.root = aws, folder / "root"
        self.notes, self.answers, self.journal = folder / "notes", folder / "answers", folder / "journal"
        self.release = self.root / "opt/shipit/worker/releases/b1"
        for path in (self.release, self.root / "etc/shipit", self.answers, folder / "bin"):
            path.mkdir(parents=True)
        settings = {**FACTS, "SHIPIT_WATCH_POLL": "0.05", "SHIPIT_DRAIN_WAIT": "0.1", "SHIPIT_DRAIN_GRACE": "5"}
        (self.root / "etc/shipit/instance.env").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
        (folder / "bin/systemctl").write_text(SYSTEMCTL)
        (folder / "bin/systemctl").chmod(0o755)
        self.environment = {
            "PATH": f"{folder / 'bin'}:{os.defpath}",
            "SHIPIT_ROOT": str(self.root),
            "ANSWERS": str(self.answers),
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.url,
            **{f"AWS_ENDPOINT_URL_{service}": aws.url for service in ("S3", "STS", "AUTO_SCALING")},
        }
        self.processes: list[subprocess.Popen[bytes]] = []

    def work(self) -> subprocess.Popen[bytes]:
        worker = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", WORKER, str(self.notes)],
            cwd=self.release,
            env={"SHIPIT_BUILD": "b1"},
        )
        self.processes.append(worker)
        threading.Thread(target=worker.wait, daemon=True).start()  # so that it leaves no zombie
        state = "Id=worker@b1.service\\nActiveState=active\\nMainPID=%s\\n"
        (self.answers / "show").write_text(f"! kill -0 {worker.pid} 2>/dev/null || printf '{state}' {worker.pid}\n")
        eventually(lambda: "up" in self.noted)
        return worker

    def watch(self) -> subprocess.Popen[bytes]:
        with self.journal.open("ab") as journal:
            watcher = subprocess.Popen(
                [sys.executable, "-I", "-S", str(REPOSITORY / "scripts/watch.py"), "worker"],
                env=self.environment,
                stdout=journal,
                stderr=journal,
            )
        self.processes.append(watcher)
        return watcher

    @property
    def noted(self) -> list[str]:
        return self.notes.read_text().split() if self.notes.exists() else []

    @property
    def said(self) -> str:
        return self.journal.read_text()

    @property
    def reasons(self) -> list[str]:
        return [row["reason"] for row in self.aws.bodies]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with instance_aws() as aws:
        found = Machine(tmp_path, aws)
        yield found
        for process in found.processes:
            process.kill()
            process.wait()


def test_a_notice_drains_the_worker_and_the_service_ends_when_it_is_told_to(machine: Machine) -> None:
    worker, watcher = machine.work(), machine.watch()
    eventually(lambda: machine.reasons == ["start"])
    assert machine.aws.bodies[0]["running_build"] == "b1"
    machine.aws.notice(60, time.time())
    eventually(lambda: machine.reasons == ["start", "stop"])
    assert worker.poll() == 0
    assert machine.noted == ["up", "quiesced", "stopped"]
    eventually(lambda: "stop --no-block worker@b1.service" in (machine.answers / "calls").read_text())
    watcher.send_signal(signal.SIGTERM)
    assert watcher.wait(20) == 0
    assert "Traceback" not in machine.said


def test_an_s3_that_hangs_delays_no_drain(machine: Machine) -> None:
    machine.aws.s3_hangs = True
    machine.work()
    machine.watch()
    eventually(lambda: "start: process" in machine.said)
    machine.aws.notice(60, time.time())
    eventually(lambda: "stopped" in machine.noted)
    assert machine.reasons == []
    machine.aws.s3_hangs = False


def test_a_second_watcher_waits_and_takes_over_when_the_first_is_killed(machine: Machine) -> None:
    machine.work()
    first = machine.watch()
    eventually(lambda: machine.reasons == ["start"])
    machine.watch()
    eventually(lambda: "another watcher runs" in machine.said)
    first.kill()
    machine.aws.notice(60, time.time())
    eventually(lambda: "stopped" in machine.noted)
    eventually(lambda: machine.reasons == ["start", "stop"])


def test_a_worker_that_ends_with_the_machine_is_reported_at_the_end_of_the_service(machine: Machine) -> None:
    facts = machine.root / "etc/shipit/instance.env"
    facts.write_text(facts.read_text().replace("SHIPIT_WATCH_POLL=0.05", "SHIPIT_WATCH_POLL=60"))
    worker, watcher = machine.work(), machine.watch()
    eventually(lambda: machine.reasons == ["start"])
    worker.kill()
    eventually(lambda: worker.poll() is not None)
    watcher.send_signal(signal.SIGTERM)
    assert watcher.wait(20) == 0
    assert machine.reasons == ["start", "stop"]


def test_a_machine_without_metadata_and_without_room_for_state_is_watched_when_they_come(machine: Machine) -> None:
    (machine.root / "var").write_text("in the way")
    machine.aws.metadata_fails = 503
    machine.work()
    machine.watch()
    eventually(lambda: "asking again" in machine.said)
    assert "watching without a lock" in machine.said
    machine.aws.metadata_fails = 0
    machine.aws.notice(60, time.time())
    eventually(lambda: "stopped" in machine.noted)
    eventually(lambda: machine.reasons == ["start", "stop"])
