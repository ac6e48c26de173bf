"""The stage on which rows of faults are played, and what CodeDeploy says afterwards held against what was claimed."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from fault_rows import SCRIPTED, STUB, Row
from project import Project, Ran

from shipit.rollout import Mark

#: Looks at instances every second instead of every quarter of a minute: no row waits for it.
_QUICK = 'look-every = "1s"'
_TIMEOUT = 300.0
#: The folder that shifts the wall clock of a Python process which has it on its path.
_STEPPING = str(Path(__file__).parent / "stepping")
#: Seconds by which a machine's own clock may be corrected while a row is played and judged.
_SKEW = 60.0


@dataclass(frozen=True, kw_only=True)
class Result:
    """Hold how a row ended: `wrong` says in what it did not end as it must, `said` is all that was printed."""

    row: Row
    code: int
    succeeded: int
    groups: int
    most: int
    seconds: float
    last: str
    wrong: tuple[str, ...]
    said: str


@dataclass
class Stage:
    """Keep one sandbox for each kind of workers, made when a row first asks for it."""

    folder: Path
    queues: Sequence[str]
    instances: int
    _projects: dict[tuple[str, float], Project] = field(default_factory=dict)
    _played: int = 0

    def close(self) -> None:
        """Stop every sandbox."""
        for project in self._projects.values():
            project.stop()

    def play(self, row: Row) -> Result:
        """Play a row to its end and judge it."""
        project = self._project(row)
        self._played += 1
        originals = {file: project.own(file).read_text() for file, _, _ in row.edits}
        for file, old, new in row.edits:
            (project.root / file).write_text(originals[file].replace(old, new))
        (project.root / "worker" / "NOTES").write_text(f"{self._played}\n")
        project.git("add", "--all")
        project.git("commit", "--quiet", "--message", row.name)
        if row.workers == SCRIPTED:
            project.control("script", rules=[{"seconds": row.seconds}])
        for one in row.first:
            project.control("fault", **one)
        try:
            return self._judge(row, project)
        finally:
            project.control("fault", name="clear")
            for file, text in originals.items():
                (project.root / file).write_text(text)
            if row.spoils:
                project.inv("sandbox.reset")
            else:
                project.until_idle()

    def _project(self, row: Row) -> Project:
        kind = (row.workers, row.clock)
        if kind not in self._projects:
            root = self.folder / f"{row.workers}-{row.clock:.0f}"
            root.mkdir()
            # Hooks take processes: there the fleet is as small as it may be.
            instances = self.instances if row.workers == SCRIPTED else min(self.instances, 8)
            queues = self.queues if row.workers == SCRIPTED else self.queues[:5]
            project = Project(root, instances=instances, workers=row.workers, queues=queues)
            toml = (project.root / "shipit.toml").read_text()
            toml = toml.replace('poll = "200ms"', f'poll = "200ms"\n{_QUICK}')
            (project.root / "shipit.toml").write_text(toml.replace('idle = "10m"', f"clock = {row.clock}"))
            started = project.inv("sandbox.start")
            assert started.code == 0, started.all
            self._projects[kind] = project
        return self._projects[kind]

    def _judge(self, row: Row, project: Project) -> Result:
        client = _client(project, "codedeploy")
        known = _deployments(client)
        began = time.monotonic()
        ended, others = _deploy(project, row)
        wrong = [
            f"the other one: exit {o.code}: {_last(o)}" for o in others if o.code != 4 or "locked by" not in o.err
        ]
        if row.resume:
            project.control("fault", name="clear")
            resumed = project.inv("deploy", "--resume", *_verify(row))
            others.append(resumed)
            if resumed.code:
                wrong.append(f"resumed: exit {resumed.code}: {_last(resumed)}")
        seconds = time.monotonic() - began
        project.control("fault", name="clear")
        ours = [d for name, d in _deployments(client).items() if name not in known and Mark.parse(d["description"])]
        per_group = Counter(d["deploymentGroupName"] for d in ours)
        tries = Counter((d["deploymentGroupName"], d["description"]) for d in ours)
        newest = {d["deploymentGroupName"]: d["status"] for d in sorted(ours, key=lambda d: d["createTime"])}
        succeeded = {name for name, status in newest.items() if status == "Succeeded"}
        claimed = {name for ran in (ended, *others) for name in re.findall(r"(\S+): succeeded in", ran.out)}
        of = len(project.config.queues)
        wanted = of if row.groups is None else row.groups if row.groups >= 0 else of + row.groups
        wrong += [f"exit {ended.code}, not {row.code}"] if ended.code != row.code else []
        wrong += [f"it does not say {word!r}" for word in row.words if word not in ended.all]
        wrong += ["it shows a traceback"] if any("Traceback" in ran.all for ran in (ended, *others)) else []
        wrong += [f"{len(succeeded)} groups succeeded, not {wanted}"] if len(succeeded) != wanted else []
        wrong += [f"{name} has {n} deployments" for name, n in per_group.items() if n > row.most]
        wrong += [f"{name} has the same try {n} times" for (name, _), n in tries.items() if n > 1]
        record = _recorded(project)
        outcome = record["outcome"]
        if row.steps:
            wrong += _out_of_time(record, seconds)
        if 0 in (ended.code, *(o.code for o in others)) and outcome not in ("deployed", "converged"):
            wrong.append(f"its record says {outcome!r}")
        wrong += [f"{name} is said to have succeeded" for name in sorted(claimed - succeeded)]
        return Result(
            row=row,
            code=ended.code,
            succeeded=len(succeeded),
            groups=of,
            most=max(per_group.values(), default=0),
            seconds=seconds,
            last=_last(ended),
            wrong=tuple(wrong),
            said="\n".join(ran.all for ran in (ended, *others)),
        )


def _verify(row: Row) -> tuple[str, ...]:
    """Return the flag that asks for no proof: scripted instances report nothing."""
    return () if row.workers == STUB else ("--no-verify",)


def _deploy(project: Project, row: Row) -> tuple[Ran, list[Ran]]:
    """Run the deploy of a row, and let happen in its middle what is to; return what was first, and the loser."""
    words = ("deploy", *_verify(row), *row.flags)
    clock = project.root / ".shipit" / "clock-step"
    stepping = {}
    if row.steps:
        clock.write_text("0")
        stepping = {
            "CLOCK_STEP": str(clock),
            "PYTHONPATH": os.pathsep.join((_STEPPING, os.environ.get("PYTHONPATH", ""))),
        }
    processes = [project.start(*words, env=stepping) for _ in range(1 + row.twice)]
    guard = threading.Timer(_TIMEOUT, lambda: [process.kill() for process in processes])
    guard.start()
    seen = []
    rivals = []
    if row.middle or row.number or row.steps:
        assert processes[0].stdout
        for line in processes[0].stdout:
            seen.append(line)
            if row.steps and len(seen) == 1:
                clock.write_text(str(row.steps[0]))
            if " started" in line:
                break
        for one in row.middle:
            project.control("fault", **one)
        if row.number:
            processes[0].send_signal(row.number)
        for step in row.steps:
            clock.write_text(str(step))
            # Whether the lock has expired is by S3's clock: nobody gets it whose own is wrong.
            rivals += [project.inv(*words, env=stepping)] if step else []
    ran = []
    for process in processes:
        out, err = process.communicate()
        ran.append(Ran(process.returncode, "".join(seen) + out, err))
    guard.cancel()
    ran.sort(key=lambda one: one.code == 4)
    return ran[0], [*ran[1:], *rivals]


def _last(ran: Ran) -> str:
    """Return the first line of the error, or the last line that was printed."""
    lines = ran.err.strip().splitlines() or ran.out.strip().splitlines()[-1:] or [""]
    return next((line for line in lines if line.startswith("error")), lines[0])


def _out_of_time(record: Mapping[str, Any], seconds: float) -> list[str]:
    """Say what the record of a row that took so many seconds claims to have taken longer, or to have ended first."""
    wrong = []
    for name, entry in {"the rollout": record, **record["groups"]}.items():
        took = datetime.fromisoformat(entry["ended_at"]) - datetime.fromisoformat(entry["started_at"])
        if not 0 < took.total_seconds() <= seconds:
            wrong.append(f"{name} is said to have taken {took}, and the whole took {seconds:.1f} s")
    begun = datetime.fromisoformat(record["started_at"])
    if not 0 <= (datetime.now(UTC) - begun).total_seconds() <= seconds + _SKEW:
        wrong.append(f"it is said to have begun at {begun}")
    return wrong


def _recorded(project: Project) -> dict[str, Any]:
    """Return the record of the last rollout."""
    s3 = _client(project, "s3")
    folder = "rollouts/sandbox/"
    latest = json.load(s3.get_object(Bucket="shipit-test", Key=f"{folder}latest.json")["Body"])["id"]
    found: dict[str, Any] = json.load(s3.get_object(Bucket="shipit-test", Key=f"{folder}{latest}.json")["Body"])
    return found


def _client(project: Project, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{project.port}",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )


def _deployments(client: Any) -> dict[str, dict[str, Any]]:
    """Return every deployment by id, with its description where it has one."""
    ids = [name for page in client.get_paginator("list_deployments").paginate() for name in page["deployments"]]
    found = {}
    for start in range(0, len(ids), 25):
        for info in client.batch_get_deployments(deploymentIds=ids[start : start + 25])["deploymentsInfo"]:
            found[info["deploymentId"]] = {"description": "", **info}
    return found
