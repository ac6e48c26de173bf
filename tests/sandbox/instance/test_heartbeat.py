"""Heartbeats are spread over the interval, one at a time, and speak for running workers alone."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from instances import FACTS, ID, Driver, tgz

from shipit.models import EventStatus
from shipit.sandbox.clock import ManualClock
from shipit.sandbox.instance.agent import ProcessAgent
from shipit.sandbox.instance.folders import InstanceFolder
from shipit.sandbox.instance.heartbeat import Heartbeats
from shipit.sandbox.instance.role import ACCESS_KEY, is_from_instance

# Says what it was called with, in place of a report.
REPORT = """import json, os, sys
path = os.environ["SHIPIT_ROOT"] + "/reported"
open(path, "a").write(json.dumps([os.path.realpath(__file__), *sys.argv[1:]]) + "\\n")
"""

UNIT = """[Service]
WorkingDirectory=@HOME@/releases/%i
ExecStart=@HOME@/releases/%i/run
"""


@dataclass
class FakeAgent:
    """Note who reports when; a report ends at once, unless told to `hang`."""

    clock: ManualClock
    ids: list[str]
    beats: list[tuple[float, str]] = field(default_factory=list)
    hang: bool = False
    done: Callable[[], None] | None = None

    def instances(self) -> list[str]:
        return list(self.ids)

    def heartbeat(self, instance_id: str, done: Callable[[], None]) -> None:
        self.beats.append((self.clock.now(), instance_id))
        self.done = done
        if not self.hang:
            done()


def fleet(count: int) -> tuple[ManualClock, FakeAgent, Heartbeats]:
    clock = ManualClock(0.0)
    agent = FakeAgent(clock, [f"i-{n}" for n in range(count)])
    heartbeats = Heartbeats(agent, clock, 300.0)
    heartbeats.start()
    return clock, agent, heartbeats


def test_each_instance_reports_once_per_interval_and_evenly_spread() -> None:
    clock, agent, _ = fleet(200)
    clock.advance(300.5)
    assert sorted(name for _, name in agent.beats) == sorted(agent.ids)
    times = [at for at, _ in agent.beats]
    assert [round(b - a, 6) for a, b in itertools.pairwise(times)] == [1.5] * 199


def test_one_report_at_a_time_and_nobody_loses_a_turn() -> None:
    clock, agent, _ = fleet(3)
    agent.hang = True
    clock.advance(1000)
    assert [name for _, name in agent.beats] == ["i-0"]
    agent.hang = False
    assert agent.done
    agent.done()
    clock.advance(200)
    assert [name for _, name in agent.beats] == ["i-0", "i-1", "i-2"]


def test_instances_come_and_go() -> None:
    clock, agent, _ = fleet(0)
    clock.advance(100)
    agent.ids = ["i-a", "i-b"]
    clock.advance(330)
    assert {name for _, name in agent.beats} == {"i-a", "i-b"}
    agent.ids, agent.beats = ["i-b"], []
    clock.advance(900)
    assert {name for _, name in agent.beats} == {"i-b"}


def test_closed_heartbeats_are_silent() -> None:
    clock, agent, heartbeats = fleet(2)
    heartbeats.close()
    clock.advance(1000)
    assert agent.beats == []


def test_an_interval_must_be_positive() -> None:
    with pytest.raises(ValueError, match="must be positive, not 0"):
        Heartbeats(FakeAgent(ManualClock(), []), ManualClock(), 0)


def beat(driver: Driver, instance_id: str = ID) -> list[list[str]]:
    """Let the instance report; return all that its report.py was called with so far."""
    ended = threading.Event()
    driver.agent.heartbeat(instance_id, ended.set)
    assert ended.wait(30)
    path = driver.folder.root / "reported"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def worker(driver: Driver, build: str) -> Path:
    """Lay out a release and its unit, and make it the current one; return it."""
    home = driver.folder.root / "opt/shipit/worker"
    release = home / "releases" / build
    (release / "scripts").mkdir(parents=True)
    (release / "scripts/report.py").write_text(REPORT)
    (release / "run").write_text("#!/bin/sh\nexec sleep 600\n")
    (release / "run").chmod(0o755)
    (driver.folder.units / "worker@.service").write_text(UNIT.replace("@HOME@", str(home)))
    (home / "current").unlink(missing_ok=True)
    (home / "current").symlink_to(release)
    return release


def test_the_running_release_reports_its_own_worker(driver: Driver) -> None:
    release = worker(driver, "b1")
    assert driver.hook("systemctl start worker@b1").status is EventStatus.SUCCEEDED
    worker(driver, "b2")  # installed, and not started
    ((script, home, pid, reason),) = beat(driver)
    assert script == str(release / "scripts/report.py")
    assert (home, reason) == (str(release.parents[1]), "heartbeat")
    assert os.readlink(f"/proc/{pid}/cwd") == str(release)


def test_between_two_builds_the_current_one_speaks(driver: Driver) -> None:
    worker(driver, "b1")
    new = worker(driver, "b2")
    driver.hook("systemctl start worker@b1 worker@b2")
    ((script, *_),) = beat(driver)
    assert script == str(new / "scripts/report.py")


def test_without_a_running_worker_nothing_is_sent(driver: Driver) -> None:
    worker(driver, "b1")
    assert beat(driver) == []
    driver.hook("systemctl start worker@b1; systemctl stop worker@b1")
    assert beat(driver) == []


def test_a_process_outside_of_a_release_cannot_report(driver: Driver) -> None:
    (driver.folder.units / "other@.service").write_text("[Service]\nExecStart=/bin/sh\n")
    driver.hook("systemctl start other@1")
    assert beat(driver) == []


def test_an_instance_that_is_gone_sends_nothing(driver: Driver) -> None:
    worker(driver, "b1")
    driver.hook("systemctl start worker@b1")
    driver.agent.remove(ID)
    assert beat(driver) == []


def test_a_report_that_fails_ends_like_any_other(driver: Driver) -> None:
    release = worker(driver, "b1")
    (release / "scripts/report.py").write_text("raise SystemExit(1)\n")
    driver.hook("systemctl start worker@b1")
    assert beat(driver) == []


def test_only_the_queues_named_run_the_units_program(tmp_path: Path) -> None:
    appspec = "version: 0.0\nos: linux\nhooks:\n  BeforeInstall: [{location: go.sh}]\n"
    start = (
        'printf "[Service]\\nWorkingDirectory=$SHIPIT_ROOT\\nExecStart=$SHIPIT_ROOT/real-program\\n"'
        ' >"$SHIPIT_ROOT/etc/systemd/system/w@.service"\n'
        'printf "#!/bin/sh\\nexec sleep 601\\n" >"$SHIPIT_ROOT/real-program"; chmod +x "$SHIPIT_ROOT/real-program"\n'
        'systemctl start w@1\ntr "\\0" " " </proc/$(systemctl show -p MainPID --value w@1)/cmdline'
        ' >"$SHIPIT_ROOT/ran"\n'
    )
    for queue, stub in (("reports", False), ("email", True)):
        agent = ProcessAgent(
            tmp_path / queue,
            lambda _: tgz({"appspec.yml": appspec, "go.sh": "#!/bin/sh\n" + start}),
            "http://127.0.0.1:9",
            real_queues={"reports"},
        )
        agent.add(replace(FACTS, queue=queue))
        driver = Driver(agent, InstanceFolder(tmp_path / queue / "instances" / ID))
        try:
            for event in ("DownloadBundle", "BeforeInstall"):
                assert driver.run(event).status is EventStatus.SUCCEEDED
            ran = (driver.folder.root / "ran").read_text()
            assert ("infinity" in ran) is stub
        finally:
            agent.close()


def test_requests_of_instances_are_told_from_those_of_people() -> None:
    def signed(key: str) -> dict[str, str]:
        return {
            "PATH_INFO": "/bucket/key",
            "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential={key}/20261124/us-east-1/s3/aws4_request",
        }

    assert is_from_instance({"PATH_INFO": f"/_imds/{ID}/latest/api/token"})
    assert is_from_instance(signed(ACCESS_KEY))
    assert not is_from_instance(signed("sandbox"))
    assert not is_from_instance({"PATH_INFO": "/"})
