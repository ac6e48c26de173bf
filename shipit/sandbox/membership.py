"""Keep the instances and CodeDeploy in step with what moto's Auto Scaling groups hold.

moto has an instance InService the moment it is launched: no Pending state and no waiting launch hook. A launch
deployment therefore runs on an instance that already counts, and its failure does not abandon it.
"""

from __future__ import annotations

import threading
from typing import Protocol

from shipit.sandbox.config import SandboxConfig
from shipit.sandbox.instance.facts import InstanceFacts
from shipit.sandbox.moto_door import Moto


class Hosts(Protocol):
    """What keeps instances: they come and go."""

    def add(self, facts: InstanceFacts) -> None:
        """Take an instance in."""

    def remove(self, instance_id: str) -> None:
        """End an instance."""


class Deployments(Protocol):
    """What must know of launches and deaths; both calls return at once."""

    def instance_launched(self, asg: str, instance_id: str) -> None:
        """Deploy to a new instance."""

    def instance_gone(self, instance_id: str) -> None:
        """Note that an instance died."""


class Membership:
    """Compare the groups with what was known, and pass on each difference once."""

    def __init__(self, moto: Moto, config: SandboxConfig, hosts: Hosts) -> None:
        """Know nobody yet; `reconcile` takes in those that are there."""
        self._moto = moto
        self._config = config
        self._hosts = hosts
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many instances are known."""
        return len(self._known)

    def reconcile(self, deployments: Deployments | None = None) -> None:
        """Take in who came and let go who went; tell `deployments`, where given, of both.

        One caller at a time, so that nobody hears of a death before the launch.
        """
        with self._lock:
            present = {
                instance: (group, az)
                for group, instance, state, az in self._moto.members()
                # One that waits for its watcher is there until it has drained.
                if not state.startswith("Terminat") or state == "Terminating:Wait"
            }
            for instance in [i for i in self._known if i not in present]:
                self._known.discard(instance)
                self._hosts.remove(instance)
                if deployments:
                    deployments.instance_gone(instance)
            for instance, (group, az) in present.items():
                if instance in self._known:
                    continue
                self._known.add(instance)
                self._hosts.add(self._facts(instance, group, az))
                if deployments:
                    deployments.instance_launched(group, instance)

    def _facts(self, instance: str, group: str, az: str) -> InstanceFacts:
        return InstanceFacts(
            id=instance,
            asg=group,
            queue=self._moto.tags(group).get(self._config.queue_tag, ""),
            az=az,
            lifecycle="spot",
            region=self._config.region,
            reports=self._config.reports,
            history=self._config.history,
        )
