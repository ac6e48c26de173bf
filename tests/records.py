"""Records of rollouts for tests, short to write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from fakes import NOON

from shipit.models import GroupEntry, Outcome, Phase, RolloutRecord


def entry(seconds: float | None = 60, phase: Phase = Phase.SUCCEEDED, **more: object) -> GroupEntry:
    """Return a group of two instances that took so many seconds from NOON on; None has not ended."""
    ended = None if seconds is None else NOON + timedelta(seconds=seconds)
    base = GroupEntry(
        queue="q",
        instances=2,
        build="v2",
        before="v1",
        phase=phase,
        deployments=("d-1",),
        started_at=NOON,
        ended_at=ended,
    )
    return replace(base, **more)  # type: ignore[arg-type]  # fields by name, as replace takes them


def record(
    build: str = "v2",
    *,
    minute: int = 0,
    outcome: Outcome = Outcome.CONVERGED,
    groups: Mapping[str, GroupEntry] | None = None,
    **more: object,
) -> RolloutRecord:
    """Return a rollout of the build, `minute` minutes after NOON, that took 90 seconds unless it runs."""
    begun = NOON + timedelta(minutes=minute)
    base = RolloutRecord(
        id=f"r{minute}",
        env="production",
        build=build,
        by="ann@laptop",
        started_at=begun,
        groups={"email": entry()} if groups is None else groups,
        outcome=outcome,
        ended_at=None if outcome is Outcome.RUNNING else begun + timedelta(seconds=90),
    )
    return replace(base, **more)  # type: ignore[arg-type]  # fields by name, as replace takes them
