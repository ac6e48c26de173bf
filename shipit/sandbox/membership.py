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
    """What must know of launches and deaths."""

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
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many instances are known."""
        return len(self._known)

    def reconcile(self, deployments: Deployments | None = None) -> None:
        """Take in who came and let go who went; tell `deployments`, where given, of both."""
        with self._lock:
            present = {
                instance: (group, az)
                for group, instance, state, az in self._moto.members()
                if not state.startswith("Terminat")
            }
            came = {i: where for i, where in present.items() if i not in self._known}
            went = [i for i in self._known if i not in present]
            for instance in went:
                del self._known[instance]
                self._hosts.remove(instance)
            for instance, (group, az) in came.items():
                self._known[instance] = group
                self._hosts.add(self._facts(instance, group, az))
        if deployments:
            for instance in went:
                deployments.instance_gone(instance)
            for instance, (group, _) in came.items():
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
        )
