"""ApplicationStart switches to a build, ValidateService proves it; each may run twice, and leaves what runs alone."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from daemons import eventually
from hook_host import Host, last_line, refusal

OLD, NEW = "2026.11.23-090000-g0ld", "2026.11.24-100000-gnew"


def test_the_new_worker_starts_before_the_old_ones_stop(host: Host) -> None:
    host.prepare(NEW)
    host.answer("list-units", f"printf 'worker@{OLD}.service loaded active\\n'")
    assert last_line(host.hook("application_start.sh"))["stopped"] == 1
    assert host.calls[-5:] == [
        "list-units --full --plain --no-legend worker@*.service",
        f"is-active --quiet worker@{NEW}.service",
        f"start worker@{NEW}.service",
        f"enable --quiet worker@{NEW}.service",
        f"stop --no-block worker@{OLD}.service",
    ]


def test_a_build_that_does_not_run_any_more_is_not_brought_back_by_a_boot(host: Host) -> None:
    host.prepare(OLD)
    host.switch(NEW)
    assert f"disable --quiet worker@{OLD}.service" in host.calls


def test_a_build_that_runs_already_is_started_anew(host: Host) -> None:
    host.prepare(NEW)
    host.answer("list-units", f"printf 'worker@{OLD}.service loaded active\\nworker@{NEW}.service loaded active\\n'")
    host.answer("is-active", "exit 0")
    done = last_line(host.hook("application_start.sh"))
    assert (done["how"], done["stopped"]) == ("restart", 1)
    assert f"restart worker@{NEW}.service" in host.calls


def test_one_deployment_starts_a_build_anew_only_once(host: Host) -> None:
    host.prepare(NEW)
    assert last_line(host.hook("application_start.sh"))["how"] == "start"
    host.answer("is-active", "exit 0")
    assert last_line(host.hook("application_start.sh"))["how"] == "already"
    assert last_line(host.hook("application_start.sh", DEPLOYMENT_ID="d-2"))["how"] == "restart"


def test_a_worker_that_does_not_start_leaves_the_old_one_alone_and_says_why(host: Host) -> None:
    host.switch(OLD)
    host.prepare(NEW)
    host.answer("list-units", f"printf 'worker@{OLD}.service loaded active\\n'")
    host.answer("start", "exit 1")
    (host.programs / "journalctl").write_text('#!/bin/sh\necho "no module named worker ($2)"\n')
    (host.programs / "journalctl").chmod(0o755)
    refused = host.hook("application_start.sh")
    assert f"worker@{NEW}.service did not start" in refusal(refused)
    assert f"no module named worker (worker@{NEW}.service)" in refused.stderr
    assert host.calls[-2:] == [f"start worker@{NEW}.service", f"stop --no-block worker@{NEW}.service"]
    assert (host.home / "current").resolve() == host.release(OLD)


@pytest.mark.parametrize(
    "others", ["", "loaded failed failed", "not-found failed failed", "loaded deactivating stop"]
)
def test_where_no_other_worker_serves_a_bad_start_is_left_to_restart(others: str, host: Host) -> None:
    host.prepare(NEW)
    if others:
        host.answer("list-units", f"printf 'worker@{OLD}.service {others}\\n'")
    host.answer("start", "exit 1")
    assert f"worker@{NEW}.service did not start" in refusal(host.hook("application_start.sh"))
    assert host.calls[-1] == f"start worker@{NEW}.service"


def test_in_place_the_old_worker_drains_before_the_new_one_starts(host: Host) -> None:
    host.say(SHIPIT_MODE="in-place")
    host.prepare(NEW)
    host.answer("list-units", f"printf 'worker@{OLD}.service loaded active\\n'")
    assert last_line(host.hook("application_start.sh"))["mode"] == "in-place"
    assert host.calls[-4:] == [
        f"stop worker@{OLD}.service",
        f"start worker@{NEW}.service",
        f"enable --quiet worker@{NEW}.service",
        f"stop --no-block worker@{OLD}.service",
    ]


def test_in_place_a_build_that_cannot_start_gives_way_to_the_one_before(host: Host) -> None:
    host.say(SHIPIT_MODE="in-place")
    host.switch(OLD)
    host.prepare(NEW)
    host.answer("list-units", f"printf 'worker@{OLD}.service loaded active\\n'")
    host.answer("start", f"[ $2 = worker@{OLD}.service ]")
    assert f"did not start; {OLD} runs again" in refusal(host.hook("application_start.sh"))
    assert host.calls[-2:] == [f"stop worker@{NEW}.service", f"start worker@{OLD}.service"]


def test_in_place_where_nothing_starts_both_are_named(host: Host) -> None:
    host.say(SHIPIT_MODE="in-place")
    host.switch(OLD)
    host.prepare(NEW)
    host.answer("start", "exit 1")
    assert f"neither worker@{NEW}.service nor that of {OLD}" in refusal(host.hook("application_start.sh"))


def test_in_place_a_drain_that_outlasts_the_hook_ends_with_the_build_before(host: Host) -> None:
    host.say(SHIPIT_MODE="in-place")
    host.switch(OLD)
    host.prepare(NEW)
    host.answer("list-units", f"printf 'worker@{OLD}.service loaded active\\n'")
    host.answer("stop", "exec sleep 600")
    hook = subprocess.Popen(
        [str(host.bundle / "scripts/application_start.sh")],
        env=host.environment(),
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    eventually(lambda: host.calls[-1] == f"stop worker@{OLD}.service")
    os.killpg(hook.pid, signal.SIGTERM)  # as the agent does when a hook's time is over
    _, said = hook.communicate(timeout=60)
    assert hook.returncode == 1
    assert f"ended while the old worker drained; {OLD} starts again behind it" in said
    assert host.calls[-1] == f"start --no-block worker@{OLD}.service"
    assert (host.home / "current").resolve() == host.release(OLD)


def test_a_mode_that_does_not_exist_is_refused_before_anything_changes(host: Host) -> None:
    host.say(SHIPIT_MODE="blue-green")
    host.prepare(NEW)
    assert "SHIPIT_MODE is blue-green: overlap or in-place" in refusal(host.hook("application_start.sh"))
    assert [call for call in host.calls if call.startswith(("start", "stop"))] == []


def test_old_workers_that_cannot_be_found_fail_the_hook(host: Host) -> None:
    host.prepare(NEW)
    host.answer("list-units", "exit 1")
    assert host.hook("application_start.sh").returncode == 1


def test_the_first_build_has_no_older_workers_to_stop(host: Host) -> None:
    host.prepare(NEW)
    assert last_line(host.hook("application_start.sh"))["stopped"] == 0


def test_a_worker_of_this_build_is_valid_and_reported(host: Host) -> None:
    host.prepare(NEW)
    pid = host.work(NEW)
    line = last_line(host.hook("validate_service.sh", LIFECYCLE_EVENT="ValidateService"))
    assert line == {"event": "ValidateService", "build": NEW, "pid": pid, "report": "sent", "pruned": 0}
    assert len(host.s3.objects) == 1


def test_validating_twice_reports_twice(host: Host) -> None:
    host.prepare(NEW)
    host.work(NEW)
    last_line(host.hook("validate_service.sh"))
    last_line(host.hook("validate_service.sh"))
    assert len(host.s3.objects) == 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("printf 'MainPID=0\\nNRestarts=0\\nActiveState=failed\\n'", "does not run: MainPID=0"),
        ("printf 'MainPID=1\\nNRestarts=0\\nActiveState=activating\\n'", "does not run: ActiveState=activating"),
        ("printf 'MainPID=%s\\nNRestarts=0\\nActiveState=active\\n' $$", "is not stable"),
        (
            'n=$(cat "$ANSWERS/n" 2>/dev/null || echo 0); echo $((n + 1)) >"$ANSWERS/n";'
            " printf 'MainPID=1\\nNRestarts=%s\\nActiveState=active\\n' $n",
            "is not stable",
        ),
        ("exit 1", ""),
    ],
)
def test_a_worker_that_is_not_up_and_stable_is_refused(answer: str, why: str, host: Host) -> None:
    host.prepare(NEW)
    host.answer("show", answer)
    result = host.hook("validate_service.sh")
    assert result.returncode == 1
    assert why in result.stderr
    assert host.s3.objects == {}


def test_the_last_line_of_the_facts_needs_no_newline(host: Host) -> None:
    host.prepare(NEW)
    host.work(NEW)
    facts = host.root / "etc/shipit/instance.env"
    facts.write_text(facts.read_text().removesuffix("\n"))
    assert facts.read_text().endswith("SHIPIT_STABLE_SECONDS=0")
    (host.programs / "sleep").write_text('#!/bin/sh\nexit "$1"\n')
    (host.programs / "sleep").chmod(0o755)
    last_line(host.hook("validate_service.sh"))


def test_a_worker_that_runs_another_build_is_refused(host: Host) -> None:
    host.prepare(OLD)
    host.prepare(NEW)
    host.work(OLD)
    assert f"is of build {OLD}, not of {NEW}" in refusal(host.hook("validate_service.sh"))


def test_a_worker_in_another_folder_is_refused(host: Host, tmp_path: Path) -> None:
    host.prepare(NEW)
    host.work(NEW, folder=tmp_path)
    assert f"runs in {tmp_path}, not in" in refusal(host.hook("validate_service.sh"))


def test_an_instance_that_cannot_report_is_not_deployed_to(host: Host) -> None:
    host.prepare(NEW)
    host.work(NEW)
    host.s3.statuses = [403]
    result = host.hook("validate_service.sh")
    assert f"the worker runs {NEW}, but this instance could not report it" in refusal(result)
    assert "HTTP 403" in result.stderr


def test_a_report_that_waits_for_s3_does_not_fail_a_healthy_worker(host: Host) -> None:
    host.prepare(NEW)
    host.work(NEW)
    host.s3.statuses = [503] * 9
    result = host.hook("validate_service.sh")
    assert last_line(result)["report"] == "waits"
    assert "HTTP 503" in result.stderr
    assert host.s3.objects == {}
