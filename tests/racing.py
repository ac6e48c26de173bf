"""Let two deploys of different builds meet at the lock at the same instant, and ask AWS who brought what."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from door import Door
from project import Project, Ran, finish

QUEUES = tuple(f"queue-{n}" for n in range(4))
_ENV = """
[env.behind]
endpoint-url = "http://127.0.0.1:{door}"
region = "us-east-1"

[env.behind.rollout]
poll = "100ms"
"""
_KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
_LOCK = "locks/behind.json"


@dataclass(kw_only=True)
class Race:
    """Tell of one race: which builds ran it, who won, how both ended, what was wrong."""

    builds: tuple[str, str]
    codes: tuple[int, int]
    #: Of 0 and 1, in the order in which they were started; -1 where not one alone ended well.
    winner: int = -1
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        ends = ", ".join(f"{b} exit {c}" for b, c in zip(self.builds, self.codes, strict=True))
        return f"{ends}: {'; '.join(self.wrong) or 'one ran'}"


class Racer:
    """A project of four groups behind a door at which deploys meet, with three builds that were published before."""

    def __init__(self, root: Path) -> None:
        self.project = Project(root, workers="scripted", instances=6, queues=QUEUES)
        self.door = Door(self.project.port)
        toml = root / "shipit.toml"
        toml.write_text(toml.read_text() + _ENV.format(door=self.door.port))
        assert self.project.inv("sandbox.start").code == 0
        self.project.control("script", rules=[{"seconds": 0.1}])
        self._client, self._s3 = self.project.client("codedeploy"), self.project.client("s3")
        self._builds = [self._published(f"build {n}") for n in range(3)]
        first = self.project.inv("deploy", "--build", self._builds[0], "--no-verify", "-e", "behind", env=_KEYS)
        assert first.code == 0, first.all

    def close(self) -> None:
        self.door.close()
        self.project.stop()

    def races(self, number: int) -> Iterator[Race]:
        """Run so many; each is between the two builds that the fleet is not on."""
        running = self._builds[0]
        for _ in range(number):
            one, other = (build for build in self._builds if build != running)
            race = self._race(one, other)
            yield race
            running = race.builds[race.winner] if race.winner >= 0 else running

    def _race(self, *builds: str) -> Race:
        known, records = set(self._deployments()), self._records()
        # Both have read that the lock is free before either may take it.
        self.door.meet(f"GET /shipit-test/{_LOCK}")
        words = ("--no-verify", "--allow-older", "-e", "behind")
        processes = [self.project.start("deploy", "--build", build, *words, env=_KEYS) for build in builds]
        ran = [_ended(process) for process in processes]
        race = Race(builds=(builds[0], builds[1]), codes=(ran[0].code, ran[1].code))
        if sorted(race.codes) != [0, 4]:
            race.wrong.append("; ".join(f"{b} said {r.err.strip()!r}" for b, r in zip(builds, ran, strict=True)))
            return race
        race.winner = race.codes.index(0)
        won, lost = ran[race.winner], ran[1 - race.winner]
        self._judge(race, won, lost, known, records)
        return race

    def _judge(self, race: Race, won: Ran, lost: Ran, known: set[str], records: set[str]) -> None:
        build = race.builds[race.winner]
        lines = lost.err.splitlines()
        if not (
            len(lines) == 2 and "behind is locked by" in lines[0] and build in lines[0] and "inv watch" in lines[1]
        ):
            race.wrong.append(f"the loser said {lost.err!r}")
        if " started" in lost.out or "Traceback" in won.all + lost.all:
            race.wrong.append(f"they said {won.all!r} and {lost.all!r}")
        ours = [one for name, one in self._deployments().items() if name not in known]
        brought = Counter((one["deploymentGroupName"], _build(one), one["status"]) for one in ours)
        if brought != Counter((queue, build, "Succeeded") for queue in QUEUES):
            race.wrong.append(f"deployments: {dict(brought)}")
        if (state := self._json(_LOCK)["state"]) != "free":
            race.wrong.append(f"the lock is {state}")
        if len(new := self._records() - records) != 1:
            race.wrong.append(f"new records: {new}")
        record = self._json(f"rollouts/behind/{self._json('rollouts/behind/latest.json')['id']}.json")
        if (record["build"], record["outcome"]) != (build, "deployed"):
            race.wrong.append(f"the record says {record['build']} {record['outcome']}")

    def _published(self, message: str) -> str:
        version = self.project.commit(message)
        published = self.project.inv("publish", "-e", "behind", env=_KEYS)
        assert published.code == 0, published.all
        return version

    def _deployments(self) -> dict[str, dict[str, Any]]:
        pages = self._client.get_paginator("list_deployments").paginate()
        ids = [i for page in pages for i in page["deployments"]]
        infos: list[dict[str, Any]] = []
        for start in range(0, len(ids), 25):
            infos += self._client.batch_get_deployments(deploymentIds=ids[start : start + 25])["deploymentsInfo"]
        return {one["deploymentId"]: one for one in infos}

    def _records(self) -> set[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket="shipit-test", Prefix="rollouts/behind/")
        return {found["Key"] for page in pages for found in page.get("Contents", ())}

    def _json(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = json.load(self._s3.get_object(Bucket="shipit-test", Key=key)["Body"])
        return found


def _ended(process: subprocess.Popen[str]) -> Ran:
    out, err = finish(process, timeout=90)
    return Ran(process.returncode, out, err)


def _build(deployment: dict[str, Any]) -> str:
    return str(deployment["revision"]["s3Location"]["key"]).split("/")[-2]
