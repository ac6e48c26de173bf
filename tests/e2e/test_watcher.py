"""The watcher that the bundle brings, on instances of the sandbox: reports, a scale-in and a reclaim, as on AWS."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemons import eventually
from project import Project

from shipit.sandbox.instance.processes import journal_folder

#: A worker as far as systemd and a drain see it: it says that it is ready, handles SIGUSR2, and ends at SIGTERM.
WORKER = """
import os, signal, socket
signal.signal(signal.SIGUSR2, lambda *_: print("quiesced", flush=True))
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", "\\0" + os.environ["NOTIFY_SOCKET"][1:])
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
signal.sigwait([signal.SIGTERM])
print("stopped", flush=True)
"""
MORE = """
[env.sandbox.sandbox.instance-env]
SHIPIT_STABLE_SECONDS = "0"
SHIPIT_WATCH_POLL = "0.2"
SHIPIT_SPOT_MARGIN = "2"
SHIPIT_HEARTBEAT = "2"
"""


class Watched(Project):
    """A project of one group whose two workers are small and real."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, instances=2, workers="real", queues=("reports",), more=MORE)
        (root / "worker/small.py").write_text(WORKER)
        scripts = root / "worker/scripts"
        (scripts / "start_worker.sh").write_text('#!/bin/sh\nexec "$SHIPIT_PYTHON" small.py\n')
        (scripts / "settings.env").write_text("SHIPIT_SMOKE=no\nSHIPIT_DRAIN_WAIT=0.3\n")
        self.commit("small workers")

    @property
    def reports(self) -> dict[str, dict[str, Any]]:
        """All objects of reports and history, by key."""
        s3 = self.client("s3")
        keys = [one["Key"] for one in s3.list_objects_v2(Bucket="shipit-test").get("Contents", [])]
        wanted = [key for key in keys if re.search("/(reports|history)/v1/", key)]
        return {key: json.loads(s3.get_object(Bucket="shipit-test", Key=key)["Body"].read()) for key in wanted}

    def reasons(self, instance: str, kind: str) -> list[str]:
        """What an instance said, in order, but for its heartbeats, which come when they come."""
        rows = [row for key, row in self.reports.items() if f"/{kind}/" in key and f":{instance}-" in key]
        reasons = [row["reason"] for row in sorted(rows, key=lambda row: (row["reported_at"], row["seq"]))]
        return [one for one in reasons if one != "heartbeat"]

    def beats(self, instance: str) -> bool:
        """Whether the instance sent a heartbeat."""
        return any(f":{instance}-" in key and row["reason"] == "heartbeat" for key, row in self.reports.items())

    @property
    def states(self) -> dict[str, str]:
        asg = self.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"][0]
        return {one["InstanceId"]: one["LifecycleState"] for one in asg["Instances"]}

    def journal(self, instance: str) -> str:
        found = sorted((journal_folder(self.state) / instance).glob("*.log"))
        return "".join(path.read_text() for path in found)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Watched]:
    found = Watched(tmp_path)
    yield found
    found.stop()


def test_instances_report_from_start_to_stop_and_drain_before_they_go(project: Watched) -> None:
    deployed = project.inv("deploy")
    assert deployed.code == 0, deployed.all
    first, second = project.states
    eventually(lambda: project.beats(first))
    # The watcher and the hook report by themselves, whoever is first.
    assert sorted(project.reasons(first, "reports")) == ["deploy", "start"]
    assert all(re.search(r"/AROA[A-Z0-9]{17}:i-[0-9a-f]+-\d{13}\.json$", key) for key in project.reports)

    project.control("fault", name="scale", group="reports", by=-1)
    [staying] = [one for one, state in project.states.items() if state == "InService"]
    leaving = second if staying == first else first
    eventually(lambda: leaving not in project.states)
    assert project.reasons(leaving, "reports")[-1] == "stop"
    *begun, ended = project.reasons(leaving, "history")
    assert (sorted(begun), ended) == (["deploy", "start"], "stop")
    said = project.journal(leaving)
    assert "this instance leaves: scale-in" in said
    assert "quiesced\nstopped\n" in said
    assert "no worker runs any more" in said

    project.control("fault", name="metadata", ids=[staying], seconds=1)
    project.control("fault", name="reclaim", ids=[staying], notice=60)
    eventually(lambda: project.reasons(staying, "reports")[-1] == "stop")
    assert staying in project.states, "it drained before its end"
    assert "this instance leaves: spot" in project.journal(staying)
    assert "quiesced\nstopped\n" in project.journal(staying)
