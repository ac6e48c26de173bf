"""Nothing that an instance started outlives it, nor the daemon, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from instances import ID, Driver

from shipit.sandbox.instance.processes import MARK, clean_leftovers, kill_marked

ESCAPING = 'setsid sleep 600 >/dev/null 2>&1 </dev/null & echo $! >"$SHIPIT_ROOT/pid"'


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def note(driver: Driver) -> int:
    return int((driver.folder.root / "pid").read_text())


def sleeper(mark: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "600"], env={MARK: str(mark)})


def test_removing_an_instance_kills_what_its_hooks_left_in_other_sessions(driver: Driver) -> None:
    driver.hook(ESCAPING)
    pid = note(driver)
    assert alive(pid)
    driver.agent.remove(ID)
    assert not alive(pid)


def test_closing_the_agent_kills_units_and_leftovers(driver: Driver) -> None:
    driver.folder.units.joinpath("w.service").write_text("[Service]\nExecStart=/bin/true\n")
    driver.hook(f'systemctl start w; systemctl show -p MainPID --value w >"$SHIPIT_ROOT/unit"; {ESCAPING}')
    pids = [note(driver), int((driver.folder.root / "unit").read_text())]
    assert all(map(alive, pids))
    driver.agent.close()
    assert not any(map(alive, pids))


def test_only_the_marked_instance_is_killed(tmp_path: Path) -> None:
    one, other, longer = (sleeper(tmp_path / "instances" / name) for name in ("i-1", "i-2", "i-11"))
    assert kill_marked(tmp_path / "instances" / "i-1") == 1
    assert one.wait() == -signal.SIGKILL
    assert (other.poll(), longer.poll()) == (None, None)
    assert clean_leftovers(tmp_path) == 2
    assert (other.wait(), longer.wait()) == (-signal.SIGKILL, -signal.SIGKILL)


def test_another_states_processes_are_left_alone(tmp_path: Path) -> None:
    theirs = sleeper(tmp_path / "state-2" / "instances" / "i-1")
    assert clean_leftovers(tmp_path / "state") == 0
    assert theirs.poll() is None
    theirs.kill()
    theirs.wait()


def test_nothing_survives_a_daemon_that_is_killed(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from instances import FACTS, Driver, bundle
        from shipit.sandbox.instance.agent import ProcessAgent
        from shipit.sandbox.instance.folders import InstanceFolder
        state = Path({str(tmp_path)!r})
        bundles = {{}}
        agent = ProcessAgent(state, lambda revision: bundles[revision.key], "http://127.0.0.1:9")
        agent.add(FACTS)
        Driver(agent, InstanceFolder(state / "instances" / FACTS.id), bundles).hook({ESCAPING!r})
        print("ready", flush=True)
        time.sleep(600)
        """
    )
    folder = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[3])])
    daemon = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": folder}, stdout=subprocess.PIPE
    )
    assert daemon.stdout
    assert daemon.stdout.readline() == b"ready\n"
    pid = int((tmp_path / "instances" / ID / "root" / "pid").read_text())
    assert alive(pid)
    daemon.kill()
    daemon.wait()
    daemon.stdout.close()
    while alive(pid):  # until the reaper has seen it: a test that hangs here has failed
        time.sleep(0.01)
