"""Each thing that may go wrong in the middle of a rollout, and how the command line must end under it.

The rows are played by the real command line in sandboxes of their own: by tests/e2e/test_faults.py on a small fleet,
by benchmarks/faults.py on a larger one. What CodeDeploy says afterwards is held against what was claimed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from project import Project, Ran

from shipit.rollout import Mark

#: What the sandbox is asked for: the name of a fault with its flags.
Fault = Mapping[str, object]
SCRIPTED, STUB = "scripted", "stub"
#: Looks at instances every second instead of every quarter of a minute: no row waits for it.
_QUICK = 'look-every = "1s"'
_TIMEOUT = 300.0
#: The folder that shifts the wall clock of a Python process which has it on its path.
_STEPPING = str(Path(__file__).parent / "stepping")
#: Seconds by which a machine's own clock may be corrected while a row is played and judged.
_SKEW = 60.0


def queues(count: int) -> tuple[str, ...]:
    """Return the names of so many queues, at least five."""
    return ("email-in", "email-out", "images", "reports", "webhooks", *(f"orders-{n:02d}" for n in range(5, count)))


def fault(name: str, **flags: object) -> Fault:
    """Return a fault as `inv sandbox.fault` takes it."""
    return {"name": name, **flags}


@dataclass(frozen=True, kw_only=True)
class Row:
    """Say what goes wrong and how the deploy must end.

    `first` is in effect when it begins, `middle` when its first deployments run; then `number` is sent to it, or the
    wall clock of its process `steps` away from the machine's, by so many seconds one after the other, the first time
    before it has a plan. Each
    lifecycle event takes `seconds`. It ends with `code` and all of `words`; `groups` are those that must succeed,
    None all of them; none has more than `most` deployments. With `resume` the faults are lifted and
    `inv deploy --resume` must end it well. `spoils`: hangs are left behind, so that the next row needs a new sandbox.
    `edits` are made to the project first: file, text, text in its place. `quick` rows are tests, too.
    """

    name: str
    first: Sequence[Fault] = ()
    middle: Sequence[Fault] = ()
    number: int = 0
    steps: Sequence[float] = ()
    seconds: float = 0.05
    workers: str = SCRIPTED
    clock: float = 1.0
    flags: Sequence[str] = ()
    code: int = 0
    words: Sequence[str] = ()
    groups: int | None = None
    most: int = 1
    resume: bool = False
    twice: bool = False
    spoils: bool = False
    edits: Sequence[tuple[str, str, str]] = ()
    quick: bool = True


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


def rows(minute: float = 60.0) -> tuple[Row, ...]:
    """Return all rows; services that are down stay so for `minute` seconds."""
    hang = fault("hook", event="AfterInstall", how="hang", group="reports")
    expired = fault("refuse", code="ExpiredTokenException")
    stub = {"workers": STUB, "quick": False}
    return (
        Row(name="nothing", quick=False),
        Row(name="30 % of calls throttled", first=(fault("throttle", probability=0.3, seed=1),), quick=False),
        Row(name="5 % of requests reset", first=(fault("reset", share=0.05, seed=1),), quick=False),
        Row(name="half of all creations reset", first=(fault("reset", share=0.5, operation="CreateDeployment"),)),
        Row(name="5 % of requests answered 5xx", first=(fault("errors", share=0.05, seed=1),), quick=False),
        Row(
            name="half of all creations answered 5xx",
            first=(fault("errors", share=0.5, operation="CreateDeployment"),),
            quick=False,
        ),
        Row(name="2 s of latency", first=(fault("latency", seconds=2),), quick=False),
        Row(name="10 % reclaimed during an event", first=(fault("reclaim", share=0.1, during="Install"),), most=3),
        Row(name="10 % reclaimed between events", first=(fault("reclaim", share=0.1, between=True),), most=3),
        Row(name="10 % reclaimed at once", seconds=0.3, middle=(fault("reclaim", share=0.1),), most=3, quick=False),
        Row(
            name="scale-out", seconds=0.3, middle=(fault("scale", group="images,reports", by=1),), most=2, quick=False
        ),
        Row(name="scale-in", seconds=0.3, middle=(fault("scale", group="webhooks", by=-1),), most=3),
        Row(
            name="dead agents",
            quick=False,
            first=(fault("agent", group="reports"),),
            clock=60,
            code=1,
            words=("reports", "agent", "1 of"),
            groups=-1,
            spoils=True,
        ),
        Row(
            name="a hook hangs",
            first=(hang,),
            flags=("--timeout", "4s"),
            code=6,
            words=("1 of", "still deploying", "inv watch"),
            groups=-1,
            spoils=True,
        ),
        Row(
            name="hooks exit 1",
            first=(fault("hook", event="AfterInstall", how="exit", group="email-*"),),
            code=1,
            words=("AfterInstall, exit 1", " in 2 groups", "the sandbox was told to let this hook fail", "2 of"),
            groups=-2,
        ),
        Row(
            name="a real hook exits 1",
            first=(fault("hook", event="AfterInstall", how="exit", group="reports"),),
            code=1,
            words=("AfterInstall", "scripts/after_install.sh", "the sandbox was told to let this hook fail", "1 of"),
            groups=-1,
            **stub,
        ),
        Row(
            name="hooks print 10 MB",
            first=(fault("hook", event="AfterInstall", how="flood", status=0, group="*"),),
            **stub,
        ),
        Row(
            name="a hook prints 10 MB and fails",
            first=(fault("hook", event="AfterInstall", how="flood", group="reports"),),
            code=1,
            words=("AfterInstall", "flood: xxx"),
            groups=-1,
            **stub,
        ),
        Row(
            name="a hook leaves a child on stdout",
            first=(fault("hook", event="AfterInstall", how="child", group="reports"),),
            edits=(("appspec/appspec.yml", "timeout: 300", "timeout: 3"),),
            code=1,
            words=("AfterInstall", "failed to close STDOUT"),
            groups=-1,
            **stub,
        ),
        Row(
            name="somebody else's deployment",
            quick=False,
            first=(fault("busy", group="reports", seconds=4),),
            words=("waits for d-",),
        ),
        Row(name="the account's limit", seconds=0.1, first=(fault("limit", number=2),)),
        Row(
            name="credentials expire",
            quick=False,
            seconds=0.3,
            middle=(expired,),
            code=7,
            words=("credentials have expired", "aws sso login"),
            resume=True,
        ),
        Row(
            name="credentials expire between creations",
            quick=False,
            seconds=0.3,
            first=(fault("limit", number=3),),
            middle=(expired,),
            code=7,
            words=("credentials have expired",),
            resume=True,
        ),
        Row(
            name="creations alone meet expired credentials",
            first=(fault("refuse", code="ExpiredTokenException", operation="CreateDeployment", calls=2),),
            code=7,
            words=("credentials have expired", "inv deploy --resume"),
            resume=True,
        ),
        Row(
            name="CreateDeployment is denied from the third on",
            first=(fault("refuse", code="AccessDeniedException", operation="CreateDeployment", calls=2),),
            code=7,
            words=("could not be started", "AWS denied CreateDeployment", "docs/iam.md"),
            groups=2,
        ),
        Row(
            name="creations are denied, and a build is bad",
            first=(
                fault("refuse", code="AccessDeniedException", operation="CreateDeployment", calls=4),
                fault("hook", event="AfterInstall", how="exit", group="*"),
            ),
            code=1,
            words=("AWS denied CreateDeployment", "AfterInstall, exit 1", "groups failed"),
            groups=0,
            quick=False,
        ),
        Row(
            name="S3 is down",
            quick=False,
            seconds=0.3,
            middle=(fault("outage", service="s3", seconds=minute),),
        ),
        Row(
            name="S3 is down when the deploy is proved",
            middle=(fault("outage", service="s3", seconds=minute),),
            **stub,
        ),
        Row(
            name="Athena is down",
            first=(fault("outage", service="athena", seconds=minute),),
            **stub,
        ),
        Row(
            name="CodeDeploy is down",
            seconds=0.3,
            middle=(fault("outage", service="codedeploy", seconds=minute),),
            quick=False,
        ),
        Row(name="two at the same instant", seconds=1.0, twice=True),
        Row(name="the clock steps", seconds=2.0, steps=(3600, -3600, 0)),
        Row(
            name="Ctrl-C",
            quick=False,
            seconds=0.3,
            number=signal.SIGINT,
            code=130,
            words=("go on in AWS", "inv deploy --resume"),
            resume=True,
        ),
        Row(
            name="SIGTERM before all have started",
            seconds=0.3,
            first=(fault("limit", number=2),),
            number=signal.SIGTERM,
            code=130,
            words=("go on in AWS", "inv deploy --resume"),
            resume=True,
        ),
        Row(
            name="throttles, resets, 5xx and reclaims",
            seconds=0.1,
            first=(
                fault("throttle", probability=0.3, seed=2),
                fault("reset", share=0.05, seed=2),
                fault("errors", share=0.05, seed=2),
                fault("reclaim", share=0.1, during="AfterInstall", seed=2),
            ),
            most=3,
            quick=False,
        ),
        Row(
            name="resets, reclaims and a proof",
            first=(fault("reset", share=0.05, seed=3), fault("reclaim", share=0.1, during="AfterInstall", seed=3)),
            most=3,
            **stub,
        ),
    )


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
        originals = {file: (project.root / file).read_text() for file, _, _ in row.edits}
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
