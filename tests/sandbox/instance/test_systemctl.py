"""The stand-in starts, stops and shows units as systemctl does, also through its program on the PATH."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from instances import Driver

from shipit.sandbox.instance.systemctl import SystemctlServer, run
from shipit.sandbox.instance.units import Units

UNIT = "worker@1.service"


class Machine:
    """Write units and call systemctl in process; programs are small shell scripts."""

    def __init__(self, folder: Path, *, stub: bool) -> None:
        self.folder = folder
        self.units = Units(folder, {"PATH": os.defpath}, stub=stub, journal=folder)

    def write(self, script: str = "exec sleep 600", settings: str = "KillMode=mixed") -> None:
        program = self.folder / "program"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        head = f"[Unit]\nDescription=build %i\n[Service]\nExecStart={program}\nWorkingDirectory={self.folder}\n"
        (self.folder / "worker@.service").write_text(f"{head}{settings}\n")

    def __call__(self, line: str) -> tuple[int, str, str]:
        return run(self.units, line.split())

    @property
    def pid(self) -> int:
        return int(self(f"show -p MainPID --value {UNIT}")[1])


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path, stub=False)
    yield machine
    machine.units.close()


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path, stub=True)
    yield machine
    machine.units.close()


def test_a_started_unit_is_active_and_a_stopped_one_is_not(real: Machine) -> None:
    real.write()
    assert real("start worker@1") == (0, "", "")
    assert real("is-active worker@1") == (0, "active\n", "")
    pid = real.pid
    assert real("stop worker@1") == (0, "", "")
    assert real("is-active worker@1") == (3, "inactive\n", "")
    assert not Path(f"/proc/{pid}").exists()


def test_starting_an_active_unit_changes_nothing(real: Machine) -> None:
    real.write()
    real("start worker@1")
    pid = real.pid
    assert real("start worker@1")[0] == 0
    assert real.pid == pid


def test_a_restart_makes_a_new_process(real: Machine) -> None:
    real.write()
    real("start worker@1")
    pid = real.pid
    assert real("restart worker@1")[0] == 0
    assert real.pid not in (0, pid)


def test_a_unit_that_dies_is_failed(real: Machine) -> None:
    real.write("exit 3")
    real("start worker@1")
    while real("is-failed worker@1")[0]:
        pass_time()
    assert real("list-units worker@*")[1] == "worker@1.service loaded failed failed build 1\n"
    assert real.pid == 0


def test_a_notify_unit_is_ready_when_it_says_so(real: Machine) -> None:
    real.write(notifying("READY=1"), "Type=notify\nKillMode=mixed")
    assert real("start worker@1") == (0, "", "")
    assert real("is-active worker@1")[0] == 0


def test_a_notify_unit_that_exits_first_fails_the_start(real: Machine) -> None:
    real.write("exit 4", "Type=notify")
    code, _, error = real("start worker@1")
    assert (code, error) == (1, "Failed to start: Job for worker@1.service failed: main process exited with 4.")
    assert real("is-active worker@1") == (3, "failed\n", "")


def test_a_notify_unit_that_never_gets_ready_fails_and_is_killed(real: Machine) -> None:
    real.write(notifying("STATUS=READY=1 soon"), "Type=notify\nTimeoutStartSec=300ms")
    assert "timed out" in real("start worker@1")[2]
    assert real.pid == 0


def test_mixed_sends_sigterm_to_the_main_process_alone(real: Machine) -> None:
    child = 'sh -c "trap \\"echo term >>log; exit\\" TERM; echo up >>log; while :; do sleep 0.05; done" &'
    real.write(f"{child} trap 'echo main >>log; exit' TERM; while :; do sleep 0.05; done")
    real("start worker@1")
    wait_for(real.folder / "log", "up")
    real("stop worker@1")
    assert (real.folder / "log").read_text().split() == ["up", "main"]


def test_control_group_sends_sigterm_to_all(real: Machine) -> None:
    child = 'sh -c "trap \\"echo child >>log; exit\\" TERM; echo up >>log; while :; do sleep 0.05; done" &'
    real.write(f"{child} trap 'wait; echo main >>log; exit' TERM; while :; do sleep 0.05; done", "")
    real("start worker@1")
    wait_for(real.folder / "log", "up")
    real("stop worker@1")
    assert (real.folder / "log").read_text().split() == ["up", "child", "main"]


def test_a_unit_that_ignores_sigterm_is_killed_after_its_time(real: Machine) -> None:
    real.write("trap '' TERM; touch up; while :; do sleep 0.05; done", "KillMode=mixed\nTimeoutStopSec=200ms")
    real("start worker@1")
    wait_for(real.folder / "up")
    real("stop worker@1")
    assert real("is-active worker@1")[1] == "inactive\n"


def test_without_blocking_a_stop_and_a_start_go_on_behind(real: Machine) -> None:
    real.write("trap 'while [ ! -e go ]; do sleep 0.05; done; exit' TERM; touch up; while :; do sleep 0.05; done")
    real("start worker@1")
    wait_for(real.folder / "up")
    assert real("disable --now --no-block worker@1") == (0, "", "")
    while real("is-active worker@1")[1] != "deactivating\n":
        pass_time()
    assert real("list-units worker@*")[1].split()[2] == "deactivating"
    assert real("start --no-block worker@1") == (0, "", "")
    (real.folder / "go").touch()
    while real("is-active worker@1")[1] != "active\n":
        pass_time()
    real("stop worker@1")
    assert real("list-units worker@*")[1] == ""
    assert real("start --no-block worker@") == (0, "", ""), "nobody hears of it"


def test_a_stub_has_the_units_environment_and_folder_but_not_its_program(stub: Machine) -> None:
    stub.write("touch ran", "Environment=SHIPIT_BUILD=%i")
    assert stub("start worker@1")[0] == 0
    # Empty for the moment in which the kernel puts one program in another's place.
    while not (environment := Path(f"/proc/{stub.pid}/environ").read_bytes()):
        pass_time()
    assert b"SHIPIT_BUILD=1\0" in environment
    assert os.readlink(f"/proc/{stub.pid}/cwd") == str(stub.folder)
    assert not (stub.folder / "ran").exists()


def test_a_stub_of_a_program_that_is_not_there_fails_as_the_program_would(stub: Machine) -> None:
    stub.write()
    (stub.folder / "program").unlink()
    assert "203/EXEC" in stub("start worker@1")[2]


def test_a_folder_that_is_not_there_fails_the_start(stub: Machine) -> None:
    stub.write(settings="WorkingDirectory=/no/such/folder")
    assert "200/CHDIR" in stub("start worker@1")[2]


def test_what_a_program_prints_is_kept_across_its_restarts(real: Machine) -> None:
    real.write("echo out; echo err >&2; exec sleep 600")
    journal = real.folder / f"{UNIT}.log"
    real("start worker@1")
    wait_for(journal, "err")
    real("restart worker@1")
    while journal.read_text().count("err") < 2:
        pass_time()
    assert journal.read_text() == "out\nerr\n" * 2


def test_a_worker_that_is_killed_is_started_anew_and_counted(real: Machine) -> None:
    real.write(settings="KillMode=mixed\nRestart=on-failure\nRestartSec=50ms")
    real("start worker@1")
    pid = real.pid
    assert real.units.kill("worker@*.service") == 1
    while real.pid in (0, pid):
        pass_time()
    assert real("show -p NRestarts,ActiveState worker@1")[1] == "NRestarts=1\nActiveState=active\n"


def test_the_children_of_a_killed_worker_die_with_it(real: Machine) -> None:
    real.write("sleep 600 & echo $! >child; exec sleep 600", "KillMode=mixed\nRestart=on-failure\nRestartSec=0")
    real("start worker@1")
    wait_for(real.folder / "child", "\n")
    child = int((real.folder / "child").read_text())
    real.units.kill("worker@*.service")
    while alive(child):
        pass_time()


def test_a_worker_that_ends_well_is_not_started_again_on_failure(real: Machine) -> None:
    real.write("while [ ! -e go ]; do sleep 0.02; done", "Restart=on-failure\nRestartSec=0")
    real("start worker@1")
    (real.folder / "go").touch()
    while real("is-active worker@1")[1] != "inactive\n":
        pass_time()
    assert real("show -p NRestarts --value worker@1")[1] == "0\n"


def test_a_stop_ends_what_restart_would_bring_back(real: Machine) -> None:
    real.write("echo up; exit 1", "Restart=always\nRestartSec=50ms")
    real("start worker@1")
    wait_for(real.folder / f"{UNIT}.log", "up\nup\n")
    real("stop worker@1")
    before = (real.folder / f"{UNIT}.log").read_text()
    subprocess.run(["sleep", "0.3"], check=True)
    assert (real.folder / f"{UNIT}.log").read_text() == before
    assert real("is-active worker@1")[1] == "inactive\n"


def test_a_stop_runs_execstop_with_the_main_pid_before_any_signal(real: Machine) -> None:
    drain = real.folder / "drain"
    drain.write_text("#!/bin/sh\necho drain $1 $2 $SHIPIT_BUILD\nkill -USR1 $1\n")
    drain.chmod(0o755)
    real.write(
        "trap 'echo usr1; exit' USR1; trap 'echo term; exit' TERM; echo up; while :; do sleep 0.02; done",
        f"KillMode=mixed\nEnvironment=SHIPIT_BUILD=%i\nExecStop={drain} $MAINPID ${{SHIPIT_BUILD}}",
    )
    real("start worker@1")
    journal = real.folder / f"{UNIT}.log"
    wait_for(journal, "up")
    pid = real.pid
    real("stop worker@1")
    assert journal.read_text().splitlines() == ["up", f"drain {pid} 1 1", "usr1"]


def test_an_execstop_that_hangs_or_is_not_there_does_not_hold_the_stop_up(real: Machine) -> None:
    real.write(settings="KillMode=mixed\nTimeoutStopSec=200ms\nExecStop=-/no/such\nExecStop=/bin/sleep 600")
    real("start worker@1")
    assert real("stop worker@1")[0] == 0
    assert real("is-active worker@1")[1] == "inactive\n"


def test_an_unknown_unit_is_code_five(stub: Machine) -> None:
    assert stub("start nothing") == (5, "", "Failed to start: Unit nothing.service not found.")
    assert stub("stop nothing")[0] == 5


def test_an_unknown_verb_is_named(stub: Machine) -> None:
    assert stub("isolate rescue") == (1, "", "Unknown command verb isolate.")
    assert stub("")[0] == 1


def test_enabling_is_recorded(stub: Machine) -> None:
    stub.write()
    assert stub("is-enabled worker@1") == (1, "disabled\n", "")
    assert stub("enable --now --quiet worker@1") == (0, "", "")
    assert stub("is-enabled worker@1") == (0, "enabled\n", "")
    assert stub("is-active -q worker@1") == (0, "", "")
    stub("disable worker@1")
    assert stub("is-enabled worker@1")[0] == 1


def test_show_prints_the_properties_asked_for(stub: Machine) -> None:
    stub.write()
    stub("start worker@1")
    pid = stub.pid
    assert stub("show --property=ActiveState,MainPID,NRestarts worker@1")[1] == (
        f"ActiveState=active\nMainPID={pid}\nNRestarts=0\n"
    )
    assert stub("show -p MainPID --value worker@2")[1] == "0\n"


def test_show_takes_a_pattern_and_leaves_a_line_between_units(stub: Machine) -> None:
    stub.write()
    assert stub("show --property=Id,ActiveState worker@*.service") == (0, "", "")
    stub("start worker@1 worker@2 worker@3")
    stub("stop worker@2")
    assert stub("show --property=Id,ActiveState worker@*.service")[1] == (
        "Id=worker@1.service\nActiveState=active\n\nId=worker@3.service\nActiveState=active\n"
    )


def test_a_restart_on_trial_leaves_a_unit_that_does_not_run_alone(real: Machine) -> None:
    real.write()
    assert real("try-restart worker@1")[0] == 0
    assert real.pid == 0
    real("start worker@1")
    pid = real.pid
    assert real("try-restart --no-block worker@1")[0] == 0
    while real.pid in (0, pid):
        pass_time()


def test_kill_signals_a_unit(real: Machine) -> None:
    real.write()
    assert real("kill --signal=KILL worker@1")[0] == 0
    real("start worker@1")
    real("kill --signal=KILL worker@1")
    while real("is-failed worker@1")[0]:
        pass_time()


def test_what_a_unit_wants_is_started_with_it_and_cannot_fail_it(real: Machine) -> None:
    real.write(settings="[Unit]\nWants=network-online.target broken.service helper.service")
    helper = f"[Service]\nExecStart={real.folder}/program\n"
    (real.folder / "helper.service").write_text(helper)
    (real.folder / "broken.service").write_text("[Service]\nExecStart=/nowhere\n")
    assert real("start worker@1")[0] == 0
    assert real("is-active helper")[0] == 0
    assert real("is-active broken")[0] == 3


def test_a_stub_wants_nothing(stub: Machine) -> None:
    stub.write(settings="[Unit]\nWants=helper.service")
    (stub.folder / "helper.service").write_text(f"[Service]\nExecStart={stub.folder}/program\n")
    stub("start worker@1")
    assert stub("is-active helper")[0] == 3


def test_status_says_whether_it_runs(stub: Machine) -> None:
    stub.write()
    assert stub("status worker@1")[0] == 3
    stub("start worker@1")
    code, text, _ = stub("status worker@1")
    assert code == 0
    assert "build 1" in text


def test_nothing_starts_once_the_instance_is_gone(stub: Machine) -> None:
    stub.write()
    stub.units.close()
    assert "the instance is gone" in stub("start worker@1")[2]


def test_a_hook_calls_it_by_name(driver: Driver) -> None:
    driver.folder.units.joinpath("worker@.service").write_text("[Service]\nExecStart=/bin/true\n")
    outcome = driver.hook(
        "systemctl start worker@1 && systemctl list-units 'worker@*'; systemctl start gone; exit $?"
    )
    assert outcome.message.endswith("exit code 5")
    assert "[stdout]worker@1.service loaded active running worker@1.service\n" in outcome.log_tail
    assert "[stderr]Failed to start: Unit gone.service not found.\n" in outcome.log_tail


def test_the_program_says_so_when_the_sandbox_is_gone(tmp_path: Path) -> None:
    server = SystemctlServer(lambda _: None)
    server.write_client(tmp_path, "i-1")
    client = [str(tmp_path / "systemctl"), "is-active", "x"]
    gone = subprocess.run(client, capture_output=True, text=True, check=False)
    assert (gone.returncode, gone.stderr) == (1, "the instance is gone\n")
    server.close()
    closed = subprocess.run(client, capture_output=True, text=True, check=False)
    assert (closed.returncode, "the sandbox is not running" in closed.stderr) == (1, True)


def notifying(message: str) -> str:
    """Return a script that sends a message to systemd's socket, and stays."""
    program = (
        "import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
        f"s.sendto(b'{message}', os.environ['NOTIFY_SOCKET'].replace('@', chr(0), 1))"
    )
    return f'{sys.executable} -I -S -c "{program}"; exec sleep 600'


def alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(path: Path, text: str = "") -> None:
    while not path.exists() or text not in path.read_text():
        pass_time()


def pass_time() -> None:
    """Let other processes work before the next look."""
    subprocess.run(["sleep", "0.01"], check=True)
