"""Which build ran where, over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class BuildRun:
    """Say that one deployment brought a build to instances of an Auto Scaling group (a row of `history.sql`).

    `instances` counts those that the build was new to: who ran it already counts with the deployment before. `until`
    is when the last of those that ended did, None where none has; `unended` counts those of which no end is known:
    they run it still, or died without a word. `deployment_id` may be empty: nobody said what brought it.
    """

    asg: str
    build: str
    deployment_id: str
    instances: int
    since: datetime
    until: datetime | None
    unended: int


@dataclass(frozen=True, kw_only=True)
class Period:
    """Hold the time in which a group's instances were started with one build, by one deployment or several.

    `instances` counts each of them once, also where it was brought the build twice; an instance that left the build
    and came back while the others stayed counts again. `until` is None while the build is the group's last and runs
    on; `unended` counts the instances of which no end is known.
    """

    group: str
    build: str
    deployments: tuple[str, ...]
    instances: int
    since: datetime
    until: datetime | None
    unended: int
