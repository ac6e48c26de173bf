"""A report says what is installed and what runs, is signed as S3 wants it, and is written once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.utils import percent_encode
from hook_host import Host
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


def test_the_key_has_the_hour_the_instance_and_the_millisecond(host: Host) -> None:
    host.prepare(BUILD)
    report(host, host.work(BUILD))
    path, row = sent(host)
    moment = datetime.fromisoformat(row["reported_at"])
    milliseconds = round(moment.timestamp() * 1000)
    slot = f"{moment:%Y-%m-%d-%H}"
    assert path == f"/bucket/sandbox/reports/v1/slot={slot}/AROASANDBOXSANDBOX00:{FACTS.id}-{milliseconds}.json"


def test_a_process_of_another_folder_runs_no_known_build(host: Host) -> None:
    host.prepare(BUILD)
    report(host, host.work(BUILD, folder=host.root))
    assert sent(host)[1]["running_build"] == ""


def test_the_request_is_signed_as_botocore_would_sign_it(host: Host) -> None:
    host.prepare(BUILD)
    keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
    report(host, host.work(BUILD), **keys)
    (request,) = host.s3.requests
    assert request["if-none-match"] == "*"
    signed = ("host", "if-none-match", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token")
    url = host.endpoint + percent_encode(request["path"], safe="/~")  # as botocore writes a key into a URL
    again = AWSRequest("PUT", url, {name: request[name] for name in signed})
    again.context["timestamp"] = request["x-amz-date"]
    auth = S3SigV4Auth(Credentials("AKIDEXAMPLE", "secret", "token"), "s3", "us-east-1")
    signature = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
    assert request["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{request['x-amz-date'][:8]}/us-east-1/s3/aws4_request, "
        f"SignedHeaders={';'.join(signed)}, Signature={signature}"
    )


def test_the_credentials_are_the_instance_roles(host: Host) -> None:
    host.prepare(BUILD)
    report(host, host.work(BUILD))
    assert host.s3.requests[0]["x-amz-security-token"] == "sandbox"


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
    assert re.search(r"report\.py: Failed: s3://bucket/sandbox/reports/v1/.*: HTTP 403", result.stderr)


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
