"""The instances of a sandbox, by `workers`: folders in which hooks really run, or names that play a script."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

from shipit.models import Revision
from shipit.sandbox.agents import Agent, ScriptedAgent
from shipit.sandbox.clock import Clock
from shipit.sandbox.config import SandboxConfig
from shipit.sandbox.instance.agent import ProcessAgent
from shipit.sandbox.instance.facts import InstanceFacts
from shipit.sandbox.membership import Hosts


class Workers(Agent, Hosts, Protocol):
    """What the daemon needs of its instances: they come and go, run lifecycle events, and are looked up."""

    def find(self, instance_id: str) -> InstanceFacts | None:
        """Return the facts of an instance, None for an unknown one."""

    def is_watched(self, instance_id: str) -> bool:
        """Tell whether a watcher runs on the instance."""

    def kill(self, ids: Collection[str], pattern: str) -> int:
        """Kill the main processes of these instances' units that match, as the kernel does; return how many."""

    def close(self) -> None:
        """End everything that was started."""


class ScriptedWorkers(ScriptedAgent):
    """Play all instances by rules: thousands of them, without a process or a file."""

    def add(self, facts: InstanceFacts) -> None:
        """Do nothing: every instance is played already."""

    def remove(self, instance_id: str) -> None:
        """Do nothing; CodeDeploy itself is told of the death."""

    def find(self, instance_id: str) -> InstanceFacts | None:
        """Know nobody: no process runs that would ask for its metadata."""
        return None

    def is_watched(self, instance_id: str) -> bool:
        """Have no process that would watch."""
        return False

    def kill(self, ids: Collection[str], pattern: str) -> int:
        """Have no process that could be killed."""
        return 0

    def close(self) -> None:
        """Do nothing: the clock, which ends by itself, is all that runs."""


def make_workers(config: SandboxConfig, state: Path, clock: Clock, fetch: Callable[[Revision], bytes]) -> Workers:
    """Return instances of the kind that the configuration names; bundles come from `fetch`."""
    if config.workers == "scripted":
        return ScriptedWorkers(clock)
    return ProcessAgent(
        state,
        fetch,
        config.url,
        config.hook_processes,
        stub=config.workers == "stub",
        real_queues=config.real_queues,
        instance_env={"SHIPIT_HEARTBEAT": f"{config.heartbeat:g}", **config.instance_env},
    )
