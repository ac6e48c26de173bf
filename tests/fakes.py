"""Typed fakes that several tests share: a clock that only sleeping moves, a CodeDeploy by script, samples."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from shipit.errors import ShipitError
from shipit.models import (
    Build,
    Deployment,
    DeploymentStatus,
    Fleet,
    Group,
    Instance,
    Overview,
    PublishedBuild,
    Revision,
)

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class FakeClock:
    """A clock that stands still but for `sleep`; `on_sleep` is called first, with the sleeps so far."""

    def __init__(self, on_sleep: Callable[[int], None] = lambda count: None) -> None:
        self.moment = NOON
        self.sleeps = 0
        self._on_sleep = on_sleep

    def now(self) -> datetime:
        return self.moment

    def sleep(self, seconds: float) -> None:
        self._on_sleep(self.sleeps)
        self.sleeps += 1
        self.moment += timedelta(seconds=seconds)


def published(version: str = "v2") -> PublishedBuild:
    build = Build(version=version, sha="a" * 40, digest="d" * 64, committed_at=NOON, content_digest="c" * 64)
    key = f"builds/{version}/worker-{version}.tgz"
    return PublishedBuild(build=build, revision=Revision(bucket="b", key=key, version_id="1", etag="e"))


def deployment(group: str, version: str = "v1", status: str = "Succeeded", **more: object) -> Deployment:
    base = Deployment(
        id=f"d-{group.upper()}",
        group=group,
        status=DeploymentStatus(status),
        revision=published(version).revision,
        overview=Overview(succeeded=2),
    )
    return replace(base, **more)  # type: ignore[arg-type]  # fields by name, as replace takes them


def group(name: str, *, instances: int | tuple[Instance, ...] = 2, queue: str = "", **more: object) -> Group:
    if isinstance(instances, int):
        members = tuple(Instance(id=f"i-{name}-{n}", asg=f"worker-{name}") for n in range(instances))
    else:
        members = instances
    base = Group(name=name, queue=queue or name, asg=f"worker-{name}", instances=members)
    return replace(base, **more)  # type: ignore[arg-type]  # fields by name, as replace takes them


def fleet(*groups: Group) -> Fleet:
    return Fleet(groups=groups)


@dataclass
class FakeDeployer:
    """A CodeDeploy whose deployments end after some looks: `looks[group]`, else 2.

    `outcome[group]` is the end (Succeeded without one); `refuse[group]` is raised by create.
    """

    looks: Mapping[str, int] = field(default_factory=dict)
    outcome: Mapping[str, Deployment] = field(default_factory=dict)
    refuse: Mapping[str, ShipitError] = field(default_factory=dict)
    failing_polls: list[ShipitError] = field(default_factory=list)
    created: Counter[str] = field(default_factory=Counter)
    descriptions: dict[str, str] = field(default_factory=dict)
    held: dict[str, Deployment] = field(default_factory=dict)
    _seen: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def create(
        self, group: str, revision: Revision, *, description: str, config: str, ignore_stop_failures: bool = False
    ) -> str:
        with self._lock:
            self.created[group] += 1
            if group in self.refuse:
                raise self.refuse[group]
            self.descriptions[group] = description
            return f"d-{group.upper()}"

    def deployments(self, ids: Iterable[str]) -> Mapping[str, Deployment]:
        with self._lock:
            if self.failing_polls:
                raise self.failing_polls.pop()
            return {i: self._look(i) for i in ids}

    def _look(self, deployment_id: str) -> Deployment:
        if deployment_id in self.held:
            return self.held[deployment_id]
        name = deployment_id.removeprefix("d-").lower()
        self._seen[name] += 1
        if self._seen[name] < self.looks.get(name, 2):
            return deployment(name, "v2", "InProgress", overview=Overview(in_progress=1, succeeded=1))
        return self.outcome.get(name, deployment(name, "v2"))
