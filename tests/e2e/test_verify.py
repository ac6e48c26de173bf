"""The verdict by the real command line, over reports that real instances wrote, and over what is made of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from daemons import eventually
from display.schema import FILE
from project import QUEUES, Project, Ran, finish

from shipit.models import NodeState
from shipit.sandbox.lifecycle import Running

BUCKET = "shipit-test"
VALIDATOR = jsonschema.Draft202012Validator(json.loads(FILE.read_text(encoding="utf-8")))
PATIENT, STRICT = 'grace = "10h"', 'grace = "0s"'
#: So far apart that no instance reports of itself what a test has just made it report.
RARELY = 'heartbeat = "10h"\nlook-back = "72h"'


@dataclass
class Reports:
    """The reports of a project's instances, as objects in its bucket."""

    project: Project

    def __post_init__(self) -> None:
        self.s3 = self.project.client("s3")

    def objects(self) -> dict[str, bytes]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        keys = [o["Key"] for page in pages for o in page.get("Contents", []) if "/reports/v1/slot=" in o["Key"]]
        return {key: self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}

    def restore(self, objects: dict[str, bytes]) -> None:
        for key in self.objects().keys() - objects.keys():
            self.s3.delete_object(Bucket=BUCKET, Key=key)
        for key, body in objects.items():
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def last(self) -> dict[str, dict[str, Any]]:
        """Return the last report of each instance."""
        found = sorted((json.loads(body) for body in self.objects().values()), key=lambda r: str(r["reported_at"]))
        return {r["instance_id"]: r for r in found}

    def forget(self, *instances: str) -> None:
        for key, body in self.objects().items():
            if not instances or json.loads(body)["instance_id"] in instances:
                self.s3.delete_object(Bucket=BUCKET, Key=key)

    def say(self, said: dict[str, Any], *, ago: float = 0.0, **changes: Any) -> None:
        """Let an instance report, so many seconds ago, what it said last, but for the changes."""
        at = time.gmtime(time.time() - ago)
        row = {**said, "reported_at": time.strftime("%Y-%m-%dT%H:%M:%S.999Z", at), **changes}
        prefix = next(iter(self.objects()), f"sandbox/reports/v1/slot={0}/").split("slot=")[0]
        name = f"AROATEST:{row['instance_id']}-{time.time_ns()}.json"
        key = f"{prefix}slot={time.strftime('%Y-%m-%d-%H', at)}/{name}"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(row).encode() + b"\n")


