"""Measure a rollout's makespan against its slowest group, and count its AWS calls, in a scripted sandbox.

usage: python benchmarks/rollout.py [GROUPS [INSTANCES [SLOWEST_SECONDS]]] [--throttle SHARE]      default: 50 200 120

Instances run no processes; the groups take between half of the slowest's time and all of it. The makespan is that of
`inv deploy`'s rollout, the slowest group's time CodeDeploy's own, created to completed. Goal: a ratio of at most
1.05, and of 1.15 where CodeDeploy throttles 30 % of the calls (--throttle 0.3). The daemon counts the calls of the
busiest second, which the configured rate must not be below.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import boto3

from shipit.sandbox import lifecycle
from shipit.sandbox.agents import LIFECYCLE
from shipit.settings import load

ROOT = Path(__file__).resolve().parent.parent
TOML = """
application = "worker"
bucket = "shipit-benchmark"
default-env = "sandbox"

[env.sandbox.sandbox]
port = {port}
queues = {groups}
instances = {instances}
workers = "scripted"
"""


def inv(folder: Path, *words: str) -> str:
    """Run a task in `folder` and return what it printed; ends the benchmark where it fails."""
    ended = subprocess.run([sys.executable, "-m", "invoke", *words], cwd=folder, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"inv {' '.join(words)}: exit {ended.returncode}\n{ended.stdout[-2000:]}\n{ended.stderr}")
    return ended.stdout


def prepare(folder: Path, groups: int, instances: int) -> int:
    """Make a project of few files with a sandbox of its own; return its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (folder / "shipit.toml").write_text(TOML.format(port=port, groups=groups, instances=instances))
    (folder / "tasks.py").write_text("from shipit.tasks import namespace\n\n__all__ = ['namespace']\n")
    (folder / ".gitignore").write_text(".shipit/\n__pycache__/\n")
    git = ["git", "-c", "user.name=b", "-c", "user.email=b@example.invalid", "-C", str(folder)]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "benchmark"]):
        subprocess.run([*git, *words], check=True)
    return port


def rules(names: list[str], slowest: float) -> list[dict[str, object]]:
    """Give each group a duration from half of `slowest` to all of it, spread over the lifecycle events."""
    step = slowest / 2 / max(1, len(names) - 1)
    return [
        {"group": name, "seconds": (slowest / 2 + n * step) / len(LIFECYCLE)} for n, name in enumerate(sorted(names))
    ]


def slowest_group(url: str, ids: list[str]) -> float:
    """Return the longest time from creation to completion, in seconds."""
    client = boto3.client(
        "codedeploy", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    longest = 0.0
    for start in range(0, len(ids), 25):
        for info in client.batch_get_deployments(deploymentIds=ids[start : start + 25])["deploymentsInfo"]:
            longest = max(longest, (info["completeTime"] - info["createTime"]).total_seconds())
    return longest


def main(groups: int, instances: int, slowest: float, throttle: float) -> None:
    """Run one rollout and print its figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"http://127.0.0.1:{prepare(folder, groups, instances)}"
        inv(folder, "sandbox.start")
        try:
            planned = [json.loads(line) for line in inv(folder, "plan", "--json").splitlines()]
            names = [g["group"]["name"] for g in planned[-1]["plan"]["groups"]]
            lifecycle.request(url, "script", {"rules": rules(names, slowest)})
            if throttle:
                lifecycle.request(url, "throttle", {"probability": throttle, "seed": 1})
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            lines = inv(folder, "deploy", "--no-verify", "--json").splitlines()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            events: list[dict[str, Any]] = [json.loads(line) for line in lines]
            counted = lifecycle.request(url, "calls")
            lifecycle.request(url, "throttle", {})
            started = [e for e in events if e["event"] == "group_started"]
            finished = next(e for e in events if e["event"] == "rollout_finished")
            longest = slowest_group(url, [e["deployment_id"] for e in started])
        finally:
            inv(folder, "sandbox.stop")
    makespan = finished["seconds"]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    reads = finished["calls"].get("BatchGetDeployments", 0)
    print(
        f"{groups} groups, {instances} instances: makespan {makespan:.1f} s, slowest group {longest:.1f} s,", end=" "
    )
    print(f"ratio {makespan / longest:.3f}")
    print(f"calls: {finished['calls']}; {reads} reads at {math.ceil(groups / 25)} a tick at most")
    print(
        f"busiest second: {counted['busiest_second']} calls of CodeDeploy, at most "
        f"{load(start=ROOT).rollout.max_rate:.0f} configured; {sum(counted['refused'].values())} of "
        f"{sum(counted['calls'].values())} throttled"
    )
    print(f"inv deploy: {cpu:.1f} s of CPU ({100 * cpu / makespan:.0f} % of a core), {after.ru_maxrss // 1024} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", type=int, nargs="?", default=50)
    parser.add_argument("instances", type=int, nargs="?", default=200)
    parser.add_argument("slowest", type=float, nargs="?", default=120.0)
    parser.add_argument("--throttle", type=float, default=0.0)
    given = parser.parse_args()
    main(given.groups, given.instances, given.slowest, given.throttle)
