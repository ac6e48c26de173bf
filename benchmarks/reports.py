"""Time the verdict over a large fleet: the SQL of verify-versions in the sandbox's Athena, and the judging.

usage: python benchmarks/reports.py [INSTANCES ...]      default: 300 10000 100000

Each instance has reported every 5 minutes for an hour, 12 rows, in gzipped NDJSON batches of a minute as Firehose
writes them. Athena runs in one process, the client (shipit's own reader and judge) in another, with HTTP between. The
first look brings the rows to this machine; what counts is the look after it. Goals: 0.5 s, 1.5 s and 6 s, and 300 MB
at most in each process.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTES, HEARTBEAT, GROUPS = 60, 5, 50
BUCKET, PREFIX = "acme-reports", "prod"
BUILD, DIGEST = "2026.11.20-090000-g123456789", hashlib.sha256(b"build").hexdigest()


def write(folder: Path, instances: int) -> int:
    """Write the batches as files; return their bytes."""
    chance, written = random.Random(1), 0
    for minute in range(MINUTES):
        begun = NOON - timedelta(minutes=MINUTES - minute)
        lines = []
        for number in range(minute % HEARTBEAT, instances, HEARTBEAT):
            at = begun + timedelta(milliseconds=chance.randrange(60_000))
            row = {
                "schema_version": 1,
                "instance_id": f"i-{number:017x}",
                "asg": f"worker-queue-{number % GROUPS}",
                "queue": f"queue-{number % GROUPS}",
                "az": f"eu-central-1{'abc'[number % 3]}",
                "lifecycle": "spot",
                "deployment_id": f"d-{number % GROUPS:09d}",
                "build": BUILD,
                "git_sha": "0123456789" * 4,
                "digest": DIGEST,
                "running_build": BUILD,
                "process_started_at": "2026-11-20T09:01:00.000Z",
                "reason": "heartbeat",
                "seq": minute * 60_000 + number,
                "reported_at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            }
            lines.append(json.dumps(row, separators=(",", ":")) + "\n")
        path = folder / f"{PREFIX}/reports/v1/slot={begun:%Y-%m-%d-%H}/batch-{minute:02d}.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        written += path.write_bytes(gzip.compress("".join(lines).encode(), 6))
    return written


def serve(folder: Path) -> None:
    """Serve Athena over a folder of objects on a loopback port, which is printed; end with stdin."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    from shipit.sandbox.athena.service import AthenaService
    from shipit.sandbox.athena.store import ObjectInfo
    from shipit.sandbox.wire import JsonService

    class Folder:
        """Hold the bucket's objects as files."""

        def list(self, bucket: str, prefix: str) -> Iterable[ObjectInfo]:
            files = sorted((folder / prefix).rglob("*.gz"))
            return [
                ObjectInfo(key=str(f.relative_to(folder)), size=f.stat().st_size, etag=str(f.stat().st_mtime_ns))
                for f in files
            ]

        def get(self, bucket: str, key: str) -> bytes:
            return (folder / key).read_bytes()

        def put(self, bucket: str, key: str, body: bytes) -> None:
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)

    athena = AthenaService(Folder(), lambda: NOON, output_location=f"s3://{BUCKET}/results/")
    service = JsonService("athena", athena)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = service.handle(self.headers["X-Amz-Target"].partition(".")[2], body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    athena.close()
    os._exit(0)  # past DuckDB's words on its own objects at the end of a process


def ask(port: int, instances: int, folder: str) -> None:
    """Look twice and print the seconds of each look, and the verdict's count."""
    import boto3

    from shipit import sql
    from shipit.aws.athena import Athena
    from shipit.aws.reports import ReportReader
    from shipit.models import Fleet, Group, Instance, Wanted
    from shipit.verify import Expectation, judge

    client = boto3.client(
        "athena",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    # The results lie in the folder of objects, which stands for S3.
    athena = Athena(
        client,
        database="shipit",
        timeout=600,
        fetch=lambda url: Path(folder, url.removeprefix(f"s3://{BUCKET}/")).read_bytes(),
    )
    for statement in sql.reports_ddl(database="shipit", table="version_reports", bucket=BUCKET, prefix=PREFIX):
        athena.run(statement)
    reader = ReportReader(athena, database="shipit", table="version_reports", bucket=BUCKET, prefix=PREFIX)
    members: dict[int, list[Instance]] = {}
    for number in range(instances):
        asg = f"worker-queue-{number % GROUPS}"
        members.setdefault(number % GROUPS, []).append(
            Instance(id=f"i-{number:017x}", asg=asg, state="InService", launched_at=NOON - timedelta(days=1))
        )
    fleet = Fleet(
        groups=tuple(
            Group(name=f"worker-queue-{n}", asg=f"worker-queue-{n}", queue=f"queue-{n}", instances=tuple(found))
            for n, found in members.items()
        ),
    )
    expected = Expectation(
        env="prod",
        groups={group.name: Wanted(build=BUILD) for group in fleet.groups},
        published={BUILD: DIGEST},
        heartbeat=300,
        grace=600,
    )
    for _ in range(2):
        begun = time.perf_counter()
        reports, cost = reader.latest_reports(NOON, 3600)
        verdict = judge(fleet, reports, expected, now=NOON, cost=cost)
        print(f"{time.perf_counter() - begun:.3f}")
        assert verdict.converged, "every instance of this fleet is current"
    print(f"{Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]}")


def main(counts: list[int]) -> None:
    """Measure each size and print a line for it."""
    for instances in counts:
        with tempfile.TemporaryDirectory() as name:
            size = write(Path(name), instances)
            server = subprocess.Popen(
                [sys.executable, __file__, "--serve", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            assert server.stdin
            assert server.stdout
            try:
                port = server.stdout.readline().strip()
                asked = subprocess.run(
                    [sys.executable, __file__, "--ask", port, str(instances), name],
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                peak = int(Path(f"/proc/{server.pid}/status").read_text().split("VmHWM:")[1].split()[0])
            finally:
                server.stdin.close()
                server.wait()
        first, second, client = asked.stdout.split()
        print(
            f"{instances} instances, {instances * MINUTES // HEARTBEAT} rows, {size / 1e6:.1f} MB: verdict in "
            f"{float(second):.2f} s, the first look {float(first):.2f} s; at most {peak // 1024} MB in Athena, "
            f"{int(client) // 1024} MB in the client"
        )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--serve", folder]:
            serve(Path(folder))
        case ["--ask", port, instances, folder]:
            ask(int(port), int(instances), folder)
        case counts:
            main([int(c) for c in counts] or [300, 10_000, 100_000])
