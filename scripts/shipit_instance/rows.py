"""Make reports: what is installed, what really runs, and since when; one JSON object in a line."""

from __future__ import annotations

import json
import os
import time
from typing import NamedTuple

from shipit_instance.facts import Identity, Settings

#: Reasons whose reports are kept as history too.
HISTORIC = ("start", "deploy", "stop")


class Process(NamedTuple):
    """Describe a worker's process: `build` is empty where the process does not prove one.

    `ticks` (proc(5): field 22 of stat, since boot) and `pid` together are one process and no other.
    """

    pid: int
    ticks: int
    build: str
    started_at: str


class Report(NamedTuple):
    """Hold a report and where it goes: `s3://bucket/prefix/slot=…/`, and the same below the history's prefix."""

    reason: str
    milliseconds: int
    body: str
    targets: tuple[str, ...]


def read_process(pid: int) -> Process:
    """Look at a running process. Raises OSError where it is gone, or another user's and we are not root.

    The build is what its environment says, if the folder that it works in says the same: a file on the disk proves
    nothing about what runs.
    """
    environment = read_environment(pid)
    build = environment.get("SHIPIT_BUILD", "")
    if os.path.basename(os.readlink(f"/proc/{pid}/cwd")) != build:
        build = ""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        # The name before the last bracket may hold anything.
        ticks = int(file.read().rpartition(")")[2].split()[19])
    with open("/proc/stat", encoding="utf-8") as file:
        booted = next(int(line.split()[1]) for line in file if line.startswith("btime "))
    return Process(pid, ticks, build, timestamp(round((booted + ticks / os.sysconf("SC_CLK_TCK")) * 1000)))


def read_environment(pid: int) -> dict[str, str]:
    """Return what a process was started with. Raises OSError."""
    with open(f"/proc/{pid}/environ", "rb") as file:
        pairs = [pair.decode(errors="replace") for pair in file.read().split(b"\0")]
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def timestamp(milliseconds: int) -> str:
    """Return epoch milliseconds as UTC in a fixed width, so that such strings sort as the times do."""
    seconds, rest = divmod(milliseconds, 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:03d}Z"


def read_installed(home: str) -> dict[str, str]:
    """Return version, sha and digest of the build that `current` names; empty ones where none is to be read.

    A worker that runs is worth a report whatever became of the files.
    """
    found = {}
    try:
        with open(f"{home}/current/build.json", encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        pass
    return {
        name: str(found.get(name, "")) if isinstance(found, dict) else "" for name in ("version", "sha", "digest")
    }


def read_deployment(home: str, build: str) -> str:
    """Return the deployment that brought a build here last, by what AfterInstall noted; empty where it did not."""
    try:
        with open(f"{home}/deployments", encoding="utf-8", errors="replace") as file:
            found = [words[1] for line in file if len(words := line.split()) == 2 and words[0] == build]
    except OSError:
        return ""
    return found[-1] if found else ""


def make_report(
    reason: str,
    process: Process | None,
    *,
    home: str,
    settings: Settings,
    identity: Identity,
    deployment: str,
    milliseconds: int,
    started_at: str = "",
) -> Report:
    """Fill the columns of the table of reports; without a process nothing runs, and `started_at` is of the last one.

    Raises KeyError where instance.env does not say where reports go.
    """
    installed = read_installed(home)
    row = {
        "schema_version": 1,
        "instance_id": identity.instance_id,
        "asg": settings.text("SHIPIT_ASG"),
        "queue": settings.text("SHIPIT_QUEUE"),
        "az": identity.az,
        "lifecycle": identity.lifecycle,
        "deployment_id": deployment,
        "build": installed["version"],
        "git_sha": installed["sha"],
        "digest": installed["digest"],
        "running_build": process.build if process else "",
        "process_started_at": process.started_at if process else started_at,
        "reason": reason,
        "seq": int(time.monotonic() * 1000),  # settles the order of two reports of one millisecond
        "reported_at": timestamp(milliseconds),
    }
    reports = settings.text("SHIPIT_REPORTS")
    if not reports:
        raise KeyError("SHIPIT_REPORTS")
    at = time.gmtime(milliseconds // 1000)
    targets = [f"{reports.rstrip('/')}/slot={time.strftime('%Y-%m-%d-%H', at)}/"]
    history = settings.text("SHIPIT_HISTORY")
    if history and reason in HISTORIC:
        targets.append(f"{history.rstrip('/')}/day={time.strftime('%Y-%m-%d', at)}/")
    return Report(reason, milliseconds, json.dumps(row, separators=(",", ":")) + "\n", tuple(targets))
