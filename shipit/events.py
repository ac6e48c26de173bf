"""What happens during a command, as frozen events; engines emit them, only `shipit.display` prints.

A Listener is any callable that takes an Event. It is called from the thread that runs the verb.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shipit.models import (
    Build,
    Cluster,
    Finding,
    Judged,
    Overview,
    Period,
    Phase,
    QueryCost,
    RolloutPlan,
    Verification,
)


@dataclass(frozen=True, kw_only=True)
class BuildStep:
    """Say what the build does now: `stage` is `command`, `collect`, `pack` or `done`."""

    stage: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class BuildFinished:
    """Report a bundle on disk: where, how many files, how long it took (seconds)."""

    build: Build
    path: str
    files: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class UploadProgress:
    """Report bytes sent of a bundle's upload."""

    version: str
    sent: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Published:
    """Report a build in S3; `already` when the same digest was there and nothing was sent."""

    build: Build
    location: str
    already: bool


@dataclass(frozen=True, kw_only=True)
class RolloutStarted:
    """Open a rollout: its plan, and when; `attached` where another process drives it and we only watch."""

    plan: RolloutPlan
    at: datetime
    attached: bool = False


@dataclass(frozen=True, kw_only=True)
class WaveStarted:
    """Open a wave, counted from 1, of `of` waves."""

    wave: int
    of: int
    groups: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, kw_only=True)
class WavePaused:
    """Report that a wave is done and the next one waits: `seconds` long, or for a word by hand where None."""

    wave: int
    of: int
    seconds: float | None
    at: datetime


@dataclass(frozen=True, kw_only=True)
class GroupStarted:
    """Report that a group's deployment was created; `attempt` counts this rollout's tries at it from 1."""

    group: str
    deployment_id: str
    instances: int
    at: datetime
    attempt: int = 1


@dataclass(frozen=True, kw_only=True)
class GroupBlocked:
    """Report that a group waits for somebody else's deployment to end; `holder` says who made it, when and why."""

    group: str
    holder_id: str
    at: datetime
    holder: str = ""


@dataclass(frozen=True, kw_only=True)
class GroupRetried:
    """Report that a deployment ended for want of its instances, and that the group will be tried again."""

    group: str
    deployment_id: str
    reason: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class RolloutHalted:
    """Report that no new group will start, and why."""

    reason: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class GroupProgress:
    """Report that the counts of a running group changed."""

    group: str
    deployment_id: str
    overview: Overview
    at: datetime


@dataclass(frozen=True, kw_only=True)
class GroupEnded:
    """Report a group's end; `seconds` since its deployment was created; `failure` for all but success."""

    group: str
    deployment_id: str
    phase: Phase
    overview: Overview
    seconds: float
    at: datetime
    error_code: str = ""
    error_message: str = ""


@dataclass(frozen=True, kw_only=True)
class GroupDiagnosed:
    """Explain a failed group: why, what to do next, and the targets that did not succeed, the worst first.

    `build` is the one that did not get there. Groups that failed alike have the same `likeness`, which means nothing
    else.
    """

    group: str
    deployment_id: str
    cause: str
    next_step: str
    judged: tuple[Judged, ...] = ()
    likeness: str = ""
    build: str = ""


@dataclass(frozen=True, kw_only=True)
class Throttled:
    """Report that AWS throttled us, and the rate (calls a second) that we fell to."""

    operation: str
    rate: float


@dataclass(frozen=True, kw_only=True)
class Tick:
    """Mark the end of one poll: lets a display move its clock and say that the watcher lives."""

    at: datetime


@dataclass(frozen=True, kw_only=True)
class RolloutFinished:
    """Close a rollout: groups by phase, wall seconds, AWS calls by operation, equal failures joined, worst first."""

    rollout_id: str
    version: str
    phases: dict[str, Phase]
    seconds: float
    calls: dict[str, int]
    at: datetime
    interrupted: bool = False
    clusters: tuple[Cluster, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verified:
    """Report the verdict over the fleet; `final` when no further look follows.

    `left` are the seconds that the wait goes on for at most; `everything` asks for those that do not count as well.
    """

    verification: Verification
    final: bool = True
    left: float | None = None
    everything: bool = False


@dataclass(frozen=True, kw_only=True)
class Linted:
    """Report what is wrong with the project's files and queues: so many were looked at, so many findings ignored."""

    findings: tuple[Finding, ...]
    files: int
    queues: int = 0
    ignored: int = 0


@dataclass(frozen=True, kw_only=True)
class BuildsRan:
    """Report which build ran where in the last `look_back` seconds, group by group, the newest first.

    It is what the instances said. `build` and `group`, a wildcard, are what was asked for; empty for all.
    """

    env: str
    periods: tuple[Period, ...]
    look_back: float
    cost: QueryCost
    build: str = ""
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Tell the user one line that fits nowhere else."""

    text: str
    warning: bool = False


Event = (
    BuildStep
    | BuildFinished
    | UploadProgress
    | Published
    | RolloutStarted
    | WaveStarted
    | WavePaused
    | GroupStarted
    | GroupBlocked
    | GroupRetried
    | GroupProgress
    | GroupEnded
    | GroupDiagnosed
    | RolloutHalted
    | Throttled
    | Tick
    | RolloutFinished
    | Verified
    | Linted
    | BuildsRan
    | Notice
)

Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Drop the event: the listener of those who do not listen."""
