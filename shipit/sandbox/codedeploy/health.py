"""The arithmetic of minimum healthy hosts: how many instances may be out at once, and when to give up (pure).

The sums are those of reference codedeploy.md, section 1. A host counts as healthy until this very deployment takes
it out or fails on it: nobody measured how AWS counts hosts that were unhealthy before it began, but there too a
deployment that failed everywhere can be followed by one that mends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Measure(StrEnum):
    """Say what the value of a rule counts; ALL_BUT_ONE is CodeDeployDefault.OneAtATime's alone."""

    HOST_COUNT = "HOST_COUNT"
    FLEET_PERCENT = "FLEET_PERCENT"
    ALL_BUT_ONE = "ALL_BUT_ONE"


@dataclass(frozen=True, kw_only=True)
class HealthRule:
    """Hold the minimum of healthy hosts that a deployment must keep."""

    measure: Measure
    value: int = 0

    def minimum(self, hosts: int) -> int:
        """Return how many of so many hosts must stay healthy; percentages round up."""
        if self.measure is Measure.FLEET_PERCENT:
            return -(-hosts * self.value // 100)
        if self.measure is Measure.ALL_BUT_ONE:
            return max(0, hosts - 1)
        return self.value


#: Take all hosts out at once, and be content with one: CodeDeployDefault.AllAtOnce, and every launch of one instance.
ALL_AT_ONCE = HealthRule(measure=Measure.HOST_COUNT, value=0)
HALF_AT_A_TIME = HealthRule(measure=Measure.FLEET_PERCENT, value=50)
ONE_AT_A_TIME = HealthRule(measure=Measure.ALL_BUT_ONE)


class Verdict(StrEnum):
    """Say how a deployment stands."""

    GOING_ON = "going on"
    SUCCEEDED = "succeeded"
    TOO_FEW_HEALTHY = "too few healthy"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Count the targets of a deployment; `hosts` is the fleet around them, which may be larger."""

    hosts: int
    minimum: int
    waiting: int
    running: int
    succeeded: int
    failed: int

    @property
    def slots(self) -> int:
        """Count the targets that may be started now."""
        healthy = self.hosts - self.running - self.failed
        return max(0, min(self.waiting, healthy - self.minimum))

    @property
    def verdict(self) -> Verdict:
        """Judge it. Nothing is decided while an instance is still being worked on: it may free a slot.

        When none is left to start, one success is enough: the slots have kept the minimum on the way. That is why
        OneAtATime forgives a failure on the last instance, and AllAtOnce all failures but one.
        """
        if self.running or self.slots:
            return Verdict.GOING_ON
        return Verdict.SUCCEEDED if self.succeeded and not self.waiting else Verdict.TOO_FEW_HEALTHY
