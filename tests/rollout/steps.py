"""States and answers for the pure half of a rollout, short to write."""

from __future__ import annotations

from rollout.world import World

from shipit.models import (
    Cause,
    Judged,
    Target,
    TargetStatus,
)
from shipit.rollout import Policy, RolloutState, begin

NAMES = "abc"
RETRIES = 2


def start(policy: Policy | None = None, **waves: int) -> RolloutState:
    return begin(World(*NAMES).plan(waves), policy or Policy())


def judged(cause: Cause, status: TargetStatus, instance: str = "i-1") -> Judged:
    return Judged(target=Target(instance_id=instance, status=status), cause=cause)