@dataclass
class World:
    """A fleet of eight instances that runs `build`; `older` is another published build."""

    project: Project
    reports: Reports
    build: str
    older: str
    told: Sequence[str] = ()

    def grace(self, text: str) -> None:
        toml = self.project.root / "shipit.toml"
        other = STRICT if text == PATIENT else PATIENT
        toml.write_text(toml.read_text().replace(other, text))

    def verify(self, *words: str, code: int, **env: str) -> Ran:
        ended = self.project.inv("verify-versions", *words, env=env)
        assert ended.code == code, ended.all
        assert "Traceback" not in ended.all
        return ended

    def look(self, *words: str, code: int) -> dict[str, Any]:
        """Verify with --json, hold each line to the schema, and return the verdict: there is only one."""
        events = self.verify(*words, "--json", code=code).events
        for line in events:
            VALIDATOR.validate(line)
        self.told = [e["text"] for e in events if e["event"] == "notice"]
        [final] = [e for e in events if e["event"] == "verified" and e["final"]]
        return dict(final["verification"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    project = Project(tmp_path_factory.mktemp("verify"), more=f"[env.sandbox.reports]\n{RARELY}\n{PATIENT}\n")
    try:
        older = project.version
        assert project.inv("publish").code == 0
        build = project.commit("second")
        deployed = project.inv("deploy")
        assert deployed.code == 0, deployed.all
        yield World(project, Reports(project), build, older)
    finally:
        project.stop()


@pytest.fixture
def world(made: World) -> Iterator[World]:
    """The fleet, current; whatever a test makes of its reports is undone."""
    before = made.reports.objects()
    made.grace(STRICT)
    yield made
    made.project.control("fault", name="clear")
    made.reports.restore(before)


def test_every_state_is_told_with_its_age_and_the_next_command_in_all_outputs(world: World, tmp_path: Path) -> None:
    reports, last = world.reports, world.reports.last()
    ids = sorted(last)
    assert len(ids) == 8
    changes: dict[str, dict[str, Any]] = {
        "outdated": {"build": world.older, "running_build": world.older},
        "restart-needed": {"running_build": world.older},
        "wrong-digest": {"digest": "0" * 64},
        "unknown-build": {"build": "it's \"nobody's\"", "running_build": "it's \"nobody's\""},
    }
    wanted = dict(zip(ids, changes, strict=False))
    for instance, state in wanted.items():
        reports.say(last[instance], **changes[state])
    stale, silent, leaving, current = ids[4:]
    reports.forget(stale, silent)
    reports.say(last[stale], ago=90_000)
    scaling = world.project.client("autoscaling")
    scaling.enter_standby(
        InstanceIds=[leaving], AutoScalingGroupName=last[leaving]["asg"], ShouldDecrementDesiredCapacity=True
    )
    reports.say({**last[current], "instance_id": "i-0123456789abcdef0"})
    wanted |= {stale: "stale", silent: "silent", leaving: "leaving", current: "current"}
    wanted["i-0123456789abcdef0"] = "departed"
    junit, page, step = (tmp_path / name for name in ("junit.xml", "page.md", "step.md"))
    try:
        found = world.look("--junit", str(junit), "--markdown", str(page), "--all", code=3)
        plain = world.verify(code=3, GITHUB_STEP_SUMMARY=str(step))
        everything = world.verify("--all", code=3)
    finally:
        scaling.exit_standby(InstanceIds=[leaving], AutoScalingGroupName=last[leaving]["asg"])
    nodes = {n["instance_id"]: n for n in found["nodes"]}
    assert {name: n["state"] for name, n in nodes.items()} == wanted
    assert (found["counted"], found["converged"]) == (7, False)
    assert 89_990 < nodes[stale]["age"] < 90_600
    assert nodes[silent]["age"] is None
    idle = {"current", "leaving", "departed"}
    assert {n["state"] for n in nodes.values() if not n["next_step"]} == idle
    assert found["cost"]["query_id"]
    assert found["spent"]["queries"] == 1
    for name, state in wanted.items():
        line = [t for t in plain.out.splitlines() if name in t and f" {state} " in t]
        assert len(line) == (0 if state in idle else 1), (state, plain.out)
        assert (name in everything.out) == (state != "current")
    assert (
        "1 of 7 current; 1 outdated, 1 restart-needed, 1 wrong-digest, 1 unknown-build, 1 stale, 1 silent"
        in plain.out
    )
    assert f"CodeDeploy says {world.build}" in plain.out
    root = ElementTree.parse(junit).getroot()
    cases = {c.get("name"): [child.tag for child in c] for c in root.iter("testcase")}
    assert cases[ids[0]] == ["failure"]
    assert cases[silent] == ["error"]
    assert cases[current] == []
    assert cases["i-0123456789abcdef0"] == ["skipped"]
    for text in (junit.read_text(), page.read_text()):
        assert found["cost"]["query_id"] in text
    assert "1 of 7 current" in page.read_text()
    assert step.read_text().startswith("## partial: sandbox on ")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["junit.xml", "page.md", "step.md"]


def test_a_fleet_on_its_build_passes_and_the_files_say_so(world: World, tmp_path: Path) -> None:
    junit, page = tmp_path / "junit.xml", tmp_path / "page.md"
    found = world.look("--junit", str(junit), "--markdown", str(page), "--publish-metrics", code=0)
    assert counts(world) == {
        **dict.fromkeys(NodeState, 0),
        "current": 8,
        "counted": 8,
        "not_current": 0,
        "drift": 0,
        "converged": 1,
    }
    assert (found["converged"], found["counted"]) == (True, 8)
    assert {v["group"]: (v["expected"], v["codedeploy"], v["note"]) for v in found["groups"]} == dict.fromkeys(
        QUEUES, (world.build, world.build, "")
    )
    root = ElementTree.parse(junit).getroot()
    assert [root.get(k) for k in ("tests", "failures", "errors", "skipped")] == ["9", "0", "0", "0"]
    assert page.read_text().startswith("## converged: sandbox on ")


def counts(world: World) -> dict[str, float]:
    """Return what CloudWatch was told last, by the state or the name of the metric."""
    cloudwatch = world.project.client("cloudwatch")
    found = {}
    for metric in cloudwatch.list_metrics(Namespace="shipit/fleet")["Metrics"]:
        dimensions = {d["Name"]: d["Value"] for d in metric["Dimensions"]}
        assert dimensions.pop("env") == "sandbox"
        points = cloudwatch.get_metric_statistics(
            Namespace="shipit/fleet",
            MetricName=metric["MetricName"],
            Dimensions=metric["Dimensions"],
            StartTime=datetime.now(UTC) - timedelta(hours=1),
            EndTime=datetime.now(UTC) + timedelta(hours=1),
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
        found[dimensions.get("state", metric["MetricName"])] = max(points, key=lambda p: p["Timestamp"])["Maximum"]
    return found


def test_counts_that_cloudwatch_does_not_take_hide_no_bad_verdict_and_a_part_is_not_the_fleet(world: World) -> None:
    world.project.control("fault", name="refuse", code="AccessDeniedException", operation="PutMetricData", calls=0)
    ended = world.verify("--publish-metrics", code=7)
    assert "8 of 8 current" in ended.out
    assert "AWS denied PutMetricData" in ended.err
    _, said = next(iter(sorted(world.reports.last().items())))
    world.reports.say(said, running_build=world.older)
    ended = world.verify("--publish-metrics", code=3)
    assert "AWS denied PutMetricData" in ended.out
    assert "1 drifted" in ended.err
    assert "leave one of the two out" in world.verify("--publish-metrics", "--only", "email-*", code=2).err


def test_a_record_that_is_lost_or_garbled_stops_no_verdict(world: World) -> None:
    s3 = world.project.client("s3")
    prefix = "rollouts/sandbox/"
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]]
    kept = {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}
    rollout = json.loads(kept[f"{prefix}latest.json"])["id"]
    try:
        s3.put_object(Bucket=BUCKET, Key=f"{prefix}{rollout}.json", Body=b'{"id":')
        ended = world.verify(code=0)
        assert f"{rollout}.json is no JSON" in ended.out
        assert f"expecting {world.build}, of rollout {rollout} by " in ended.out
        status = world.project.inv("status")
        assert (status.code, "what the last rollout was is not known" in status.out) == (0, True), status.all
        for key in keys:
            s3.delete_object(Bucket=BUCKET, Key=key)
        _, said = next(iter(sorted(world.reports.last().items())))
        world.reports.say(said, running_build=world.older)
        ended = world.verify(code=3)
        assert "no rollout of sandbox is on record" in ended.out
        assert f"expecting {world.build}, as CodeDeploy's last success has it" in ended.out
        assert "7 of 8 current; 1 restart-needed" in ended.out
    finally:
        for key, body in kept.items():
            s3.put_object(Bucket=BUCKET, Key=key, Body=body)


def test_a_wait_ends_as_soon_as_the_last_instance_reports(world: World) -> None:
    name, said = next(iter(sorted(world.reports.last().items())))
    world.reports.say(said, running_build=world.older)
    process = world.project.start("verify-versions", "--wait", "1m")
    assert process.stdout
    seen = ""
    while "7 of 8 current; 1 restart-needed. Looking for" not in seen:
        line = process.stdout.readline()
        assert line, seen
        seen += line
    world.reports.say(said, ago=-2)
    out, err = finish(process)
    assert process.returncode == 0, seen + out + err
    assert "8 of 8 current. Athena: " in out
    assert " queries together " in out
    assert name not in out


def test_a_deadline_is_exit_6_where_the_rest_is_on_its_way_and_drift_stays_3(world: World, tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    (name, said), (other, told), *_ = sorted(world.reports.last().items())
    world.grace(PATIENT)
    world.reports.forget(name)
    ended = world.verify("--wait", "1s", "--junit", str(junit), code=6)
    assert "1 of 8 instances is still starting" in ended.err
    assert f"--only {said['queue']} --wait 10m" in ended.out
    assert 'errors="1"' in junit.read_text()
    world.grace(STRICT)
    world.reports.say(said)
    world.reports.say(told, running_build=world.older)
    ended = world.verify("--wait", "1s", code=3)
    assert "1 drifted" in ended.err
    assert other in ended.out


def test_no_report_at_all_and_no_instance_at_all_never_pass(world: World) -> None:
    world.reports.forget()
    ended = world.verify(code=3)
    assert "Athena read no report at all" in ended.err
    scaling = world.project.client("autoscaling")
    [asg] = [g for g in scaling.describe_auto_scaling_groups()["AutoScalingGroups"] if "webhooks" in str(g["Tags"])]
    members = [i["InstanceId"] for i in asg["Instances"]]
    name = asg["AutoScalingGroupName"]
    scaling.enter_standby(InstanceIds=members, AutoScalingGroupName=name, ShouldDecrementDesiredCapacity=True)
    try:
        ended = world.verify("--only", "webhooks-*", code=3)
        assert "nothing was checked" in ended.err
    finally:
        scaling.exit_standby(InstanceIds=members, AutoScalingGroupName=name)


def test_athena_out_of_reach_is_exit_7_and_no_verdict(world: World, tmp_path: Path) -> None:
    junit, page = tmp_path / "junit.xml", tmp_path / "page.md"
    junit.write_text("<testsuites/>")
    world.project.control("fault", name="outage", service="athena", seconds=600)
    world.verify("--junit", str(junit), "--markdown", str(page), code=7)
    root = ElementTree.parse(junit).getroot()
    assert [root.get(k) for k in ("tests", "errors")] == ["1", "1"]
    assert page.read_text().startswith("## failed")


def test_a_pattern_that_matches_nothing_and_a_build_that_is_not_published_are_exit_2(world: World) -> None:
    assert "matches no queue" in world.verify("--only", "emial-*", code=2).err
    assert "not published" in world.verify("--build", "nothing", code=2).err
    assert "--wait" in world.verify("--wait", "soon", code=2).err


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for flag in ("--junit", "--markdown"):
        ended = project.inv("verify-versions", flag, str(tmp_path / "nowhere" / "file"))
        assert ended.code == 2, ended.all
        assert flag in ended.err
        assert "nowhere" in ended.err
    # Not even the sandbox was started.
    assert Running.read(project.state) is None


def test_groups_expect_what_the_last_rollout_that_touched_them_brought_in_one_query(world: World) -> None:
    """Last in the module: it leaves one group on another build."""
    project = world.project
    third = project.commit("third")
    assert project.inv("deploy", "--only", "reports", "--no-verify").code == 0

    def run_by_reports() -> set[str]:
        return {r["running_build"] for r in world.reports.last().values() if r["queue"] == "reports"}

    eventually(lambda: run_by_reports() == {third})
    found = world.look(code=0)
    assert {v["group"]: v["expected"] for v in found["groups"]} == {
        **dict.fromkeys(QUEUES, world.build),
        "reports": third,
    }
    assert (found["build"], found["spent"]["queries"]) == (world.build, 1)
    assert any(f"expecting {third} in reports, of rollout " in text for text in world.told)
    # Somebody brings the older build past us.
    codedeploy = project.client("codedeploy")
    before = codedeploy.get_deployment_group(applicationName="worker", deploymentGroupName="email-digest")
    last = before["deploymentGroupInfo"]["lastSuccessfulDeployment"]["deploymentId"]
    revision = codedeploy.get_deployment(deploymentId=last)["deploymentInfo"]["revision"]
    made = codedeploy.create_deployment(
        applicationName="worker", deploymentGroupName="reports", revision=revision, fileExistsBehavior="OVERWRITE"
    )
    codedeploy.get_waiter("deployment_successful").wait(
        deploymentId=made["deploymentId"], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    eventually(lambda: third not in run_by_reports())
    found = world.look(code=3)
    [view] = [v for v in found["groups"] if v["group"] == "reports"]
    assert view["codedeploy"] == world.build
    assert f"CodeDeploy says {world.build} ({made['deploymentId']}), rollout " in view["note"]
    assert all(n["state"] == "outdated" for n in found["nodes"] if n["group"] == "reports")
    assert all(
        n["next_step"] == f"inv deploy --env sandbox --build {third} --only reports"
        for n in found["nodes"]
        if n["next_step"]
    )
