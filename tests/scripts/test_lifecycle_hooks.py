"""The hooks prepare, switch and prove one build; each may run twice, and each refuses what would hurt."""

from __future__ import annotations

import json
import os
import shutil
import string
import subprocess
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


def test_before_install_refuses_a_bundle_without_the_applications_unit(host: Host) -> None:
    host.unpack(NEW)
    assert "no systemd/other@.service" in refusal(host.hook("before_install.sh", APPLICATION_NAME="other"))


def test_before_install_refuses_a_bundle_without_a_version(host: Host) -> None:
    host.unpack(NEW)
    (host.bundle / "build.json").write_text("{}\n")
    assert "names no version" in refusal(host.hook("before_install.sh"))


def test_old_releases_go_but_never_a_running_one(host: Host) -> None:
    for age in range(8):
        folder = host.release(f"b{age}")
        folder.mkdir(parents=True)
        os.utime(folder, (2_000_000_000 - age, 2_000_000_000 - age))
    host.answer("show", "case $4 in worker@b6.*) echo 4711 ;; *) echo 0 ;; esac")
    host.unpack(NEW)
    last_line(host.hook("before_install.sh"))
    assert sorted(os.listdir(host.home / "releases")) == ["b0", "b1", "b2", "b3", "b4", "b6"]


def test_after_install_makes_the_release_and_its_unit(host: Host) -> None:
    host.prepare(NEW)
    release = host.release(NEW)
    assert (release / "bin/worker").stat().st_mode & 0o111
    assert (release / "worker/app.py").samefile(host.root / "opt/shipit/incoming/worker/app.py")
    unit = (host.root / "etc/systemd/system/worker@.service").read_text()
    assert f"ExecStart={host.home}/releases/%i/bin/worker\n" in unit
    assert f"EnvironmentFile={host.root}/etc/shipit/instance.env\n" in unit
    assert "@R" not in unit
    assert host.calls[-1] == "daemon-reload"
    assert (host.home / "current").resolve() == release


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
    half = host.home / "releases" / f"{NEW}.tmp"
    half.mkdir(parents=True)
    (half / "junk").write_text("x")
    host.prepare(NEW)
    assert not (host.release(NEW) / "junk").exists()
    assert not half.exists()


def test_after_install_refuses_another_build_of_the_same_name(host: Host) -> None:
    host.prepare(NEW)
    incoming = host.root / "opt/shipit/incoming/build.json"
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
    assert host.calls[-4:] == [
        "list-units --plain --no-legend worker@*.service",
        f"start worker@{NEW}.service",
        f"enable --quiet worker@{NEW}.service",
        f"disable --quiet --now --no-block worker@{OLD}.service",
    ]


def test_a_build_that_runs_already_is_started_anew(host: Host) -> None:
    host.prepare(NEW)
    host.answer("list-units", f"printf 'worker@{OLD}.service loaded active\\nworker@{NEW}.service loaded active\\n'")
    done = last_line(host.hook("application_start.sh"))
    assert (done["how"], done["stopped"]) == ("restart", 1)
    assert f"restart worker@{NEW}.service" in host.calls


def test_a_worker_that_does_not_start_leaves_the_old_one_alone(host: Host) -> None:
    host.prepare(NEW)
    host.answer("start", "exit 1")
    assert f"worker@{NEW}.service did not start" in refusal(host.hook("application_start.sh"))
    assert host.calls[-2:] == [f"start worker@{NEW}.service", f"stop --no-block worker@{NEW}.service"]


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
    assert line == {"event": "ValidateService", "build": NEW, "pid": pid, "report": "sent"}
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
    assert f"has another SHIPIT_BUILD than {NEW}" in refusal(host.hook("validate_service.sh"))


def test_a_worker_in_another_folder_is_refused(host: Host, tmp_path: Path) -> None:
    host.prepare(NEW)
    host.work(NEW, folder=tmp_path)
    assert f"runs in {tmp_path}, not in" in refusal(host.hook("validate_service.sh"))


def test_a_report_that_cannot_be_sent_does_not_fail_a_healthy_worker(host: Host) -> None:
    host.prepare(NEW)
    host.work(NEW)
    host.s3.statuses = [403]
    result = host.hook("validate_service.sh")
    assert last_line(result)["report"] == "failed"
    assert "HTTP 403" in result.stderr


def test_the_hooks_are_plain_sh() -> None:
    scripts = sorted((Path(__file__).parents[2] / "scripts").glob("*.sh"))
    assert len(scripts) == 5
    for script in scripts:
        assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
