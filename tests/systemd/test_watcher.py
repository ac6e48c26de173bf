"""The watcher's unit under a real systemd: it comes with the worker, outlives builds, and ends workers for spot."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from instances import ID
from real_host import RealHost

OLD, NEW = "2026.11.23-090000-g0ld", "2026.11.24-100000-gnew"


def test_one_watcher_comes_with_the_worker_and_goes_on_as_each_new_build(host: RealHost) -> None:
    host.say(SHIPIT_WATCH_POLL="0.2")
    assert host.deploy(OLD) == ""
    host.until(lambda: "start" in reasons(host))
    assert watcher(host, "ActiveState") == "active"
    assert OLD in command(host)
    assert host.deploy(NEW) == ""
    host.until(lambda: watcher(host, "ActiveState") == "active" and NEW in command(host))
    host.until(lambda: [r["running_build"] for r in reports(host) if r["reason"] == "start"] == [OLD, NEW])


def test_a_spot_notice_ends_the_worker_in_order_and_nothing_brings_it_back(host: RealHost) -> None:
    host.say(SHIPIT_WATCH_POLL="0.2", SHIPIT_DRAIN_WAIT="0.2", TASK_SECONDS="1")
    assert host.deploy(OLD) == ""
    host.ends[ID] = datetime.now(UTC) + timedelta(seconds=60)
    host.until(lambda: host.show(OLD, "ActiveState") == ["inactive"])
    assert host.log(OLD)[-2:] == ["task done", "ends"]
    host.until(lambda: "stop" in reasons(host))
    assert host.show(OLD, "NRestarts", "Result") == ["success", "0"]
    assert watcher(host, "ActiveState") == "active"


def test_a_watcher_that_dies_comes_back_and_does_not_touch_the_worker(host: RealHost) -> None:
    host.say(SHIPIT_WATCH_POLL="0.2")
    assert host.deploy(OLD) == ""
    host.until(lambda: watcher(host, "ActiveState") == "active")
    host.inside.run("kill", "-9", watcher(host, "MainPID"))
    host.until(lambda: watcher(host, "NRestarts") == "1" and watcher(host, "ActiveState") == "active")
    assert host.active() == [OLD]
    assert host.show(OLD, "NRestarts") == ["0"]


def watcher(host: RealHost, name: str) -> str:
    return host.inside.systemctl("show", "-p", name, "--value", "worker-watcher")


def command(host: RealHost) -> str:
    """Return the command line of the watcher that runs."""
    return host.inside.run("cat", f"/proc/{watcher(host, 'MainPID')}/cmdline").stdout


def reports(host: RealHost) -> list[dict[str, Any]]:
    """Return what was reported, in its order."""
    found = [json.loads(body) for path, body in list(host.s3.objects.items()) if "/reports/" in path]
    return sorted(found, key=lambda report: str(report["reported_at"]))


def reasons(host: RealHost) -> list[str]:
    return [str(report["reason"]) for report in reports(host)]
