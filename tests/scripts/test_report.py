"""A report says what is installed and what runs, is signed as S3 wants it, and is written once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hook_host import USER_ID, Host
from instances import FACTS

BUILD = "2026.11.24-100000-gnew"


def report(host: Host, pid: int, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", str(host.bundle / "scripts/report.py"), str(host.home), str(pid), "deploy"],
        env=host.environment(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def sent(host: Host) -> tuple[str, dict[str, Any]]:
    ((path, body),) = host.s3.objects.items()
    assert body.endswith(b"}\n")
    assert body.count(b"\n") == 1
    return path, json.loads(body)


def test_a_report_has_the_columns_of_the_table(host: Host) -> None:
    host.prepare(BUILD)
    assert report(host, host.work(BUILD)).returncode == 0
    _, row = sent(host)
    assert list(row) == [
        "schema_version",
        "instance_id",
        "asg",
        "queue",
        "az",
        "lifecycle",
        "deployment_id",
        "build",
        "git_sha",
        "digest",
        "running_build",
        "process_started_at",
        "reason",
        "seq",
        "reported_at",
    ]
    assert (row["schema_version"], row["instance_id"], row["asg"], row["queue"]) == (
        1,
        FACTS.id,
        FACTS.asg,
        "reports",
    )
    assert (row["az"], row["lifecycle"], row["deployment_id"]) == ("us-east-1a", "spot", "d-1")
    assert (row["build"], row["running_build"], row["git_sha"]) == (BUILD, BUILD, "a" * 40)
    built = json.loads((host.release(BUILD) / "build.json").read_text())
    assert (row["digest"], row["reason"]) == (built["digest"], "deploy")


def test_times_are_utc_strings_of_a_fixed_width(host: Host) -> None:
    host.prepare(BUILD)
    before = datetime.now(UTC)
    report(host, host.work(BUILD))
    _, row = sent(host)
    for column in ("reported_at", "process_started_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row[column])
        moment = datetime.fromisoformat(row[column])
        assert abs(moment - before) < timedelta(minutes=1)


def test_the_key_has_the_hour_the_author_and_the_millisecond(host: Host) -> None:
    host.prepare(BUILD)
    report(host, host.work(BUILD))
    path, row = sent(host)
    moment = datetime.fromisoformat(row["reported_at"])
    milliseconds = round(moment.timestamp() * 1000)
    slot = f"{moment:%Y-%m-%d-%H}"
    assert path == f"/bucket/sandbox/reports/v1/slot={slot}/{USER_ID}-{milliseconds}.json"


def test_a_process_of_another_folder_runs_no_known_build(host: Host) -> None:
    host.prepare(BUILD)
    report(host, host.work(BUILD, folder=host.root))
    assert sent(host)[1]["running_build"] == ""


def test_the_credentials_are_the_instance_roles(host: Host) -> None:
    host.prepare(BUILD)
    report(host, host.work(BUILD))
    assert host.s3.requests[0]["x-amz-security-token"] == f"sandbox-{FACTS.id}"


def test_an_answer_that_was_lost_is_no_failure(host: Host) -> None:
    host.prepare(BUILD)
    host.s3.statuses = [503, 412]
    assert report(host, host.work(BUILD)).returncode == 0
    first, second = host.s3.requests
    assert first["path"] == second["path"]


def test_a_refusal_is_not_tried_again(host: Host) -> None:
    host.prepare(BUILD)
    host.s3.statuses = [403, 200]
    result = report(host, host.work(BUILD))
    assert (result.returncode, len(host.s3.requests)) == (1, 1)
    assert result.stderr == "report.py: Refused: s3: HTTP 403\n"
    assert list(spool(host).glob("*.json")) == []


def test_a_report_that_cannot_be_sent_now_waits_for_the_watcher(host: Host) -> None:
    host.prepare(BUILD)
    host.s3.statuses = [503, 503, 503]
    result = report(host, host.work(BUILD))
    assert (result.returncode, len(host.s3.requests)) == (75, 3)
    assert "s3: HTTP 503; the report waits in" in result.stderr
    (waits,) = spool(host).glob("*.json")
    assert waits.name == "0000000001.deploy.json"


def test_a_report_that_was_sent_leaves_nothing_behind(host: Host) -> None:
    host.prepare(BUILD)
    report(host, host.work(BUILD))
    assert list(spool(host).glob("*.json")) == []


def test_a_deployment_is_history_too_where_there_is_a_place_for_it(host: Host) -> None:
    host.prepare(BUILD)
    facts = host.root / "etc/shipit/instance.env"
    facts.write_text(facts.read_text() + "SHIPIT_HISTORY=s3://bucket/sandbox/history/v1\n")
    report(host, host.work(BUILD))
    (first, body), (second, again) = host.s3.objects.items()
    assert body == again
    day, _, name = second.removeprefix("/bucket/sandbox/history/v1/day=").partition("/")
    slot = first.removeprefix("/bucket/sandbox/reports/v1/slot=").removesuffix(f"/{name}")
    assert re.fullmatch(rf"{day}-\d\d", slot)


def test_a_build_that_its_files_alone_prove_is_not_taken_for_running(host: Host) -> None:
    host.prepare(BUILD)
    pid = host.work(BUILD)
    (host.home / "current").unlink()
    report(host, pid)
    row = sent(host)[1]
    assert (row["build"], row["running_build"]) == ("", BUILD)


def test_without_metadata_there_is_one_clear_line(host: Host) -> None:
    host.prepare(BUILD)
    result = report(host, host.work(BUILD), AWS_EC2_METADATA_SERVICE_ENDPOINT=f"{host.endpoint}/_imds/i-unknown/")
    assert result.returncode == 1
    assert result.stderr == "report.py: Failed: instance metadata: api/token: HTTP 404\n"


def test_without_a_place_to_report_to_there_is_one_clear_line(host: Host) -> None:
    host.prepare(BUILD)
    (host.root / "etc/shipit/instance.env").write_text("")
    result = report(host, host.work(BUILD))
    assert (result.returncode, result.stderr) == (1, "report.py: KeyError: 'SHIPIT_REPORTS'\n")


def test_a_process_that_is_gone_is_one_clear_line(host: Host) -> None:
    host.prepare(BUILD)
    result = report(host, 2**22 + 1)
    assert result.returncode == 1
    assert result.stderr.startswith("report.py: FileNotFoundError")


def spool(host: Host) -> Path:
    return host.root / "var/lib/shipit/worker" / FACTS.id
