"""What a rollout leaves behind: who brought what where, when, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shipit.models.build import Revision
from shipit.models.plan import Phase


class Outcome(StrEnum):
    """Say how a rollout ended, or that it has not."""

    RUNNING = "running"
    CONVERGED = "converged"  # every instance reports the build
    DEPLOYED = "deployed"  # every group succeeded, and nobody asked the instances
    DRIFTED = "drifted"  # every group succeeded, and the instances say otherwise; or only partly deployed
    FAILED = "failed"
    REFUSED = "refused"  # of the groups that failed AWS refused every deployment
    BUSY = "busy"  # others held groups
    STOPPED = "stopped"
    TIMED_OUT = "timed-out"
    INTERRUPTED = "interrupted"
    ROLLED_BACK = "rolled-back"

    @property
    def good(self) -> bool:
        """Tell whether the build is one to go back to."""
        return self in (Outcome.CONVERGED, Outcome.DEPLOYED)

    @property
    def resumable(self) -> bool:
        """Tell whether something of the rollout may be left to do by the process that carries it on."""
        return self in (Outcome.RUNNING, Outcome.INTERRUPTED, Outcome.TIMED_OUT)


@dataclass(frozen=True, kw_only=True)
class FailureNote:
    """Keep why a group failed: the cause in words, what to type, and one script's log (at most 2,048 characters)."""

    cause: str
    next_step: str = ""
    instances: tuple[str, ...] = ()
    event: str = ""
    script: str = ""
    log_tail: str = ""


@dataclass(frozen=True, kw_only=True)
class Try:
    """Record one deployment of a group: when it began and ended, None where nobody saw that."""

    deployment: str
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class GroupEntry:
    """Record one group of a rollout.

    `build` is what was to be brought to it, `before` and `before_revision` what it ran; empty where that is unknown.
    `deployments` are those that the rollout created for it, the oldest first; `tries` are their times, as far as they
    were noted.
    """

    queue: str = ""
    instances: int = 0
    wave: int = 0
    build: str = ""
    before: str = ""
    before_revision: Revision | None = None
    phase: Phase = Phase.WAITING
    deployments: tuple[str, ...] = ()
    tries: tuple[Try, ...] = ()
    started_at: datetime | None = None
    ended_at: datetime | None = None
    failure: FailureNote | None = None

    @property
    def seconds(self) -> float | None:
        """Return how long it took, None before its end."""
        if self.started_at is None or self.ended_at is None:
            return None
        return max((self.ended_at - self.started_at).total_seconds(), 0.0)


@dataclass(frozen=True, kw_only=True)
class WaveEntry:
    """Record one wave: when its first group started, when its last one ended, when the reports had proved it."""

    started_at: datetime
    ended_at: datetime | None = None
    verified_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Record what the reports said at the end: instances by state, those that count, and Athena's query."""

    states: Mapping[str, int]
    counted: int
    converged: bool
    query_id: str = ""
    at: datetime


@dataclass(frozen=True, kw_only=True)
class RolloutRecord:
    """Remember one rollout of one build.

    `excluded` are groups that it left alone on purpose: nothing is expected of them. Without `verify` nobody wanted
    the instances asked; a `restart` brings what each group runs. A rollback is a rollout too: it
    names the one that it undoes in `undoes`, and that one names it in `undone_by`. `previous` is the rollout that
    was the last before it: ids and times are by the clocks of many machines, and a clock may step. `flags` are those
    that laid another policy over the settings, as typed: whoever carries the rollout on goes by them, too.
    """

    id: str
    env: str
    build: str
    by: str
    started_at: datetime
    why: str = ""
    groups: Mapping[str, GroupEntry] = field(default_factory=dict)
    waves: tuple[WaveEntry, ...] = ()
    excluded: tuple[str, ...] = ()
    verify: bool = True
    restart: bool = False
    outcome: Outcome = Outcome.RUNNING
    ended_at: datetime | None = None
    proof: Proof | None = None
    calls: Mapping[str, int] = field(default_factory=dict)
    undoes: str = ""
    undone_by: str = ""
    previous: str = ""
    flags: Mapping[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float | None:
        """Return how long it took, None before its end."""
        return None if self.ended_at is None else max((self.ended_at - self.started_at).total_seconds(), 0.0)

    def count(self, phase: Phase) -> int:
        """Count the groups in this phase."""
        return sum(g.phase is phase for g in self.groups.values())
