"""The hooks and the standard unit under a real systemd: no task is killed, and no moment is without a worker."""

from __future__ import annotations

import json
import os
import sys

from real_host import RealHost

OLD, NEW = "2026.11.23-090000-g0ld", "2026.11.24-100000-gnew"


def test_a_first_build_runs_as_a_user_that_systemd_makes_up_and_is_proved_and_reported(host: RealHost) -> None:
    assert host.deploy(OLD) == ""
    assert host.active() == [OLD]
    pid, uid = host.show(OLD, "MainPID", "UID")
    assert int(uid) >= 61184, "systemd.exec(5): the range of DynamicUser="
    first, *others = host.log()
    assert first == f"{OLD} starts as {uid} for reports: None"
    assert set(others) <= {f"{OLD} ready", f"{OLD} task done"}
    reports = [json.loads(body) for body in list(host.s3.objects.values())]
    # Its watcher may have said "start" meanwhile.
    assert [report["running_build"] for report in reports if report["reason"] == "deploy"] == [OLD]
    assert int(pid) > 1


def test_the_new_worker_is_ready_before_the_old_one_is_told_to_end_and_no_task_is_killed(host: RealHost) -> None:
    host.say(TASK_UNTIL="/opt/enough")
    assert host.deploy(OLD) == ""
    host.say(TASK_UNTIL="/")
    assert host.deploy(NEW) == ""
    assert host.active() == [NEW]
    assert host.show(OLD, "ActiveState") == ["deactivating"], "its hooks wait for a drain"
    (host.root / "opt/enough").touch()
    host.until(lambda: host.show(OLD, "ActiveState") == ["inactive"])
    log = host.log()
    assert log.index(f"{NEW} ready") < log.index(f"{OLD} task done") < log.index(f"{OLD} ends")
    assert not [line for line in log if "killed" in line]
    assert host.show(OLD, "Result") == ["success"]


def test_a_build_that_cannot_start_leaves_the_old_one_and_fails_at_once(host: RealHost) -> None:
    assert host.deploy(OLD) == ""
    [before] = host.show(OLD, "MainPID")
    assert f"worker@{NEW}.service did not start" in host.deploy(NEW, {"broken": ""})
    assert host.active() == [OLD]
    assert host.show(OLD, "MainPID") == [before]
    assert os.readlink(host.home / "current") == f"releases/{OLD}"
    host.until(lambda: host.show(NEW, "ActiveState") in (["inactive"], ["failed"]))


def test_a_worker_that_dies_after_it_was_ready_is_not_valid(host: RealHost) -> None:
    host.say(SHIPIT_STABLE_SECONDS="2")  # many times what it lives
    said = host.deploy(NEW, {"crash": ""})
    assert "is not stable" in said or "does not run" in said


def test_in_place_the_old_worker_has_ended_before_the_new_one_starts(host: RealHost) -> None:
    host.say(SHIPIT_MODE="in-place", TASK_SECONDS="1")
    assert host.deploy(OLD) == ""
    assert host.deploy(NEW) == ""
    assert host.active() == [NEW]
    log = host.log()
    assert log.index(f"{OLD} ends") < log.index(next(line for line in log if line.startswith(f"{NEW} starts")))


def test_in_place_a_build_that_cannot_start_gives_way_to_the_one_before(host: RealHost) -> None:
    host.say(SHIPIT_MODE="in-place")
    assert host.deploy(OLD) == ""
    assert f"{OLD} runs again" in host.deploy(NEW, {"broken": ""})
    assert host.active() == [OLD]
    host.until(lambda: host.log(OLD).count("ready") == 2)  # which it says behind the notice that systemctl waits for


def test_a_worker_that_is_killed_comes_back_and_one_that_is_stopped_does_not(host: RealHost) -> None:
    assert host.deploy(OLD) == ""
    [pid] = host.show(OLD, "MainPID")
    host.inside.run("kill", "-9", pid)
    host.until(lambda: host.show(OLD, "NRestarts") == ["1"] and host.active() == [OLD])
    host.inside.systemctl("stop", f"worker@{OLD}")
    assert host.show(OLD, "ActiveState") == ["inactive"]


def test_after_a_boot_the_build_that_was_deployed_last_runs_alone(host: RealHost) -> None:
    assert host.deploy(OLD) == ""
    assert host.deploy(NEW) == ""
    host.until(lambda: host.show(OLD, "ActiveState") == ["inactive"])
    host.inside.systemctl("stop", f"worker@{NEW}")
    host.inside.systemctl("start", "multi-user.target")
    host.until(lambda: host.active() == [NEW])


def test_a_rollback_starts_the_old_build_by_its_own_unit(host: RealHost) -> None:
    assert host.deploy(OLD, {"scripts/settings.env": "WORD=from the project\n"}) == ""
    assert host.deploy(NEW) == ""
    assert host.deploy(OLD, {"scripts/settings.env": "WORD=from the project\n"}, deployment="d-back") == ""
    host.until(lambda: host.active() == [OLD])
    starts = [line for line in host.log(OLD) if line.startswith("starts")]
    assert [line.endswith("from the project") for line in starts] == [True, True]


def test_what_the_instance_says_goes_before_what_the_project_says(host: RealHost) -> None:
    host.say(WORD="from the instance")
    assert host.deploy(OLD, {"scripts/settings.env": "WORD=from the project\n"}) == ""
    assert host.log()[0].endswith("from the instance")


def test_deployed_once_more_the_same_build_is_another_process(host: RealHost) -> None:
    assert host.deploy(OLD, deployment="d-1") == ""
    before = host.show(OLD, "MainPID")
    assert host.deploy(OLD, deployment="d-2") == ""
    assert host.show(OLD, "MainPID") != before


def test_celery_by_the_standard_launcher_is_ready_and_drains_by_the_standard_unit(host: RealHost) -> None:
    app = "import shipit_worker\nfrom celery import Celery\n\ncelery = Celery('shop', broker='memory://')\n"
    host.say(SHIPIT_PYTHON=sys.executable, SHIPIT_USER="root", SHIPIT_SMOKE="yes", SHIPIT_DRAIN_WAIT="0.1")
    files = {"scripts/settings.env": "SHIPIT_CELERY_APP=shop.app:celery\nSHIPIT_CELERY_ARGS=--pool solo\n"}
    assert host.deploy(OLD, {**files, "shop/app.py": app}, standard=True) == ""
    assert host.active() == [OLD]
    host.inside.systemctl("stop", f"worker@{OLD}")
    assert host.show(OLD, "ActiveState", "Result") == ["success", "inactive"]
    said = (host.root / "var/log/worker.log").read_text()
    assert '"how": "warm"' in said
