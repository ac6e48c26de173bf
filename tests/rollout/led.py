"""Rollouts that are led to their end in a world."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.life import Life
from rollout.world import HOUR, World

from shipit.events import (
    GroupEnded,
    GroupRetried,
    GroupStarted,
)
from shipit.rollout import Policy, Rollout, begin

EASY = Policy(failed_groups=None)


def rollout_of(
    life: Life, policy: Policy = EASY, *, waves: Mapping[str, int] | None = None, timeout: float = 3 * HOUR
) -> Rollout:
    plan = life.world.plan(waves)
    return Rollout(plan, begin(plan, policy), life.tools, by="ann", poll=2.0, timeout=timeout)


def run(world: World, policy: Policy = EASY, *, life: Life | None = None, timeout: float = 3 * HOUR) -> Rollout:
    """Lead the whole rollout, in one wave, to its end, follow-ons included."""
    rollout = rollout_of(life or Life(world), policy, timeout=timeout)
    rollout.open()
    if not rollout.run_wave(0, 1):
        rollout.settle()
    rollout.finish()
    return rollout


def told(life: Life, kind: type[GroupStarted] | type[GroupEnded] | type[GroupRetried]) -> list[str]:
    return [e.group for e in life.events if isinstance(e, kind)]
