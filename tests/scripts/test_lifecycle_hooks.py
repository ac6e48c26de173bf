"""BeforeInstall and AfterInstall make one release, whole or not at all; each may run twice and refuses what hurts."""

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
from hook_host import Host, last_line, refusal
from shipit_instance.facts import read_env

from shipit.sandbox.instance.unit_file import load_unit
from shipit.version import VERSION

OLD, NEW = "2026.11.23-090000-g0ld", "2026.11.24-100000-gnew"


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


def test_a_unit_whose_time_nobody_filled_in_has_room_for_the_drain_of_the_defaults(host: Host) -> None:
    host.prepare(NEW)
    unit = host.units / f"worker@{NEW}.service"
    # As an after_install.sh of the project's own leaves it that is older than the placeholder.
    unit.write_text(unit.read_text().replace("TimeoutStopSec=113", "TimeoutStopSec=@STOP@"))
    defaults = read_env(str(host.release(NEW) / "scripts/defaults.env"))
    drain = sum(float(defaults[f"SHIPIT_DRAIN_{stage}"]) for stage in ("WAIT", "GRACE", "COLD"))
    assert 30 <= load_unit(host.units, unit.name).stop_timeout - drain < 31


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


def test_the_hooks_are_plain_sh() -> None:
    scripts = sorted((Path(__file__).parents[2] / "scripts").glob("*.sh"))
    assert len(scripts) == 8
    for script in scripts:
        assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
