"""What instances report, and the verdict over them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

#: How far an instance's clock may be ahead of ours for its reports to count, in seconds.
CLOCK_SKEW = 60.0


def stale_after(heartbeat: float) -> float:
    """Return the age in seconds above which a report is stale: two heartbeats, of so many seconds each, and a minute.

    (Reference athena.md, "States of an instance".)
    """
    return 2 * heartbeat + 60.0


@dataclass(frozen=True, kw_only=True)
class Report:
    """Read what an instance last said of itself (the columns of `version_reports`).

    `build` is what is installed on disk, `running_build` what its process runs: only the latter counts.
    """

    instance_id: str
    asg: str
    queue: str
    build: str
    running_build: str
    digest: str
    deployment_id: str
    reason: str
    reported_at: datetime


class NodeState(StrEnum):
    """Say how an instance stands to the expected build (reference athena.md, "States of an instance")."""

    CURRENT = "current"
    OUTDATED = "outdated"
    RESTART_NEEDED = "restart-needed"
    WRONG_DIGEST = "wrong-digest"
    UNKNOWN_BUILD = "unknown-build"
    STALE = "stale"
    SILENT = "silent"
    STARTING = "starting"
    LEAVING = "leaving"
    DEPARTED = "departed"

    @property
    def is_drift(self) -> bool:
        """Tell whether the instance is known not to run the expected build as expected."""
        return self in _DRIFT

    @property
    def is_unseen(self) -> bool:
        """Tell whether the instance should have said something and did not: never a success."""
        return self in (NodeState.STALE, NodeState.SILENT)

    @property
    def is_counted(self) -> bool:
        """Tell whether the instance belongs to the fleet that must converge."""
        return self not in (NodeState.LEAVING, NodeState.DEPARTED)


_DRIFT = (NodeState.OUTDATED, NodeState.RESTART_NEEDED, NodeState.WRONG_DIGEST, NodeState.UNKNOWN_BUILD)


@dataclass(frozen=True, kw_only=True)
class QueryCost:
    """Say what a query cost: its id, bytes scanned, wall seconds and dollars.

    `scanned` is what Athena read; `dollars` follows its price of $5 a terabyte with 10 MB at least
    (reference athena.md, "Requests dominate cost"; requests to S3 are not in it).
    """

    query_id: str = ""
    scanned: int = 0
    seconds: float = 0.0
    dollars: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Spending:
    """Sum up what the queries of one command cost: their number, bytes scanned, wall seconds, dollars."""

    queries: int = 0
    scanned: int = 0
    seconds: float = 0.0
    dollars: float = 0.0

    def plus(self, cost: QueryCost) -> Spending:
        """Return the sum with one query more."""
        return Spending(
            queries=self.queries + 1,
            scanned=self.scanned + cost.scanned,
            seconds=self.seconds + cost.seconds,
            dollars=self.dollars + cost.dollars,
        )


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Say which build a group is expected to run, and which rollout brought it; empty where none is known."""

    build: str
    rollout: str = ""


@dataclass(frozen=True, kw_only=True)
class Node:
    """Judge one instance: its state, what it said and how long ago (seconds), and what to do next."""

    instance_id: str
    group: str
    queue: str
    state: NodeState
    expected: str = ""
    running: str = ""
    installed: str = ""
    age: float | None = None
    next_step: str = ""


@dataclass(frozen=True, kw_only=True)
class GroupView:
    """Set what a group is expected to run beside what CodeDeploy says of it.

    `codedeploy` is the build of its last successful deployment `deployment_id`, empty where that brought none of
    ours; `moving` is the deployment that brings the expected build right now, if any; `note` says in words where
    CodeDeploy and the processes, or the rollout, disagree.
    """

    group: str
    queue: str
    expected: str
    rollout: str = ""
    codedeploy: str = ""
    deployment_id: str = ""
    moving: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Judge a fleet at one moment: each group against the build that it is expected to run.

    `build` is the one that most groups are expected to run; `cost` is that of the last query, `spent` of all.
    """

    env: str
    build: str
    nodes: tuple[Node, ...]
    cost: QueryCost
    at: datetime
    groups: tuple[GroupView, ...] = ()
    spent: Spending = Spending()

    def count(self, state: NodeState) -> int:
        """Count the instances in this state."""
        return sum(n.state is state for n in self.nodes)

    @property
    def counted(self) -> int:
        """Count the instances that must be current for the fleet to be converged."""
        return sum(n.state.is_counted for n in self.nodes)

    @property
    def converged(self) -> bool:
        """Tell whether every counted instance is current; without an instance, or a byte read, it never is."""
        return self.counted > 0 and self.cost.scanned > 0 and self.count(NodeState.CURRENT) == self.counted

    @property
    def states(self) -> dict[str, int]:
        """Count the instances by state; states that nobody is in are left out."""
        found = Counter(n.state for n in self.nodes)
        return {state.value: found[state] for state in NodeState if found[state]}


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Name a count for CloudWatch: a metric and its dimensions, none of them empty."""

    name: str
    dimensions: Mapping[str, str]
    value: int
