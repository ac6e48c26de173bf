"""The units of an application's workers, as systemd sees them: `APP@BUILD.service`."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from shipit_instance.metadata import Failed

#: Seconds for an answer of systemctl, which is a matter of milliseconds.
_TIMEOUT = 10.0
_LIVE = ("active", "activating", "reloading", "deactivating")


@dataclass(frozen=True)
class Worker:
    """Describe a unit that is not dead: its state in systemd's words, and its main process, 0 without one."""

    unit: str
    state: str
    pid: int

    @property
    def consumes(self) -> bool:
        """Tell whether it works, and was not told to stop."""
        return self.state == "active" and self.pid > 0


class Systemd:
    """Ask systemd about the workers of one application, and let it stop them."""

    def __init__(self, app: str) -> None:
        """Look at the units of `app`."""
        self._pattern = f"{app}@*.service"

    def workers(self) -> list[Worker]:
        """Return the workers that run, start or stop. Raises Failed."""
        text = _run("show", "--property=Id,ActiveState,MainPID", self._pattern)
        found = []
        for block in text.split("\n\n"):
            values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            pid = values.get("MainPID", "0")
            if values.get("ActiveState") in _LIVE and values.get("Id"):
                found.append(Worker(values["Id"], values["ActiveState"], int(pid) if pid.isdigit() else 0))
        return found

    def stop(self, unit: str) -> None:
        """Let a unit stop, and stay stopped whatever its Restart= says; does not wait. Raises Failed."""
        _run("stop", "--no-block", unit)

    def kill(self, unit: str) -> None:
        """Kill (SIGKILL) all processes of a unit. Raises Failed."""
        _run("kill", "--signal=KILL", unit)


def _run(*words: str) -> str:
    try:
        done = subprocess.run(
            ("systemctl", *words), stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"systemctl {words[0]}: {error}") from error
    if done.returncode:
        raise Failed(f"systemctl {words[0]}: {done.stderr.decode(errors='replace').strip() or done.returncode}")
    return done.stdout.decode(errors="replace")
