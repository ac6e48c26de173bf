"""The watcher comes with the worker's unit, goes on as the build that was installed last, and fails no deployment."""

from __future__ import annotations

import json

from hook_host import Host

OLD, BUILD = "2026.11.23-090000-g0ld", "2026.11.24-100000-gnew"


def installed(host: Host, **environment: str) -> str:
    """Run AfterInstall once more; return what it says about the watcher."""
    result = host.hook("after_install.sh", **environment)
    assert result.returncode == 0, result.stderr
    state: str = json.loads(result.stdout.splitlines()[-1])["watcher"]
    return state


def test_after_install_brings_the_units_complete_and_loads_them(host: Host) -> None:
    host.prepare(BUILD)
    units = host.root / "etc/systemd/system"
    service = (units / "worker-watcher.service").read_text()
    wanted = (units / "worker@.service.d/watcher.conf").read_text()
    command = f"/usr/bin/env python3 -B -I -S {host.release(BUILD)}/scripts/watch.py worker"
    assert f"ExecStart={command}\n" in service
    assert f"Environment=SHIPIT_ROOT={host.root}\n" in service
    assert "Restart=always\n" in service
    assert "Wants=worker-watcher.service\n" in wanted
    assert "After=worker-watcher.service\n" in wanted
    for text in (service, wanted):
        settings = [line for line in text.splitlines() if not line.startswith("#")]
        assert not any(mark in line for line in settings for mark in ("@APP@", "@RELEASE@", "@ROOT@"))
    assert host.calls[-1] == "daemon-reload"


def test_installing_twice_leaves_the_same_units(host: Host) -> None:
    host.prepare(BUILD)
    path = host.root / "etc/systemd/system/worker-watcher.service"
    before = path.read_text()
    assert installed(host) == "installed"
    assert path.read_text() == before


def test_a_watcher_that_runs_goes_on_as_the_build_that_is_installed_an_older_one_too(host: Host) -> None:
    (host.root / "var/lib/shipit/worker").mkdir(parents=True)
    (host.root / "var/lib/shipit/worker/watch.lock").touch()
    for build in (OLD, BUILD, OLD):
        host.prepare(build)
        service = (host.root / "etc/systemd/system/worker-watcher.service").read_text()
        assert f"{host.release(build)}/scripts/watch.py" in service
        assert host.calls[-2:] == ["daemon-reload", "try-restart --no-block worker-watcher.service"]


def test_a_watcher_that_cannot_be_installed_or_started_does_not_fail_the_deployment(host: Host) -> None:
    host.prepare(BUILD)
    (host.root / "var/lib/shipit/worker").mkdir(parents=True)
    (host.root / "var/lib/shipit/worker/watch.lock").touch()
    host.answer("try-restart", "exit 1")
    assert installed(host) == "failed"
    (host.bundle / "scripts/systemd/watcher.conf").unlink()
    assert installed(host) == "failed"
    assert (host.units / f"worker@{BUILD}.service").is_file()


def test_the_deployment_that_brought_a_build_is_noted_the_last_one_counting(host: Host) -> None:
    host.prepare(BUILD)
    assert installed(host, DEPLOYMENT_ID="d-2") == "installed"
    assert (host.home / "deployments").read_text() == f"{BUILD} d-1\n{BUILD} d-2\n"


def test_of_many_deployments_the_last_ones_are_known(host: Host) -> None:
    host.prepare(BUILD)
    (host.home / "deployments").write_text("".join(f"b{number} d-{number}\n" for number in range(500)))
    assert installed(host, DEPLOYMENT_ID="d-new") == "installed"
    kept = (host.home / "deployments").read_text().splitlines()
    assert kept == [*(f"b{number} d-{number}" for number in range(301, 500)), f"{BUILD} d-new"]
