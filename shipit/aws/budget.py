"""Pace calls to a service whose limits nobody publishes: start fast, halve on a throttle, grow again.

As TCP finds the rate of a path: until the first throttle the rate doubles each second (every answer adds one
call a second); from then on it grows by about one call a second each second. Retries of botocore pass here too.
AWS publishes no rates for CodeDeploy; throttles were seen at 15 parallel creates (reference codedeploy.md, §2).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class RateBudget:
    """Hand out one slot per call, evenly spaced, shared by all threads of the process.

    `rate` is where it starts, in calls a second, `ceiling` what it never exceeds, `floor` where halving stops.
    `clock` and `sleep` are in seconds.
    """

    def __init__(
        self,
        rate: float,
        ceiling: float,
        *,
        floor: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Start at `rate`, or at the ceiling where that is lower."""
        self._rate = min(rate, ceiling)
        self._ceiling = ceiling
        self._floor = min(floor, self._rate)
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next_slot = clock()
        self._halved_at = float("-inf")
        self._probing = True

    @property
    def rate(self) -> float:
        """Return the present rate in calls a second."""
        return self._rate

    def take(self) -> None:
        """Wait for the next slot."""
        with self._lock:
            now = self._clock()
            slot = max(now, self._next_slot)
            self._next_slot = slot + 1 / self._rate
        if slot > now:
            self._sleep(slot - now)

    def accepted(self) -> None:
        """Grow a little: AWS answered without a throttle."""
        with self._lock:
            self._rate = min(self._ceiling, self._rate + (1 if self._probing else 1 / self._rate))

    def throttled(self) -> bool:
        """Halve the rate, and tell whether it fell.

        Throttles within a second of the last halving answer calls that were sent before it: they count once.
        """
        with self._lock:
            now = self._clock()
            if now - self._halved_at < 1:
                return False
            self._halved_at = now
            self._probing = False
            self._rate = max(self._floor, self._rate / 2)
            self._next_slot = max(self._next_slot, now + 1 / self._rate)
            return True
