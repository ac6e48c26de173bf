"""Kill a deploy at a chosen moment, carry it on, and ask CodeDeploy what became of it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from door import Door
from project import Project

QUEUES = tuple(f"queue-{n}" for n in range(8))
_ENV = """
[env.behind]
endpoint-url = "http://127.0.0.1:{door}"
region = "us-east-1"

[env.behind.rollout]
poll = "50ms"
look-every = "1s"
waves = {waves}
"""
_KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}


@dataclass(kw_only=True)
class Death:
    """Tell of one deploy that was killed: at which request, how it was carried on, what was wrong with the end."""

    waves: int
    request: int
    done: bool
    build: str = ""
    #: How far it was: the last event but ticks that it told.
    last: str = ""
    way: str = ""
    wrong: list[str] = field(default_factory=list)
    per_group: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        where = f"request {self.request}, {'answered' if self.done else 'not sent'}, after {self.last or 'nothing'}"
        return (
            f"{self.build}, waves {self.waves}: killed at {where}; {self.way}: {'; '.join(self.wrong) or 'converged'}"
        )


def kill_many(
    root: Path, number: int, *, seed: int, listen: Callable[[Death], None] = lambda death: None
) -> list[Death]:
    """Kill so many deploys, half of them of two waves in a sandbox of their own at the same time."""

    def some(waves: int) -> list[Death]:
        folder = root / f"waves-{waves}"
        folder.mkdir()
        deaths = []
        killer = Killer(folder, waves=waves, seed=seed + waves)
        try:
            for death in killer.deaths((number + 2 - waves) // 2):
                listen(death)
                deaths.append(death)
        finally:
            killer.close()
        return deaths

    with ThreadPoolExecutor(2) as pool:
        return [death for deaths in pool.map(some, (1, 2)) for death in deaths]


class Killer:
    """A project of eight groups behind a door, each of whose deploys is killed and carried on."""

    def __init__(self, root: Path, *, waves: int, seed: int) -> None:
        """Begin with a deploy that is not killed, which tells how many requests one makes."""
        self.waves = waves
        self._random = random.Random(seed)
        patterns = [["queue-0", "queue-1", "queue-2"], ["*"]] if waves == 2 else [["*"]]
        self.project = Project(root, workers="scripted", instances=16, queues=QUEUES)
        self.door = Door(self.project.port)
        toml = root / "shipit.toml"
        toml.write_text(toml.read_text() + _ENV.format(door=self.door.port, waves=json.dumps(patterns)))
        self.project.commit("behind a door")
        assert self.project.inv("sandbox.start").code == 0
        self.project.control("script", rules=[{"seconds": 0.02}])
        first = self._inv("deploy", "--no-verify")
        assert first.code == 0, first.all
        self.requests = self.door.seen

    def close(self) -> None:
        self.door.close()
        self.project.stop()

    def deaths(self, number: int) -> Iterator[Death]:
        """Kill so many deploys, each in its share of the whole run."""
        # A rollout of one wave goes on to its verification, which here never passes and so never ends; where a first
        # wave had to pass, there would never be a second.
        whole = self.requests * (1.3 if self.waves == 1 else 1.0)
        for n in range(number):
            request = 1 + int(whole * self._random.uniform(n / number, (n + 1) / number))
            yield self.kill(Death(waves=self.waves, request=request, done=self._random.random() < 0.5))

    def kill(self, death: Death) -> Death:
        """Kill a deploy of a new commit, carry it on, and compare the end with what it should be."""
        while True:
            # Were it not killed in time it would be no death: it comes earlier then.
            self.project.git("commit", "--quiet", "--allow-empty", "--message", "next")
            if self._killed(death):
                break
            death.request -= 5
        self.door.open()
        held = self._lock()["state"] == "held"
        resumed = self._inv("deploy", "--resume", "--no-verify", "--json")
        said = resumed.out
        death.way = "resumed"
        if resumed.code == 2 and "is over" in resumed.err:
            # It had no record yet, or had noted its end already.
            death.way = "started over"
            resumed = self._inv("deploy", "--no-verify", "--json")
            said += resumed.out
        if resumed.code:
            death.wrong.append(f"exit {resumed.code}: {resumed.err}")
        if held and "took the lock of behind over" not in said:
            death.wrong.append("the lock was not taken over")
        self._judge(death)
        return death

    def _killed(self, death: Death) -> bool:
        verify = () if self.waves == 1 else ("--no-verify",)
        process = self.project.start("deploy", *verify, "-e", "behind", "--json", env=_KEYS)
        self.door.arm(death.request, process.kill, done=death.done)
        out, err = process.communicate(timeout=90)
        for line in out.splitlines():
            event = json.loads(line) if line.endswith("}") else {"event": "tick"}
            death.build = event["build"]["version"] if event["event"] == "build_finished" else death.build
            death.last = event["event"] if event["event"] != "tick" else death.last
        if process.returncode not in (-9, 0):
            death.wrong.append(f"ended before it was killed, with {process.returncode}: {err}")
        return process.returncode != 0

    def _judge(self, death: Death) -> None:
        """Ask CodeDeploy how often each group got the build."""
        death.build = death.build or self.project.version
        client = self.project.client("codedeploy")
        ids = [
            i
            for page in client.get_paginator("list_deployments").paginate(
                includeOnlyStatuses=["Succeeded", "Created", "Queued", "InProgress"]
            )
            for i in page["deployments"]
        ]
        infos: list[dict[str, Any]] = []
        for start in range(0, len(ids), 25):
            infos += client.batch_get_deployments(deploymentIds=ids[start : start + 25])["deploymentsInfo"]
        if running := [i["deploymentId"] for i in infos if i["status"] != "Succeeded"]:
            death.wrong.append(f"{running} still run")
        ours = [i for i in infos if death.build in i["revision"]["s3Location"]["key"] and i["status"] == "Succeeded"]
        death.per_group = Counter(i["deploymentGroupName"] for i in ours)
        if death.per_group != Counter(QUEUES):
            death.wrong.append(f"deployments per group: {dict(death.per_group)}")
        if self._lock()["state"] != "free":
            death.wrong.append("the lock is not free")
        bucket = self.project.client("s3")
        record = self._json(bucket, f"rollouts/behind/{self._json(bucket, 'rollouts/behind/latest.json')['id']}.json")
        if (record["build"], record["outcome"]) != (death.build, "deployed"):
            death.wrong.append(f"the record says {record['build']} {record['outcome']}")
        if bad := {n: g["phase"] for n, g in record["groups"].items() if g["phase"] != "succeeded"}:
            death.wrong.append(f"the record says {bad}")

    def _lock(self) -> dict[str, Any]:
        return self._json(self.project.client("s3"), "locks/behind.json")

    def _json(self, bucket: Any, key: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(bucket.get_object(Bucket="shipit-test", Key=key)["Body"].read())
        return found

    def _inv(self, *words: str) -> Any:
        self.door.open()
        return self.project.inv(*words, "-e", "behind", env=_KEYS)
