"""The store of reports by the real command line: set up, checked, and asked over time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from project import Project

BUILDS = (("old-1", "d-1", 3), ("old-2", "d-2", 2), ("old-1", "d-3", 1))


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


def test_a_rollback_shows_in_the_history_of_a_group(shared_project: Project) -> None:
    assert shared_project.inv("sandbox.start").code == 0
    s3, now = shared_project.client("s3"), datetime.now(UTC)
    for build, deployment, days in BUILDS:
        at = now - timedelta(days=days)
        row = {
            "asg": "worker-reports",
            "running_build": build,
            "deployment_id": deployment,
            "reason": "deploy",
            "seq": days,
            "reported_at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        key = f"sandbox/history/v1/day={at:%Y-%m-%d}/AROATEST:i-0feed-{days}.json"
        s3.put_object(Bucket="shipit-test", Key=key, Body=json.dumps(row).encode())
    shown = shared_project.inv("versions.history", "--group", "reports", "--json").events[0]["fields"]["versions"]
    # Beside what the sandbox's own instances have said.
    theirs = [row for row in shown if row["build"].startswith("old-")]
    assert [(row["group"], row["build"], row["deployment"][:3]) for row in theirs] == [
        ("reports", build, deployment) for build, deployment, _ in reversed(BUILDS)
    ]
    when = shared_project.inv("versions.when", "old-2")
    assert (
        f"in 1 group, {now - timedelta(days=2):%Y-%m-%d %H:%M} UTC to {now - timedelta(days=1):%Y-%m-%d %H:%M}"
        in when.out
    )
