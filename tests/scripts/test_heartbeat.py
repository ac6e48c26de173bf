"""The heartbeat comes with the worker's unit, speaks for an active worker alone, and never fails a deployment."""

from __future__ import annotations

import json
import subprocess

from hook_host import Host

BUILD = "2026.11.24-100000-gnew"


def beat(host: Host) -> subprocess.CompletedProcess[str]:
    """Do what the timer's service does."""
    return subprocess.run(
        ["/bin/sh", str(host.release(BUILD) / "scripts/heartbeat.sh"), str(host.home), f"worker@{BUILD}.service"],
        env={key: value for key, value in host.environment().items() if not key.startswith("DEPLOYMENT")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def installed(host: Host) -> str:
    """Run AfterInstall once more; return what it says about the heartbeat."""
    result = host.hook("after_install.sh")
    assert result.returncode == 0, result.stderr
    state: str = json.loads(result.stdout.splitlines()[-1])["heartbeat"]
    return state


def test_after_install_brings_the_units_complete_and_loads_them(host: Host) -> None:
    host.prepare(BUILD)
    units = host.root / "etc/systemd/system"
    service = (units / "worker-heartbeat@.service").read_text()
    timer = (units / "worker-heartbeat@.timer").read_text()
    wanted = (units / "worker@.service.d/heartbeat.conf").read_text()
    command = f"/bin/sh {host.home}/releases/%i/scripts/heartbeat.sh {host.home} worker@%i.service"
    assert f"ExecStart={command}\n" in service
    assert f"Environment=SHIPIT_ROOT={host.root}\n" in service
    assert "PartOf=worker@%i.service\n" in timer
    assert "RandomizedDelaySec=" in timer
    assert "Wants=worker-heartbeat@%i.timer\n" in wanted
    for text in (service, timer, wanted):
        settings = [line for line in text.splitlines() if not line.startswith("#")]
        assert not any(mark in line for line in settings for mark in ("@APP@", "@HOME@", "@ROOT@"))
    assert host.calls[-1] == "daemon-reload"


def test_installing_twice_leaves_the_same_units(host: Host) -> None:
    host.prepare(BUILD)
    path = host.root / "etc/systemd/system/worker-heartbeat@.timer"
    before = path.read_text()
    assert installed(host) == "installed"
    assert path.read_text() == before


def test_a_heartbeat_that_cannot_be_installed_does_not_fail_the_deployment(host: Host) -> None:
    host.prepare(BUILD)
    (host.bundle / "scripts/systemd/worker.conf").unlink()
    assert installed(host) == "failed"
    assert (host.root / f"etc/systemd/system/worker@{BUILD}.service").is_file()


def test_an_active_worker_is_reported(host: Host) -> None:
    host.prepare(BUILD)
    host.work(BUILD)
    result = beat(host)
    assert (result.returncode, result.stderr) == (0, "")
    (body,) = host.s3.objects.values()
    row = json.loads(body)
    assert (row["reason"], row["running_build"], row["deployment_id"]) == ("heartbeat", BUILD, "")


def test_a_worker_that_stops_or_has_stopped_says_nothing(host: Host) -> None:
    host.prepare(BUILD)
    for state, pid in (("deactivating", 1), ("inactive", 0), ("failed", 0), ("activating", 1)):
        host.answer("show", f"printf 'ActiveState={state}\\nMainPID={pid}\\n'")
        assert beat(host).returncode == 0
    assert host.s3.requests == []


def test_a_report_that_fails_shows_in_the_journal(host: Host) -> None:
    host.prepare(BUILD)
    host.work(BUILD)
    host.s3.statuses = [403]
    result = beat(host)
    assert result.returncode == 1
    assert "HTTP 403" in result.stderr
