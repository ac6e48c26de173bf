"""The daemon is found by its very process, never by a pid that somebody else has now."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from shipit.sandbox.running import Running, process_start, request


def running(pid: int, start: str) -> Running:
    return Running(pid=pid, process_start=start, url="http://127.0.0.1:1")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_live_process_is_found_again(tmp_path: Path) -> None:
    mine = running(os.getpid(), process_start(os.getpid()))
    mine.write(tmp_path)
    assert Running.read(tmp_path) == mine
    Running.forget(tmp_path)
    assert Running.read(tmp_path) is None


def test_a_reused_pid_is_not_taken_for_the_daemon(tmp_path: Path) -> None:
    running(os.getpid(), "1").write(tmp_path)
    assert Running.read(tmp_path) is None


def test_a_dead_process_is_not_taken_for_the_daemon(tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
    dead = running(child.pid, process_start(child.pid))
    dead.write(tmp_path)
    child.kill()
    child.wait()
    assert Running.read(tmp_path) is None
    assert dead.wait(0)


@pytest.mark.parametrize("text", ["{", "[]", '{"pid": 1}', '{"pid": 1, "process_start": "1", "url": "", "more": 1}'])
def test_a_damaged_record_is_no_daemon(tmp_path: Path, text: str) -> None:
    (tmp_path / "daemon.json").write_text(text)
    assert Running.read(tmp_path) is None


def test_only_the_recorded_process_is_signalled(child: subprocess.Popen[bytes]) -> None:
    other = running(child.pid, "1")
    other.send(signal.SIGKILL)
    assert other.wait(0)
    found = running(child.pid, process_start(child.pid))
    assert not found.wait(0)
    found.send(signal.SIGKILL)
    assert found.wait(10)
    assert child.wait() == -signal.SIGKILL


class _Babbler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"hm?")

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_whoever_does_not_answer_as_a_sandbox_is_an_os_error() -> None:
    with HTTPServer(("127.0.0.1", 0), _Babbler) as server:
        Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(OSError, match="does not answer as a sandbox does"):
            request(f"http://127.0.0.1:{server.server_port}", "status")
    with pytest.raises(OSError, match="refused"):
        request(f"http://127.0.0.1:{server.server_port}", "status")


def test_finding_the_daemon_imports_nothing_heavy() -> None:
    code = "import sys, shipit.sandbox.lifecycle; print(*{'moto', 'duckdb', 'boto3', 'werkzeug'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == []
