"""A watched instance: watcher, reporter and sender over loopback, with systemd, processes and time played."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from instance_aws import ID, TARGET, Action, InstanceAws
from shipit_instance.aws import Aws
from shipit_instance.facts import Identity, Settings
from shipit_instance.lifecycle import Hook
from shipit_instance.metadata import Failed, Metadata
from shipit_instance.reporter import Reporter
from shipit_instance.rows import Process
from shipit_instance.sender import Sender
from shipit_instance.spool import Spool
from shipit_instance.watcher import Eyes, Watcher
from shipit_instance.workers import Worker

FACTS = {
    "SHIPIT_REPORTS": "s3://bucket/env/reports/v1",
    "SHIPIT_HISTORY": "s3://bucket/env/history/v1",
    "SHIPIT_ASG": "worker-reports",
    "SHIPIT_QUEUE": "reports",
    "AWS_REGION": "eu-central-1",
}
#: Numbers that no process of this machine has (the kernel's own bound is 2 ** 22).
FIRST_PID = 2**22 + 1
#: Seconds in which a worker gives its messages back, as measured.
COLD_SECONDS = 1.3


@dataclass
class Played:
    """A worker's process: busy until then, and how it ended when."""

    build: str
    pid: int
    busy_until: float = 0.0
    ends_at: float | None = None
    how: str = ""
    stubborn: bool = False
    state: str = "active"


@dataclass
class Drain:
    """What a drain was told, when, and about whom."""

    at: float
    pid: int
    wait: float
    grace: float
    cold: float


@dataclass
class Instance:
    """One instance in played time. `now` is monotonic, `skew` what the machine's clock is off by."""

    aws: InstanceAws
    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    now: float = 1000.0
    skew: float = 0.0
    processes: list[Played] = field(default_factory=list)
    drains: list[Drain] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    systemd_fails: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Let another watcher take the place of the one that ran."""
        settings = Settings(self.settings, FACTS)
        self.spool = Spool(str(self.folder / "spool"), self.said.append)
        metadata = Metadata(self.aws.url, lambda: self.now)
        aws = Aws(metadata, "eu-central-1")
        self.reporter = Reporter(
            home=str(self.folder / "home"),
            settings=settings,
            identity=Identity(ID, "eu-central-1b", "spot"),
            spool=self.spool,
            wall=lambda: self.wall,
            say=self.said.append,
            read=self._read,
        )
        self.sender = Sender(self.spool, aws, self.said.append, lambda: 1.0)
        self._send_at = 0.0
        self.watcher = Watcher(
            look=Eyes(metadata, lambda: self.wall, self.said.append, rebalance="SHIPIT_REBALANCE" in self.settings),
            units=self,
            reports=self.reporter,
            waiting=lambda: len(self.spool),
            hook=lambda: Hook(
                aws,
                group="worker-reports",
                hook="shipit-drain",
                instance_id=ID,
                every=settings.seconds("SHIPIT_HOOK_HEARTBEAT"),
                say=self.said.append,
            ),
            drain=self._drain,
            spawn=lambda job: job(),
            settings=settings,
            monotonic=lambda: self.now,
            say=self.said.append,
            environment=lambda pid: self.environment,
        )

    @property
    def wall(self) -> float:
        return 1_795_354_000.0 + self.now + self.skew

    def work(self, build: str = "b1", busy: float = 0.0, **more: Any) -> Played:
        """Start a worker with a task that takes so long."""
        worker = Played(build, FIRST_PID + len(self.processes), self.now + busy, **more)
        self.processes.append(worker)
        return worker

    def take_away(self, hook_timeout: float | None = None) -> None:
        """Let Auto Scaling take the instance; with a timeout, its hook waits for heartbeats."""
        self.aws.metadata[TARGET] = "Terminated"
        if hook_timeout is not None:
            self.aws.action = Action(lambda: self.now, hook_timeout)

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end = self.now + seconds
        while True:
            pause = self.watcher.step()
            if self.now >= self._send_at or self.spool_grew():
                wait = self.sender.step()
                self._send_at = self.now + (wait or 0.0)
            if self.now + pause > end:
                break
            self.now += pause
        self.now = end

    def spool_grew(self) -> bool:
        before, self._length = getattr(self, "_length", 0), len(self.spool)
        return self._length > before

    def rows(self, *reasons: str) -> list[dict[str, Any]]:
        """The reports in S3 for these reasons, in the order in which they came."""
        return [row for row in self.aws.bodies if not reasons or row["reason"] in reasons]

    # What systemd does for the watcher.

    def workers(self) -> list[Worker]:
        if self.systemd_fails:
            raise Failed("systemctl show: no answer")
        return [
            Worker(f"worker@{one.build}.service", one.state, one.pid if one.state != "waiting" else 0)
            for one in self.processes
            if one.ends_at is None or one.ends_at > self.now
        ]

    def stop(self, unit: str) -> None:
        self.asked.append(f"stop {unit}")
        for one in self.processes:
            if f"worker@{one.build}.service" == unit and one.state == "activating":
                one.ends_at = self.now

    def kill(self, unit: str) -> None:
        self.asked.append(f"kill {unit}")
        for one in self.processes:
            if f"worker@{one.build}.service" == unit:
                one.ends_at, one.how = self.now, "killed"

    def _read(self, pid: int) -> Process:
        worker = next(one for one in self.processes if one.pid == pid)
        return Process(pid, pid * 10, worker.build, "2026-11-22T13:00:00.000Z")

    def _drain(self, pid: int, wait: float, grace: float, cold: float) -> str:
        self.drains.append(Drain(self.now, pid, wait, grace, cold))
        worker = next(one for one in self.processes if one.pid == pid)
        if worker.stubborn:
            return "alive"
        term = self.now + wait
        warm = max(term, worker.busy_until)
        how, end = ("warm", warm) if warm <= term + grace else ("cold", term + grace + min(COLD_SECONDS, cold))
        if worker.ends_at is None or end < worker.ends_at:
            worker.how, worker.ends_at = how, end
        return how
