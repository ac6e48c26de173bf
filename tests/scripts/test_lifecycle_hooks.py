"""The hooks prepare, switch and prove one build; each may run twice, and each refuses what would hurt."""

from __future__ import annotations

import json
import os
import re
import shutil
import string
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hook_host import Host

from shipit.version import VERSION

OLD, NEW = "2026.11.23-090000-g0ld", "2026.11.24-100000-gnew"


def last_line(result: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert result.returncode == 0, result.stderr
    line = result.stdout.splitlines()[-1]
    assert len(line) < 500
    fields: dict[str, object] = json.loads(line)
    return fields


def refusal(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 1
    return result.stderr.splitlines()[-1]


def test_before_install_clears_what_the_last_build_left(host: Host) -> None:
    host.prepare(OLD)
    host.unpack(NEW)
    (host.root / "opt/shipit/incoming/stale").write_text("x")
    assert last_line(host.hook("before_install.sh"))["build"] == NEW
    assert os.listdir(host.root / "opt/shipit/incoming") == []
    assert host.release(OLD).is_dir()


def test_before_install_refuses_a_full_disk_before_it_changes_anything(host: Host) -> None:
    host.prepare(OLD)
    (host.programs / "df").write_text("#!/bin/sh\necho Head\necho /dev/sda1 100 50 5000 50% /\n")
    (host.programs / "df").chmod(0o755)
    assert "has 5000 KB free, this build needs" in refusal(host.hook("before_install.sh"))
    assert (host.root / "opt/shipit/incoming/build.json").exists()


def test_before_install_refuses_a_name_that_systemd_cannot_have(host: Host) -> None:
    host.unpack("1.0+local")
    assert "1.0+local cannot be part of a systemd unit's name" in refusal(host.hook("before_install.sh"))


def test_before_install_takes_exactly_the_names_that_builds_have(host: Host) -> None:
    host.unpack(NEW)
    marks = [chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"\\'] + ["é"]
    names = [
        *(f"v{m}1" for m in marks),
        *marks,
        "v" * 128,
        "v" * 129,
        "2026.11.24-100000-gnew-dirty-deadbeef",
        "v\t1",
    ]
    taken = set()
    for name in names:
        (host.bundle / "build.json").write_text(f'{{"version":"{name}"}}\n')
        if host.hook("before_install.sh").returncode == 0:
            taken.add(name)
    assert taken == {name for name in names if VERSION.fullmatch(name)}


def test_a_name_that_builds_have_is_a_systemd_instance_and_an_s3_key_as_it_is() -> None:
    # systemd.unit(5): unit names; "Safe characters" of the S3 User Guide, "Naming Amazon S3 objects".
    plain = set(string.ascii_letters + string.digits)
    allowed = {chr(code) for code in range(0x110000) if VERSION.fullmatch(f"v{chr(code)}")}
    assert allowed - plain <= set(":-_.\\") & set("!-_.*'()")
    assert len(f"{'a' * 100}@{'v' * 128}.service") < 256


def test_before_install_refuses_a_bundle_without_a_version(host: Host) -> None:
    host.unpack(NEW)
    (host.bundle / "build.json").write_text("{}\n")
    assert "names no version" in refusal(host.hook("before_install.sh"))


def test_before_install_makes_room_of_old_releases_but_not_of_the_one_that_serves(host: Host) -> None:
    host.switch(OLD)
    host.answer("show", "echo 0")  # a worker between two starts has no process
    for failed in ("b1", "b2", "b3"):
        host.prepare(failed)
    host.say(SHIPIT_KEEP="1")
    host.unpack(NEW)
    scarce = '#!/bin/sh\n[ -d "$2/b1" ] && free=5 || free=900000\necho Head\necho /dev/sda1 9 9 $free 9% /\n'
    (host.programs / "df").write_text(scarce)
    (host.programs / "df").chmod(0o755)
    assert last_line(host.hook("before_install.sh"))["free_kb"] == 900000
    assert host.named_releases == [OLD, "b3"]


def test_before_install_asks_for_the_room_that_wheels_unpack_to(host: Host) -> None:
    host.unpack(NEW)
    needed = int(refusal(full(host)).split(" build needs ")[1].split()[0])
    host.unpack(NEW, {"wheels/big.whl": "x" * 1024 * 1000})
    assert int(refusal(full(host)).split(" build needs ")[1].split()[0]) == pytest.approx(needed + 5 * 1004, abs=20)


def full(host: Host) -> subprocess.CompletedProcess[str]:
    (host.programs / "df").write_text("#!/bin/sh\necho Head\necho /dev/sda1 100 50 5000 50% /\n")
    (host.programs / "df").chmod(0o755)
    return host.hook("before_install.sh")


def test_after_install_makes_the_release_and_its_unit(host: Host) -> None:
    host.prepare(NEW)
    release = host.release(NEW)
    assert (release / "scripts/drain.py").stat().st_mode & 0o111
    assert (release / "worker/app.py").samefile(host.incoming / "worker/app.py")
    unit = (host.units / f"worker@{NEW}.service").read_text()
    assert f"ExecStart=/bin/sh {host.home}/releases/%i/scripts/start_worker.sh\n" in unit
    assert f"EnvironmentFile=-{host.root}/etc/shipit/instance.env\n" in unit
    assert re.findall("@[A-Z]+@", unit.partition("[Unit]")[2]) == []
    assert host.calls[-1] == "daemon-reload"
    assert not (host.home / "current").exists(), "nothing is switched yet"


def test_a_unit_of_the_project_takes_the_place_of_the_standard_one(host: Host) -> None:
    host.prepare(NEW, {"systemd/worker@.service": "[Service]\nExecStart=@RELEASES@/%i/bin/worker\n"})
    unit = (host.units / f"worker@{NEW}.service").read_text()
    assert unit == f"[Service]\nExecStart={host.home}/releases/%i/bin/worker\n"


def test_each_build_keeps_the_unit_that_it_came_with(host: Host) -> None:
    host.prepare(OLD, {"systemd/worker@.service": "[Service]\nExecStart=/old\n"})
    host.prepare(NEW)
    assert (host.units / f"worker@{OLD}.service").read_text() == "[Service]\nExecStart=/old\n"


def test_the_workers_user_is_the_one_that_is_set_or_one_that_systemd_makes_up(host: Host) -> None:
    host.say(SHIPIT_USER="celery")
    host.prepare(OLD)
    assert "\nUser=celery\n" in (host.units / f"worker@{OLD}.service").read_text()
    host.say(SHIPIT_USER="")
    host.prepare(NEW)
    unit = (host.units / f"worker@{NEW}.service").read_text()
    assert "\nDynamicUser=yes\n" in unit
    assert "User=" not in unit.replace("DynamicUser=", "")


def test_the_unit_gives_a_drain_the_time_that_the_settings_do(host: Host) -> None:
    host.prepare(OLD)
    assert "\nTimeoutStopSec=113\n" in (host.units / f"worker@{OLD}.service").read_text()
    host.say(SHIPIT_DRAIN_GRACE="600")
    host.prepare(NEW, {"scripts/settings.env": "SHIPIT_DRAIN_WAIT=2.5\n"})
    assert "\nTimeoutStopSec=652\n" in (host.units / f"worker@{NEW}.service").read_text()


def test_a_stage_of_the_drain_that_is_no_number_is_refused(host: Host) -> None:
    host.say(SHIPIT_DRAIN_GRACE="10min")
    host.unpack(NEW)
    last_line(host.hook("before_install.sh"))
    host.install()
    assert "SHIPIT_DRAIN_GRACE is 10min: a number of seconds" in refusal(host.hook("after_install.sh"))


def test_the_unit_keeps_titles_of_processes_out_of_the_environment_that_proves_the_build(host: Host) -> None:
    # Seen with setproctitle 1.3.8, which Celery uses where it is installed: /proc/PID/environ became zeros.
    host.prepare(NEW)
    assert "\nEnvironment=SPT_NOENV=1\n" in (host.units / f"worker@{NEW}.service").read_text()


@pytest.mark.parametrize(
    "damage",
    [
        lambda bundle: (bundle / "worker/app.py").write_text("import evil\n"),
        lambda bundle: (bundle / "worker/more.py").write_text(""),
        lambda bundle: (bundle / "worker/tasks.py").unlink(),
        lambda bundle: (bundle / "scripts/drain.py").chmod(0o644),
        lambda bundle: (bundle / "worker/link").symlink_to("app.py"),
    ],
    ids=["changed", "added", "gone", "mode", "link"],
)
def test_a_bundle_that_is_not_what_was_built_is_refused(damage: Callable[[Path], object], host: Host) -> None:
    host.unpack(NEW)
    damage(host.bundle)
    last_line(host.hook("before_install.sh"))
    host.install()
    refused = host.hook("after_install.sh")
    assert "the bundle is not what was built" in refusal(refused)
    assert f"build {NEW} was packed from" in refused.stderr
    assert os.listdir(host.home / "releases") == []


def test_what_was_installed_must_be_what_the_bundle_holds(host: Host) -> None:
    host.unpack(NEW)
    last_line(host.hook("before_install.sh"))
    host.install()
    (host.incoming / "worker/app.py").write_text("half a fi")
    assert "is not what the bundle holds" in refusal(host.hook("after_install.sh"))


def test_a_link_to_a_folder_is_whole_in_the_release_though_the_agent_copies_it(host: Host) -> None:
    content = host.bundle.parent / "linked"
    (content / "data/v1").mkdir(parents=True)
    (content / "data/v1/a").write_text("a")
    (content / "worker").mkdir()
    (content / "worker/app.py").write_text("")
    host.pack(NEW, content, links={"latest": "data/v1"})
    last_line(host.hook("before_install.sh"))
    host.install()
    last_line(host.hook("after_install.sh"))
    assert (host.release(NEW) / "latest/a").read_text() == "a"


def test_after_install_copies_where_links_are_not_possible(host: Host) -> None:
    (host.programs / "cp").write_text(f'#!/bin/sh\n[ "$1" != -al ] || exit 1\nexec {shutil.which("cp")} "$@"\n')
    (host.programs / "cp").chmod(0o755)
    host.prepare(NEW)
    assert not (host.release(NEW) / "worker/app.py").samefile(host.root / "opt/shipit/incoming/worker/app.py")


def test_after_install_twice_is_the_same_release(host: Host) -> None:
    host.prepare(NEW)
    before = (host.release(NEW) / "build.json").stat().st_ino
    host.prepare(NEW)
    assert (host.release(NEW) / "build.json").stat().st_ino == before
    assert sorted(os.listdir(host.home / "releases")) == [NEW]


def test_a_release_left_half_made_is_made_again(host: Host) -> None:
    half = host.home / "releases/.new"
    half.mkdir(parents=True)
    (half / "junk").write_text("x")
    host.prepare(NEW)
    assert not (host.release(NEW) / "junk").exists()
    assert not half.exists()


def test_after_install_refuses_another_build_of_the_same_name(host: Host) -> None:
    host.prepare(NEW)
    incoming = host.incoming / "build.json"
    incoming.unlink()  # as Install does: the release keeps its own
    incoming.write_text("{}")
    assert "holds another build of the same name" in refusal(host.hook("after_install.sh"))


def test_the_next_install_does_not_reach_into_a_release(host: Host) -> None:
    host.prepare(OLD)
    host.prepare(NEW)
    assert json.loads((host.release(OLD) / "build.json").read_text())["version"] == OLD


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


def test_the_hooks_are_plain_sh() -> None:
    scripts = sorted((Path(__file__).parents[2] / "scripts").glob("*.sh"))
    assert len(scripts) == 8
    for script in scripts:
        assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
