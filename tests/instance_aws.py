"""What an instance talks to, on loopback: its metadata service, S3, STS and Auto Scaling, with their failures."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ID = "i-0123456789abcdef0"
ROLE_ID = "AROAEXAMPLEEXAMPLE000"
SPOT = "meta-data/spot/instance-action"
TARGET = "meta-data/autoscaling/target-lifecycle-state"
REBALANCE = "meta-data/events/recommendations/rebalance"
_CREDENTIALS = "meta-data/iam/security-credentials/"


@dataclass
class Action:
    """A lifecycle action that waits for heartbeats, by a clock of its own."""

    now: Callable[[], float]
    timeout: float
    until: float = 0.0
    completed_at: float | None = None
    beats: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.until = self.now() + self.timeout

    @property
    def waits(self) -> bool:
        return self.completed_at is None and self.now() <= self.until


class InstanceAws:
    """Serve one instance; what tests set and read is plain attributes."""

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {
            "meta-data/instance-life-cycle": "spot",
            TARGET: "InService",
            "dynamic/instance-identity/document": json.dumps(
                {"instanceId": ID, "availabilityZone": "eu-central-1b", "region": "eu-central-1"}
            ),
            _CREDENTIALS: "worker-role",
        }
        self.key = "ASIAEXAMPLE1"
        #: Tokens that are good, and how many were given.
        self.tokens: set[str] = set()
        self.tokens_given = 0
        #: With a status, what the metadata service answers instead.
        self.metadata_fails = 0
        #: Answers of S3 before those by its objects: a status, or one with an error's code.
        self.s3_answers: list[int | tuple[int, str]] = []
        self.s3_down = False
        #: Whether S3 takes a request and says nothing.
        self.s3_hangs = False
        self.objects: dict[str, bytes] = {}
        self.puts: list[str] = []
        #: Names of actions of STS and Auto Scaling that were called; errors to come, by name.
        self.calls: list[str] = []
        self.errors: dict[str, list[tuple[int, str]]] = {}
        self.action: Action | None = None
        #: By how many seconds its clock is ahead of the instance's.
        self.ahead = 0.0
        self.url = ""

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The reports in S3, in the order in which they came; those of the history apart."""
        return [json.loads(self.objects[path]) for path in self.puts if "/reports/" in path and path in self.objects]

    def notice(self, seconds: float, now: float) -> None:
        """Let spot take the instance in so many seconds."""
        at = datetime.fromtimestamp(now + seconds, UTC)
        self.metadata[SPOT] = json.dumps({"action": "terminate", "time": f"{at:%Y-%m-%dT%H:%M:%SZ}"})

    def about_metadata(self, method: str, path: str, token: str) -> tuple[int, str]:
        if self.metadata_fails:
            return self.metadata_fails, ""
        if path == "api/token":
            self.tokens_given += 1
            self.tokens.add(f"token-{self.tokens_given}")
            return (200, f"token-{self.tokens_given}") if method == "PUT" else (405, "")
        if token not in self.tokens:
            return 401, ""
        if path == f"{_CREDENTIALS}worker-role":
            return 200, json.dumps({"AccessKeyId": self.key, "SecretAccessKey": "secret", "Token": "session"})
        return (200, self.metadata[path]) if path in self.metadata else (404, "")

    def about_s3(self, path: str, body: bytes) -> tuple[int, str]:
        if self.s3_down:
            return 503, _error("SlowDown")
        if self.s3_answers:
            answer = self.s3_answers.pop(0)
            return (answer, "") if isinstance(answer, int) else (answer[0], _error(answer[1]))
        if path in self.objects:
            return 412, _error("PreconditionFailed")
        self.objects[path] = body
        self.puts.append(path)
        return 200, ""

    def about_actions(self, form: dict[str, str]) -> tuple[int, str]:
        name = form["Action"]
        self.calls.append(name)
        if self.errors.get(name):
            status, code = self.errors[name].pop(0)
            return status, _error(code)
        if name == "GetCallerIdentity":
            return 200, f"<GetCallerIdentityResult><UserId>{ROLE_ID}:{ID}</UserId></GetCallerIdentityResult>"
        named = (form["AutoScalingGroupName"], form["LifecycleHookName"], form["InstanceId"])
        if named != ("worker-reports", "shipit-drain", ID) or self.action is None or not self.action.waits:
            return 400, _error("ValidationError")
        if name == "RecordLifecycleActionHeartbeat":
            self.action.beats.append(self.action.now())
            self.action.until = self.action.now() + self.action.timeout
        else:
            assert form["LifecycleActionResult"] == "CONTINUE"
            self.action.completed_at = self.action.now()
        return 200, ""


def _error(code: str) -> str:
    return f"<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>"


@contextmanager
def instance_aws() -> Iterator[InstanceAws]:
    """Serve an instance until the end of the block."""
    aws = InstanceAws()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536  # an answer is one packet: two would wait for each other on a connection that is kept

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(time.time() + aws.ahead)

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = urllib.parse.unquote(self.path)
            if path.startswith("/latest/"):
                token = self.headers.get("X-aws-ec2-metadata-token", "")
                status, text = aws.about_metadata(self.command, path.removeprefix("/latest/"), token)
            elif self.command == "POST":
                status, text = aws.about_actions(dict(urllib.parse.parse_qsl(body.decode())))
            else:
                assert self.headers["If-None-Match"] == "*"
                while aws.s3_hangs:
                    time.sleep(0.02)
                status, text = aws.about_s3(path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())
            self.wfile.flush()

        do_GET = do_PUT = do_POST = answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    aws.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield aws
    finally:
        aws.s3_hangs = False
        server.shutdown()
        server.server_close()
        thread.join()
