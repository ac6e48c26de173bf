"""Hooks that really run go wrong as they were told to: the real script, wrapped or replaced."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import Sandbox, eventually, small
from instances import FACTS, ID, Driver

from shipit.models import EventStatus
from shipit.sandbox.faults.hooks import Trouble
from shipit.sandbox.instance.agent import ProcessAgent
from shipit.sandbox.instance.folders import InstanceFolder

EVENT = "BeforeInstall"
APPSPEC = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: hook.sh\n"


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    """Give an agent with one instance, and end all that it started."""
    bundles: dict[str, bytes] = {}
    agent = ProcessAgent(tmp_path, lambda revision: bundles[revision.key], "http://127.0.0.1:9")
    agent.add(FACTS)
    yield Driver(agent, InstanceFolder(tmp_path / "instances" / ID), bundles)
    agent.close()


def broken(driver: Driver, trouble: Trouble, event: str = EVENT) -> Driver:
    driver.agent.wrap_hooks(lambda command: trouble.wrapper if command.event == event else ())
    return driver


def test_exit_ends_with_its_status_and_the_real_script_does_not_run(driver: Driver) -> None:
    outcome = broken(driver, Trouble(how="exit", status=3)).hook("touch $SHIPIT_ROOT/ran")
    assert (outcome.error_code, outcome.script) == ("ScriptFailed", "BeforeInstall.sh")
    assert "exit code 3" in outcome.message
    assert "told to let this hook fail" in outcome.log_tail
    assert not (driver.folder.root / "ran").exists()


def test_hang_lasts_to_the_timeout_of_the_script(driver: Driver) -> None:
    assert broken(driver, Trouble(how="hang")).hook("exit 0").error_code == "ScriptTimedOut"


def test_a_child_on_stdout_fails_the_event_though_the_real_script_succeeds(driver: Driver) -> None:
    outcome = broken(driver, Trouble(how="child")).hook("touch $SHIPIT_ROOT/ran")
    assert outcome.error_code == "UnknownError"
    assert "failed to close STDOUT" in outcome.message
    assert (driver.folder.root / "ran").exists()


@pytest.mark.parametrize("status", [0, 1])
def test_flood_prints_ten_megabytes_and_keeps_a_tail_that_fits(driver: Driver, status: int) -> None:
    driver.bundles["d-1"] = packed()
    broken(driver, Trouble(how="flood", status=status), "AfterInstall")
    for event in ("DownloadBundle", "BeforeInstall", "Install"):
        assert driver.run(event).status is EventStatus.SUCCEEDED
    outcome = driver.run("AfterInstall")
    assert outcome.status is (EventStatus.FAILED if status else EventStatus.SUCCEEDED)
    log = next(driver.folder.agent.rglob("scripts.log"))
    assert log.stat().st_size > 10_000_000
    if status:
        assert outcome.error_code == "ScriptFailed"
        assert 1000 < len(outcome.log_tail) <= 2048


def test_after_a_flood_of_status_0_the_real_script_runs(driver: Driver) -> None:
    outcome = broken(driver, Trouble(how="flood", status=0)).hook("touch $SHIPIT_ROOT/ran; exit 4")
    assert "exit code 4" in outcome.message
    assert (driver.folder.root / "ran").exists()


def test_slow_waits_and_then_runs_the_real_script(driver: Driver) -> None:
    outcome = broken(driver, Trouble(how="slow", seconds=0.1)).hook("touch $SHIPIT_ROOT/ran; exit 4")
    assert "exit code 4" in outcome.message
    assert (driver.folder.root / "ran").exists()


def test_an_event_without_a_script_has_nothing_that_could_go_wrong(driver: Driver) -> None:
    driver.bundles["d-1"] = packed()
    broken(driver, Trouble(how="exit"))
    for event in ("DownloadBundle", EVENT, "Install", "AfterInstall"):
        assert driver.run(event).status is EventStatus.SUCCEEDED


def packed(script: str = "exit 0") -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as archive:
        for name, text in (("appspec.yml", APPSPEC), ("hook.sh", f"#!/bin/sh\n{script}\n")):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
    return body.getvalue()


def test_real_instances_die_in_their_hooks_lose_their_agents_and_fail_by_group(tmp_path: Path) -> None:
    sandbox = Sandbox(small(tmp_path, workers="stub", queues=("email",), instances=3, clock=100.0))
    sandbox.ensure()
    try:
        sandbox.client("s3").put_object(Bucket="some-bucket", Key="b.tgz", Body=packed("sleep 1"))
        codedeploy = sandbox.client("codedeploy")
        revision = {"bucket": "some-bucket", "key": "b.tgz", "bundleType": "tgz"}
        asg = sandbox.client("autoscaling")
        group = asg.describe_auto_scaling_groups()["AutoScalingGroups"][0]
        dying, deaf, broken = (one["InstanceId"] for one in group["Instances"])
        sandbox.control("fault", name="reclaim", ids=[dying], during="AfterInstall")
        sandbox.control("fault", name="agent", ids=[deaf])
        sandbox.control("fault", name="hook", ids=[broken], event="AfterInstall", how="exit")
        made = codedeploy.create_deployment(
            applicationName="worker",
            deploymentGroupName="email",
            deploymentConfigName="CodeDeployDefault.AllAtOnce",
            revision={"revisionType": "S3", "s3Location": revision},
        )["deploymentId"]

        def events(instance: str) -> dict[str, str]:
            try:
                found = codedeploy.get_deployment_target(deploymentId=made, targetId=instance)["deploymentTarget"]
            except codedeploy.exceptions.DeploymentNotStartedException:
                return {}
            return {
                event["lifecycleEventName"]: event["status"] for event in found["instanceTarget"]["lifecycleEvents"]
            }

        eventually(lambda: events(broken).get("AfterInstall") == "Failed")
        eventually(lambda: set(events(deaf).values()) == {"Skipped"})
        eventually(lambda: not (sandbox.state / "instances" / dying).exists())
        assert events(dying)["AfterInstall"] == "InProgress"
    finally:
        sandbox.stop()
