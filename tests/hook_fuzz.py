"""Kill hooks at random points, run them again, and look each time whether the instance is still of one piece."""

from __future__ import annotations

import filecmp
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hook_host import Host, services
from instances import FACTS, ID

from shipit.sandbox.instance.processes import MARK, kill_marked
from shipit.sandbox.instance.systemctl import SystemctlServer
from shipit.sandbox.instance.units import Units, UnitState

HOOKS = ("before_install.sh", "after_install.sh", "application_start.sh", "validate_service.sh")
BUILDS = ("2026.11.22-100000-gaaa", "2026.11.23-100000-gbbb", "2026.11.24-100000-gccc")
APP = "worker"


@dataclass
class Tally:
    """Count what was done to the instance."""

    kills: dict[str, int] = field(default_factory=dict)
    #: Hooks that had ended before they were to be killed.
    missed: int = 0
    deployments: int = 0


class Broken(AssertionError):
    """Say what was no longer of one piece, and after what."""


class Victim:
    """An instance with the sandbox's stand-in for systemd, on which builds replace one another."""

    def __init__(self, host: Host, units: Units, rng: random.Random) -> None:
        self.host, self.units, self.rng = host, units, rng
        self.tally = Tally()
        #: Seconds that a restart of the same build may take, which the service manager ends whoever asked for it.
        self.moment = 10.0
        #: Seconds that each hook takes, by the last time that it ran to its end.
        self._takes = dict.fromkeys(HOOKS, 0.1)
        self._number = 0
        #: Whether a worker must run from now on.
        self._serves = False

    def deploy(self, build: str, *, kill: str = "") -> None:
        """Bring a build, by hooks of which one is killed somewhere on its way, and then run again. Raises Broken."""
        self._number += 1
        self.host.bundle = self.host.bundle.parent / f"archive-{build}"
        for name in HOOKS:
            if name == "after_install.sh":
                self.host.install()
            if name == kill:
                self._kill(name)
            self._run(name)
            self.check(f"{name} of {build}")
        self._serves = True
        self.tally.deployments += 1
        self._settle(build)

    def abandon(self, build: str, *, kill: str) -> None:
        """Kill a hook and leave it at that, as an instance that is rebooted in the middle does. Raises Broken."""
        self._number += 1
        self.host.bundle = self.host.bundle.parent / f"archive-{build}"
        for name in HOOKS:
            if name == "after_install.sh":
                self.host.install()
            if name == kill:
                self._kill(name)
                return
            self._run(name)

    def check(self, after: str) -> None:
        """Raise Broken where two builds are mixed, or none runs."""
        deadline = time.monotonic() + self.moment
        while wrong := self._wrong_worker():
            if time.monotonic() > deadline:
                raise Broken(f"after {after}: {wrong}")
            time.sleep(0.01)
        for name in self.host.named_releases:
            self._check_release(name, after)

    def _active(self) -> list[UnitState]:
        return [state for state in self.units.matching(f"{APP}@*.service") if state.active == "active"]

    def _wrong_worker(self) -> str:
        """Say what is wrong with the workers, for a moment perhaps: one may be about to end, or in its exec."""
        active = self._active()
        if self._serves and not active:
            return "no worker runs"
        for state in active:
            build = state.name.removeprefix(f"{APP}@").removesuffix(".service")
            try:
                environment = Path(f"/proc/{state.main_pid}/environ").read_bytes().split(b"\0")
                folder = os.readlink(f"/proc/{state.main_pid}/cwd")
            except OSError as error:
                return f"{state.name} cannot be looked at: {error}"
            if f"SHIPIT_BUILD={build}".encode() not in environment or folder != str(self.host.release(build)):
                return f"{state.name} runs in {folder}"
        return ""

    def _check_release(self, name: str, after: str) -> None:
        """Compare a release with the bundle that it came from, file by file, and its unit with it."""
        found = filecmp.dircmp(self.host.release(name), self.host.bundle.parent / f"archive-{name}")
        trees = [found]
        for tree in trees:
            _, differ, odd = filecmp.cmpfiles(tree.left, tree.right, tree.common_files, shallow=False)
            if differ or odd or tree.left_only or tree.right_only:
                what = [*differ, *odd, *tree.left_only, *tree.right_only]
                raise Broken(f"after {after}: {tree.left} is not as it was built: {what}")
            trees.extend(tree.subdirs.values())

    def _kill(self, name: str) -> None:
        """Start a hook and kill it, with all that it started, at some moment before it would have ended."""
        process = self._start(name)
        time.sleep(self.rng.uniform(0, self._takes[name]))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            self.tally.kills[name] = self.tally.kills.get(name, 0) + 1
        else:
            self.tally.missed += 1
        process.communicate()
        self.check(f"{name} was killed")

    def _run(self, name: str) -> None:
        began = time.monotonic()
        process = self._start(name)
        _, said = process.communicate()
        self._takes[name] = time.monotonic() - began
        if process.returncode:
            raise Broken(f"{name} fails when it runs again: {said.decode()}")

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        more = {"DEPLOYMENT_ID": f"d-{self._number}", "LIFECYCLE_EVENT": name}
        return subprocess.Popen(
            [str(self.host.bundle / "scripts" / name)],
            env=self.host.environment(more),
            cwd=self.host.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )

    def _settle(self, build: str) -> None:
        """Wait for what ends in its own time, and raise Broken unless this build is then all that runs."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            running = [state.name for state in self.units.matching(f"{APP}@*.service")]
            if running == [f"{APP}@{build}.service"]:
                break
            time.sleep(0.01)
        else:
            raise Broken(f"{build} was deployed, and {running} run")
        enabled = [name for name in BUILDS if self.units.is_enabled(f"{APP}@{name}.service")]
        if enabled != [build]:
            raise Broken(f"{build} was deployed, and a boot would start {enabled}")
        if os.readlink(self.host.home / "current") != f"releases/{build}":
            raise Broken(f"{build} was deployed, and current leads elsewhere")


def fuzz(victim: Victim, kills: int) -> Tally:
    """Deploy builds in turn until so many hooks were killed. Raises Broken at the first thing that is not right."""
    victim.deploy(BUILDS[0])
    while sum(victim.tally.kills.values()) < kills:
        build, hook = victim.rng.choice(BUILDS), victim.rng.choice(HOOKS)
        if victim.rng.random() < 0.3:
            victim.abandon(build, kill=hook)
        else:
            victim.deploy(build, kill=hook)
    victim.deploy(victim.rng.choice(BUILDS))
    return victim.tally


@contextmanager
def victim(folder: Path, seed: int, settings: Mapping[str, str] | None = None) -> Iterator[Victim]:
    """Lay out an instance below a folder, with the bundles of three builds."""
    root, programs = folder / "root", folder / "bin"
    for path in (root / "etc/shipit", root / "etc/systemd/system", programs):
        path.mkdir(parents=True)
    own = {"SHIPIT_SMOKE": "no", "SHIPIT_STABLE_SECONDS": "0", "SHIPIT_KEEP": "1", **(settings or {})}
    (root / "etc/shipit/instance.env").write_text(FACTS.env_file(own))
    (programs / "python3").symlink_to(sys.executable)
    with services() as (endpoint, s3):
        host = Host(root, folder / "answers", programs, endpoint, s3, folder / "agent/archive")
        environment = {**host.environment(), MARK: str(folder)}
        units = Units(root / "etc/systemd/system", environment, stub=True)
        systemctl = SystemctlServer({ID: units}.get)
        systemctl.write_client(programs, ID)
        for number, build in enumerate(BUILDS):
            host.bundle = folder / f"agent/archive-{build}"
            host.unpack(build, {"worker/number.py": f"NUMBER = {number}\n"})
        try:
            yield Victim(host, units, random.Random(seed))
        finally:
            units.close()
            kill_marked(folder)
            systemctl.close()
            shutil.rmtree(root, ignore_errors=True)
