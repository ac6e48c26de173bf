"""The daemon is found by its very process, never by a pid that somebody else has now."""

import os
import subprocess
import sys
from pathlib import Path

from shipit.sandbox.lifecycle import Running, process_start


def running(pid: int, start: str) -> Running:
    return Running(pid=pid, process_start=start, url="http://127.0.0.1:1", digest="d")


def test_a_live_process_is_found_again(tmp_path: Path) -> None:
    mine = running(os.getpid(), process_start(os.getpid()))
    mine.write(tmp_path)
    assert Running.read(tmp_path) == mine
    Running.forget(tmp_path)
    assert Running.read(tmp_path) is None


def test_a_reused_pid_is_not_taken_for_the_daemon(tmp_path: Path) -> None:
    running(os.getpid(), "1").write(tmp_path)
    assert Running.read(tmp_path) is None


def test_a_dead_process_is_not_taken_for_the_daemon(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.DEVNULL)
    start = process_start(child.pid)
    child.wait()
    running(child.pid, start or "1").write(tmp_path)
    assert Running.read(tmp_path) is None


def test_a_damaged_record_is_no_daemon(tmp_path: Path) -> None:
    (tmp_path / "daemon.json").write_text("{")
    assert Running.read(tmp_path) is None


def test_finding_the_daemon_imports_nothing_heavy() -> None:
    code = "import sys, shipit.sandbox.lifecycle; print(*{'moto', 'duckdb', 'boto3', 'werkzeug'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == []
