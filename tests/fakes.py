"""Typed fakes that several tests share: a clock that only sleeping moves, samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shipit.models import (
    Build,
    Deployment,
    DeploymentStatus,
    Fleet,
    Group,
    Instance,
    Overview,
    PublishedBuild,
    Report,
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


def report(id: str = "i-1", *, age: float = 60.0, **changes: Any) -> Report:
    said = Report(
        instance_id=id,
        asg="workers-email",
        queue="email",
        build="v2",
        running_build="v2",
        digest="d2",
        deployment_id="d-1",
        reason="heartbeat",
        reported_at=NOON - timedelta(seconds=age),
    )
    return replace(said, **changes)
