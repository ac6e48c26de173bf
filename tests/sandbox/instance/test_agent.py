"""An event is what the agent makes of it: which revision's scripts run, and what becomes of a failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from instances import FACTS, GROUP_ID, ID, Driver, bundle, command, tgz

from shipit.models import EventStatus
from shipit.sandbox.agents import LIFECYCLE, NoAgent, Outcome
from shipit.sandbox.instance.agent import ProcessAgent


def test_a_deployment_runs_its_hooks_in_order(driver: Driver) -> None:
    events = ("BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService")
    outcome = driver.deploy(bundle(**dict.fromkeys(events, 'echo "$LIFECYCLE_EVENT" >>"$SHIPIT_ROOT/order"')))
    assert outcome.status is EventStatus.SUCCEEDED
    assert (driver.folder.root / "order").read_text().split() == list(events)
    assert (driver.folder.root / "opt/app/appspec.yml").is_file()


def test_success_carries_no_log(driver: Driver) -> None:
    assert driver.hook("echo hello") == Outcome(status=EventStatus.SUCCEEDED)
    assert "[stdout]hello\n" in driver.log()


def test_events_without_hooks_succeed(driver: Driver) -> None:
    assert driver.deploy(bundle()).status is EventStatus.SUCCEEDED


def test_hooks_get_the_agents_environment_and_nothing_of_the_daemons(driver: Driver) -> None:
    os.environ["DAEMON_SECRET"] = "leaks"
    try:
        driver.hook('env >"$SHIPIT_ROOT/env"')
    finally:
        del os.environ["DAEMON_SECRET"]
    env = dict(line.split("=", 1) for line in (driver.folder.root / "env").read_text().splitlines())
    root = str(driver.folder.root)
    assert env.pop("PATH").startswith(f"{driver.folder.programs}:/usr/local/sbin:")
    assert env == {
        "LIFECYCLE_EVENT": "BeforeInstall",
        "DEPLOYMENT_ID": "d-1",
        "APPLICATION_NAME": "worker",
        "DEPLOYMENT_GROUP_NAME": "reports",
        "DEPLOYMENT_GROUP_ID": GROUP_ID,
        "BUNDLE_BUCKET": "bucket",
        "BUNDLE_KEY": "d-1",
        "BUNDLE_VERSION": "v1",
        "BUNDLE_ETAG": "e1",
        "HOME": root,
        "LANG": "C.UTF-8",
        "PWD": str(driver.folder.agent),
        "SHIPIT_ROOT": root,
        "SHIPIT_SANDBOX_INSTANCE": str(driver.folder.path),
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:9/_imds/{ID}/",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_AUTO_SCALING": "http://127.0.0.1:9",
    }


def test_the_first_deployment_has_nothing_to_stop(driver: Driver) -> None:
    driver.bundles["d-1"] = bundle(ApplicationStop="exit 1")
    assert driver.run("ApplicationStop").status is EventStatus.SUCCEEDED


@pytest.mark.parametrize("event", ["ApplicationStop", "BeforeBlockTraffic", "AfterBlockTraffic"])
def test_the_old_scripts_run_from_the_revision_that_was_installed_last(event: str, driver: Driver) -> None:
    driver.deploy(bundle(**{event: "echo v1; exit 1"}), "d-1")
    driver.bundles["d-2"] = bundle(**{event: "echo v2; exit 1"})
    outcome = driver.run(event, "d-2")
    assert (outcome.status, outcome.error_code) == (EventStatus.FAILED, "ScriptFailed")
    assert "[stdout]v1\n" in outcome.log_tail


def test_the_pointer_moves_when_install_ends_not_when_the_deployment_succeeds(driver: Driver) -> None:
    driver.deploy(bundle(ApplicationStop="echo v1; exit 1"), "d-1")
    # d-2 is installed although d-1's stop script failed: ignoreApplicationStopFailures.
    driver.bundles["d-2"] = bundle(ApplicationStop="echo v2; exit 1", AfterInstall="exit 1")
    for event in ("DownloadBundle", "Install", "AfterInstall"):
        outcome = driver.run(event, "d-2")
    assert outcome.status is EventStatus.FAILED
    assert "[stdout]v2\n" in driver.run("ApplicationStop", "d-3").log_tail


def test_the_pointer_stays_when_install_fails(driver: Driver) -> None:
    driver.deploy(bundle(ApplicationStop="echo v1; exit 1"), "d-1")
    driver.bundles["d-2"] = tgz({"appspec.yml": "version: 0.0\nos: linux\nfiles: [{source: gone, destination: /}]"})
    driver.run("DownloadBundle", "d-2")
    assert driver.run("Install", "d-2").status is EventStatus.FAILED
    assert "[stdout]v1\n" in driver.run("ApplicationStop", "d-3").log_tail


def test_the_pointer_survives_a_restart_of_the_agent(driver: Driver, tmp_path: Path) -> None:
    driver.deploy(bundle(ApplicationStop="echo v1; exit 1"), "d-1")
    driver.agent.close()
    again = ProcessAgent(tmp_path, lambda _: b"", "http://127.0.0.1:9")
    again.add(FACTS)
    try:
        assert "[stdout]v1\n" in Driver(again, driver.folder).run("ApplicationStop", "d-2").log_tail
    finally:
        again.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"not a bundle", tgz({"../evil": "x"}), tgz({"a": "x" * 9999})[:-30]],
    ids=["empty", "text", "escaping", "cut"],
)
def test_a_bad_bundle_is_an_unknown_error_with_neither_script_nor_log(content: bytes, driver: Driver) -> None:
    outcome = driver.deploy(content)
    assert (outcome.status, outcome.error_code, outcome.script, outcome.log_tail) == (
        EventStatus.FAILED,
        "UnknownError",
        "",
        "",
    )
    assert outcome.message


def test_a_bundle_that_cannot_be_fetched_is_an_unknown_error(driver: Driver) -> None:
    outcome = driver.run("DownloadBundle", "d-unknown")
    assert (outcome.status, outcome.error_code, outcome.script) == (EventStatus.FAILED, "UnknownError", "")


def test_a_collision_fails_install_as_an_unknown_error(driver: Driver) -> None:
    (driver.folder.root / "opt/app").mkdir(parents=True)
    (driver.folder.root / "opt/app/appspec.yml").write_text("theirs")
    outcome = driver.deploy(bundle())
    assert (outcome.error_code, outcome.log_tail) == ("UnknownError", "")
    assert "already exists at this location: /opt/app/appspec.yml" in outcome.message


def test_the_appspecs_file_exists_behavior_wins_over_the_apis(driver: Driver) -> None:
    (driver.folder.root / "opt/app").mkdir(parents=True)
    (driver.folder.root / "opt/app/x").write_text("theirs")
    head = "version: 0.0\nos: linux\nfile_exists_behavior: OVERWRITE\nfiles: [{source: x, destination: /opt/app}]"
    assert driver.deploy(tgz({"appspec.yml": head, "x": "ours"})).status is EventStatus.SUCCEEDED
    assert (driver.folder.root / "opt/app/x").read_text() == "ours"


def test_five_revisions_are_kept_the_installed_one_among_them(driver: Driver) -> None:
    driver.deploy(bundle(), "d-installed")
    for number in range(8):
        driver.bundles[f"d-{number}"] = bundle()
        driver.run("DownloadBundle", f"d-{number}")
    kept = sorted(path.name for path in (driver.folder.agent / GROUP_ID).iterdir())
    assert kept == ["d-4", "d-5", "d-6", "d-7", "d-installed"]


def test_a_command_for_an_unknown_instance_finds_no_agent(driver: Driver) -> None:
    driver.agent.remove(ID)
    with pytest.raises(NoAgent):
        driver.agent.run(command("ApplicationStop"), lambda _: None)


def test_an_instance_that_dies_never_answers(driver: Driver) -> None:
    driver.bundles["d-1"] = bundle(BeforeInstall='mkfifo "$SHIPIT_ROOT/f"; read -r _ <"$SHIPIT_ROOT/f"')
    driver.run("DownloadBundle")
    ended, outcomes = driver.start("BeforeInstall", "d-1")
    fifo = driver.folder.root / "f"
    while not fifo.exists():
        ended.wait(0.01)
    driver.agent.remove(ID)
    assert not ended.wait(0.5)
    assert outcomes == []
    assert not driver.folder.path.exists()


def test_hooks_that_hang_do_not_hold_up_the_other_instances(tmp_path: Path) -> None:
    bundles = {"d-hang": bundle(BeforeInstall="sleep 60"), "d-1": bundle(BeforeInstall="true")}
    head = "version: 0.0\nos: linux\nhooks: {BeforeInstall: [{location: hang.sh, timeout: 60}]}"
    bundles["d-hang"] = tgz({"appspec.yml": head, "hang.sh": "#!/bin/sh\nsleep 60\n"})
    agent = ProcessAgent(tmp_path, lambda revision: bundles[revision.key], "http://127.0.0.1:9", 1)
    agent.add(FACTS)
    driver = Driver(agent, None)  # type: ignore[arg-type]  # its folder is not looked at
    try:
        driver.run("DownloadBundle", "d-hang")
        driver.run("DownloadBundle", "d-1")
        hanging, _ = driver.start("BeforeInstall", "d-hang")
        assert driver.run("BeforeInstall", "d-1").status is EventStatus.SUCCEEDED
        assert not hanging.is_set()
    finally:
        agent.close()


def test_all_events_of_the_seam_are_known(driver: Driver) -> None:
    driver.bundles["d-1"] = bundle()
    assert {driver.run(event).status for event in LIFECYCLE} == {EventStatus.SUCCEEDED}
