"""After a success, what no rollback will ask for goes: and nothing else, however often it is cut short."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hook_host import Host

NEW = "2026.11.24-100000-gnew"


def test_old_releases_and_their_units_go_but_never_one_that_runs(host: Host) -> None:
    for age in range(9):
        release(host, f"b{age}", age)
    host.prepare(NEW)
    assert validate(host, runs="b6") == 4
    kept = ["b0", "b1", "b2", "b3", "b6", NEW]
    assert sorted(os.listdir(host.home / "releases")) == sorted(kept)
    assert sorted(path.name for path in host.units.glob("worker@*.service")) == sorted(
        f"worker@{b}.service" for b in kept
    )


def test_how_many_stay_is_a_setting(host: Host) -> None:
    for age in range(4):
        release(host, f"b{age}", age)
    host.say(SHIPIT_KEEP="2")
    host.prepare(NEW)
    assert validate(host) == 3
    assert sorted(os.listdir(host.home / "releases")) == [NEW, "b0"]


@pytest.mark.parametrize("wrong", ["", "five", "-1", "2.5"])
def test_a_number_that_is_none_leaves_five(wrong: str, host: Host) -> None:
    for age in range(8):
        release(host, f"b{age}", age)
    host.say(SHIPIT_KEEP=wrong)
    host.prepare(NEW)
    assert validate(host) == 4
    assert f"SHIPIT_KEEP is {wrong or 'empty'}: a number of releases; 5 stay" in host.last


def test_the_build_that_the_watcher_runs_from_stays_though_its_worker_never_started(host: Host) -> None:
    host.switch("b0")
    host.prepare("b1")
    for newer in (1, 2):
        release(host, f"never-{newer}", -newer * 10**9)
    host.answer("show", "echo 0")
    host.say(SHIPIT_KEEP="1")
    host.unpack(NEW)
    (host.programs / "df").write_text("#!/bin/sh\necho Head\necho /dev/sda1 9 9 5 9% /\n")
    (host.programs / "df").chmod(0o755)
    assert host.hook("before_install.sh").returncode == 1
    assert host.named_releases == ["b0", "b1", "never-2"]


def test_an_environment_goes_with_the_last_release_that_needs_it(host: Host) -> None:
    for age, venv in enumerate(("shared", "shared", "gone")):
        release(host, f"b{age}", age, venv)
    host.say(SHIPIT_KEEP="3")
    host.prepare(NEW)
    assert validate(host) == 1
    assert os.listdir(host.home / "venvs") == ["shared"]


def test_a_deletion_that_was_cut_short_is_ended_the_next_time(host: Host) -> None:
    host.prepare(NEW)
    for half in ("releases/.gone", "releases/.new", "venvs/.gone"):
        (host.home / half / "deep").mkdir(parents=True)
    assert validate(host) == 0
    assert os.listdir(host.home / "releases") == [NEW]
    assert os.listdir(host.home / "venvs") == []


def test_a_failure_prunes_nothing(host: Host) -> None:
    for age in range(9):
        release(host, f"b{age}", age)
    host.prepare(NEW)
    host.work(NEW, folder=host.root)
    assert host.hook("validate_service.sh").returncode == 1
    assert len(os.listdir(host.home / "releases")) == 10


def release(host: Host, build: str, age: int, venv: str = "") -> Path:
    """Lay out a release as it was deployed so many turns ago."""
    folder = host.release(build)
    folder.mkdir(parents=True)
    if venv:
        (host.home / "venvs" / venv).mkdir(parents=True, exist_ok=True)
        (folder / ".venv").symlink_to(f"../../venvs/{venv}")
    host.units.mkdir(parents=True, exist_ok=True)
    (host.units / f"worker@{build}.service").write_text("[Service]\n")
    os.utime(folder, (1_700_000_000 - age, 1_700_000_000 - age))
    return folder


def validate(host: Host, runs: str = "-") -> int:
    """Run ValidateService with a healthy worker; return how many releases went."""
    pid = host.work(NEW)
    main = f"case $4 in worker@{runs}.*|worker@{NEW}.*) echo {pid} ;; *) echo 0 ;; esac"
    state = f"printf 'MainPID={pid}\\nNRestarts=0\\nActiveState=active\\n'"
    host.answer("show", f'case "$*" in *--value*) {main} ;; *) {state} ;; esac')
    result = host.hook("validate_service.sh")
    assert result.returncode == 0, result.stderr
    host.last = result.stderr
    return int(json.loads(result.stdout.splitlines()[-1])["pruned"])
