"""What instances report, and the verdict over them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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
class Node:
    """Judge one instance: its state, what it said and how long ago (seconds), and what to do next."""

    instance_id: str
    group: str
    queue: str
    state: NodeState
    running: str = ""
    installed: str = ""
    age: float | None = None
    next_step: str = ""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Judge a fleet against one build at one moment."""

    env: str
    build: str
    nodes: tuple[Node, ...]
    cost: QueryCost
    at: datetime

    def count(self, state: NodeState) -> int:
        """Count the instances in this state."""
        return sum(n.state is state for n in self.nodes)

    @property
    def counted(self) -> int:
        """Count the instances that must be current for the fleet to be converged."""
        return sum(n.state.is_counted for n in self.nodes)

    @property
    def converged(self) -> bool:
        """Tell whether every counted instance is current; an empty fleet never is."""
        return self.counted > 0 and self.count(NodeState.CURRENT) == self.counted
