"""A machine of its own for units: a real systemd as the first process of its own namespaces.

It shares this machine's files, but for /run, /opt, /var/lib and /var/log (empty), /etc (a copy) and the unit files
(none), and its network, so that servers on loopback can be reached. Nothing that it does is seen outside. It boots
in a third of a second.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path

SYSTEMD = Path("/lib/systemd/systemd")
_CGROUPS = Path("/sys/fs/cgroup")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Just enough for services that want to be started at boot, and to be ordered after the network.
_TARGETS = ("sysinit", "basic", "shutdown", "network-online", "multi-user")
_BOOT = """
set -eu
mount --make-rprivate /
mount -t proc proc /proc
for folder in /run /opt /var/lib /var/log; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
mkdir /run/lock
mount --bind {folder}/etc /etc
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
{mount_cgroup}
exec env -i container=test PATH={path} SYSTEMD_UNIT_PATH={folder}/units:/etc/systemd/system \
  {systemd} --system --log-target=console --log-level=info --show-status=no --unit=basic.target
"""


class NoMachine(Exception):
    """Say why no systemd can run here."""


class Machine:
    """Boot a systemd with no units but a few targets. Close it, and everything it ran is gone."""

    def __init__(self, folder: Path) -> None:
        """Keep its files in `folder`, an empty one. Raises NoMachine where this machine does not allow it."""
        if os.getuid() != 0:
            raise NoMachine("only root can make the namespaces of a systemd")
        if not SYSTEMD.is_file() or not shutil.which("unshare") or not shutil.which("nsenter"):
            raise NoMachine("systemd or util-linux is not installed")
        self._log = folder / "boot.log"
        self._prepare(folder)
        self._cgroup, mount = _cgroup()
        boot = _BOOT.format(folder=shlex.quote(str(folder)), mount_cgroup=mount, path=_PATH, systemd=SYSTEMD)
        enter = f'echo $$ >{self._cgroup}/cgroup.procs && exec unshare "$@"'
        flags = ["--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--cgroup"]
        with self._log.open("wb") as log:
            self._outside = subprocess.Popen(
                ["sh", "-c", enter, "sh", *flags, "sh", "-c", boot],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._pid = self._first_process()
        except NoMachine:
            self.close()
            raise

    @property
    def root(self) -> Path:
        """Return where its files are seen from outside."""
        return Path(f"/proc/{self._pid}/root")

    def run(
        self, *command: str, env: dict[str, str] | None = None, cwd: str = "/", timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root, with this environment and a PATH."""
        inside = ["nsenter", "--target", str(self._pid), "--all", f"--wdns={cwd}", "--", *command]
        return subprocess.run(
            inside,
            env={"PATH": _PATH, "LANG": "C.UTF-8", **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def systemctl(self, *words: str) -> str:
        """Return what systemctl prints, whatever its exit code is."""
        return self.run("systemctl", *words).stdout.strip()

    def close(self) -> None:
        """Pull the plug."""
        with contextlib.suppress(ProcessLookupError):
            self._outside.send_signal(signal.SIGKILL)  # --kill-child: the systemd dies with it, and with that all
        self._outside.wait()
        deadline = time.monotonic() + 10
        while self._cgroup.exists() and time.monotonic() < deadline:
            _remove(self._cgroup)
            time.sleep(0.02)

    def _prepare(self, folder: Path) -> None:
        shutil.copytree("/etc", folder / "etc", symlinks=True, ignore=_only_needed)
        (folder / "etc/systemd/system").mkdir(parents=True)
        (folder / "units").mkdir()
        for name in _TARGETS:
            unit = f"[Unit]\nDescription={name}\nDefaultDependencies=no\n"
            (folder / "units" / f"{name}.target").write_text(unit)

    def _first_process(self) -> int:
        """Wait until the systemd answers, and return its pid as seen from outside."""
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline and self._outside.poll() is None:
            children = Path(f"/proc/{self._outside.pid}/task/{self._outside.pid}/children").read_text().split()
            if children:
                self._pid = int(children[0])
                if self.systemctl("is-active", "basic.target") == "active":
                    return self._pid
            time.sleep(0.02)
        said = " ".join(self._log.read_text(errors="replace").split())
        raise NoMachine(f"systemd does not start here: {said[-400:]}")


def _only_needed(folder: str, names: list[str]) -> set[str]:
    """Leave the units of this machine out."""
    return {"system"} & set(names) if folder == "/etc/systemd" else set()


def _cgroup() -> tuple[Path, str]:
    """Make a control group to start in, and say how to see it, and nothing above it, from within."""
    if (_CGROUPS / "cgroup.controllers").exists():
        top, mount = _CGROUPS, "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
    elif (_CGROUPS / "systemd").is_dir():
        top = _CGROUPS / "systemd"
        mount = "mkdir /sys/fs/cgroup/systemd && mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd"
    else:
        raise NoMachine("no control groups that a systemd could use")
    made = top / f"shipit-test-{uuid.uuid4().hex[:8]}"
    try:
        made.mkdir()
    except OSError as error:
        raise NoMachine(f"control groups cannot be made: {error.strerror}") from error
    return made, mount


def _remove(cgroup: Path) -> None:
    for folder, _, _ in os.walk(cgroup, topdown=False):
        with contextlib.suppress(OSError):  # its processes are still going
            os.rmdir(folder)
