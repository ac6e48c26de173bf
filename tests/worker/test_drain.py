"""drain.py takes any process through its stages, with a pidfd and without."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery_workers import SCRIPTS
from daemons import eventually

DRAIN = runpy.run_path(str(SCRIPTS / "drain.py"))
PROCESS = r"""
import os, signal, sys, time
def note(number, _):
    os.write(1, signal.Signals(number).name.encode() + b"\n")
    if signal.Signals(number).name == sys.argv[2]:
        sys.exit()
for name in sys.argv[1].split():
    signal.signal(getattr(signal, name), note)
print("up", flush=True)
while True:
    time.sleep(0.05)
"""


class Process:
    """A process that handles some signals, ends at one of them, and says which it got."""

    def __init__(self, handled: str, ends: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PROCESS, handled, ends], stdout=subprocess.PIPE, text=True
        )
        assert self.popen.stdout
        assert self.popen.stdout.readline() == "up\n"

    def got(self) -> list[str]:
        self.popen.kill()
        self.popen.wait()
        assert self.popen.stdout
        return self.popen.stdout.read().split()


@pytest.fixture(params=["ByDescriptor", "ByNumber"])
def by(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Run `drain` with each way to hold a process."""
    kind = DRAIN[request.param]
    drain = DRAIN["drain"]
    before = drain.__globals__["opened"]
    drain.__globals__["opened"] = kind
    yield drain
    drain.__globals__["opened"] = before


def test_each_stage_begins_only_when_the_one_before_did_not_do(by: Any) -> None:
    process = Process("SIGUSR2 SIGTERM SIGQUIT", "SIGQUIT")
    # Apart: Python calls the handlers of signals that arrive together in the order of their numbers.
    assert by(process.popen.pid, 1, 1, 20) == "cold"
    assert process.got() == ["SIGUSR2", "SIGTERM", "SIGQUIT"]


def test_a_stage_ends_when_the_process_does(by: Any) -> None:
    for ends, how in (("SIGUSR2", "warm"), ("SIGTERM", "warm")):
        process = Process("SIGUSR2 SIGTERM", ends)
        assert by(process.popen.pid, 0.2 if ends == "SIGTERM" else 600, 600, 600) == how


def test_a_process_that_does_not_handle_usr2_is_not_sent_it(by: Any) -> None:
    process = Process("SIGTERM", "SIGTERM")
    assert by(process.popen.pid, 600, 600, 600) == "warm"
    assert process.got() == ["SIGTERM"]


def test_a_process_that_ends_at_nothing_is_left_alive(by: Any) -> None:
    process = Process("SIGUSR2 SIGTERM SIGQUIT", "none")
    assert by(process.popen.pid, 0.1, 0.1, 0.1) == "alive"
    assert process.popen.poll() is None
    process.got()


def test_a_process_that_has_ended_but_is_not_reaped_is_gone(by: Any) -> None:
    process = Process("SIGTERM", "SIGTERM")
    process.popen.send_signal(signal.SIGTERM)
    eventually(lambda: DRAIN["began"](process.popen.pid) is None)
    assert by(process.popen.pid, 1, 1, 1) == "gone"
    process.got()


def test_two_drains_of_one_process_send_one_quit(by: Any) -> None:
    process = Process("SIGUSR2 SIGTERM SIGQUIT", "none")
    threads = [threading.Thread(target=by, args=(process.popen.pid, 0.1, 0.2, 1.0)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert process.got().count("SIGQUIT") == 1


def test_a_number_that_another_process_has_now_is_not_sent_a_signal() -> None:
    process = Process("SIGTERM", "SIGTERM")
    held = DRAIN["ByNumber"](process.popen.pid)
    held._began = "1"  # as if the process that was meant had been started at another time
    with pytest.raises(ProcessLookupError):
        held.send(signal.SIGTERM)
    assert held.ended(600)
    assert process.got() == []


def run(*words: str, folder: Path = SCRIPTS, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SHIPIT_")}
    return subprocess.run(
        [sys.executable, "-I", "-S", str(folder / "drain.py"), *words],
        env=kept | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("words", [("--pid",), ("--pid", ""), ()], ids=str)
def test_without_a_process_there_is_nothing_to_do(words: tuple[str, ...]) -> None:
    ran = run(*words)
    assert (ran.returncode, json.loads(ran.stdout)) == (0, {"how": "gone", "seconds": 0.0})


@pytest.mark.parametrize("pid", ["0", "1", "-5", "x"])
def test_what_cannot_be_a_worker_is_refused(pid: str) -> None:
    assert run(f"--pid={pid}").returncode == 2


def test_flags_go_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "drain.py").write_text((SCRIPTS / "drain.py").read_text())
    (tmp_path / "defaults.env").write_text("# s\nSHIPIT_DRAIN_WAIT=1\nSHIPIT_DRAIN_GRACE=600\nSHIPIT_DRAIN_COLD=x\n")
    process = Process("SIGUSR2 SIGTERM SIGQUIT", "SIGQUIT")
    ran = run("--pid", str(process.popen.pid), "--cold", "20", folder=tmp_path, SHIPIT_DRAIN_GRACE="1")
    assert (ran.returncode, json.loads(ran.stdout)["how"]) == (0, "cold")
    assert process.got() == ["SIGUSR2", "SIGTERM", "SIGQUIT"]


def test_a_file_that_says_nonsense_leaves_what_is_built_in() -> None:
    assert DRAIN["default"]("COLD") > 0
