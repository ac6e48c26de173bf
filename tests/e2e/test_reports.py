"""The store of reports by the real command line: set up, checked, and asked over time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from project import Project

BUILDS = (("2026.11.20-1", "d-1", 3), ("2026.11.22-2", "d-2", 2), ("2026.11.20-1", "d-3", 1))


def test_a_store_is_set_up_once_and_proves_itself(shared_project: Project) -> None:
    first, second = (shared_project.inv("setup.reports") for _ in range(2))
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "expiry of sandbox/history/v1/  made           after 400 days" in first.out
    assert "made" not in second.out
    assert second.out.endswith("nothing to do\n")
    assert shared_project.inv("deploy", "--no-verify").code == 0
    checked = shared_project.inv("reports.check", "--json")
    assert checked.code == 0, checked.all
    fields = checked.events[0]["fields"]
    assert fields["runs"] == shared_project.inv("version").out.strip()
    assert fields["reporting"] == "8 of 8 instances in service"
    [told] = shared_project.inv("versions.history", "--group", "reports", "--json").events
    shown = told["periods"][0]
    assert (shown["group"], shown["build"], shown["until"]) == ("reports", fields["runs"], None)
    assert told["cost"]["scanned"] > 0


def test_a_heartbeat_that_is_none_has_no_price(shared_project: Project) -> None:
    for heartbeat in ("0s", "soon"):
        refused = shared_project.inv("reports.cost", "--instances", "300", "--heartbeat", heartbeat)
        assert (refused.code, refused.out) == (2, "")
        assert "heartbeat" in refused.err


def test_a_rollback_shows_in_the_history_of_a_group(shared_project: Project) -> None:
    assert shared_project.inv("sandbox.start").code == 0
    s3, now = shared_project.client("s3"), datetime.now(UTC)
    for build, deployment, days in BUILDS:
        at = now - timedelta(days=days)
        row = {
            # One that is gone: those that there are write a history of their own.
            "asg": "worker-of-old",
            "running_build": build,
            "deployment_id": deployment,
            "reason": "deploy",
            "seq": days,
            "reported_at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        key = f"sandbox/history/v1/day={at:%Y-%m-%d}/AROATEST:i-0feed-{days}.json"
        s3.put_object(Bucket="shipit-test", Key=key, Body=json.dumps(row).encode())
    [told] = shared_project.inv("versions.history", "--group", "*old", "--json").events
    assert [(row["group"], row["build"], row["deployments"]) for row in told["periods"]] == [
        ("worker-of-old", build, [deployment]) for build, deployment, _ in reversed(BUILDS)
    ]
    when = shared_project.inv("versions.when", "2026.11.22-2")
    assert (
        f"in 1 group, {now - timedelta(days=2):%Y-%m-%d %H:%M} UTC to {now - timedelta(days=1):%Y-%m-%d %H:%M}"
        in when.out
    )
