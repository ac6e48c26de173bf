"""Pace calls to a service whose limits nobody publishes: start fast, halve on a throttle, grow again.

As TCP finds the rate of a path: until the first throttle the rate doubles each second (every answer adds one
call a second); from then on it grows by about one call a second each second. Retries of botocore pass here too.
AWS publishes no rates for CodeDeploy; throttles were seen at 15 parallel creates (reference codedeploy.md, §2).

Half the rate should get as much done, with fewer throttles. Where it meets as many and gets less done, they are not
of our making: others use up the account's allowance, or the service is in trouble. Going slower would then only take
longer, so the rate is given back, and a like share of throttles is put up with, as long as it stays alike.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

#: Answers whose throttled share is compared, and seconds after a halving in which answers are still to calls before.
_RECENT, _TRIED, _IN_FLIGHT = 40, 12, 0.3
#: Threads wake when they can, so that calls bunch: 7 % above an even pace were seen in one second. Slots are handed
#: out at this part of the ceiling, for the calls that leave to stay below it.
_STEADY = 0.9
#: A share of throttles above this is never put up with: nearly nothing goes through.
_TOO_MANY = 0.6
#: The rate has no part in it where at half of it this much of the share is left, and less than this gets done.
_UNMOVED, _LESS = 0.5, 0.75


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
        """Start at `rate`, or just below the ceiling where that is lower."""
        self._ceiling = ceiling * _STEADY
        self._rate = min(rate, self._ceiling)
        self._floor = min(floor, self._rate)
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next_slot = clock()
        self._halved_at = float("-inf")
        self._probing = True
        #: Of the last answers, which were throttles; those since the last halving alone.
        self._answers: deque[bool] = deque(maxlen=_RECENT)
        #: The rate before the last halving and, if known, the share of throttles; until it is judged.
        self._trial: tuple[float, float | None] | None = None
        #: The share of throttles that is put up with, if any.
        self._tolerated: float | None = None

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
            self._heed(throttled=False)
            self._rate = min(self._ceiling, self._rate + (1 if self._probing else 1 / self._rate))

    def throttled(self) -> bool:
        """Halve the rate, unless it has no part in this, and tell whether it fell.

        Throttles within a second of the last halving answer calls that were sent before it: they count once. Nor does
        it fall again before it is known what the last halving changed.
        """
        with self._lock:
            now = self._clock()
            self._heed(throttled=True)
            if self._is_tolerable() or self._trial is not None or now - self._halved_at < 1:
                return False
            known = len(self._answers) >= _TRIED
            self._trial = self._rate, self._share if known else None
            self._halved_at = now
            self._probing = False
            self._tolerated = None
            self._answers.clear()
            self._rate = max(self._floor, self._rate / 2)
            self._next_slot = max(self._next_slot, now + 1 / self._rate)
            return True

    @property
    def _share(self) -> float:
        return sum(self._answers) / len(self._answers) if self._answers else 0.0

    def _heed(self, *, throttled: bool) -> None:
        """Count an answer; once enough came at half the rate, judge whether that changed anything."""
        if self._trial is not None and self._clock() - self._halved_at < _IN_FLIGHT:
            return
        self._answers.append(throttled)
        if self._trial is None or len(self._answers) < _TRIED:
            return
        rate_before, share_before = self._trial
        self._trial = None
        share = self._share
        if not 0 < share <= _TOO_MANY:
            return
        if share_before is not None:
            less = self._rate * (1 - share) < _LESS * rate_before * (1 - share_before)
            if share < _UNMOVED * share_before or not less:
                return
        self._tolerated = max(share, min(share_before or 0.0, _TOO_MANY))
        self._rate = max(self._rate, rate_before)
        self._probing = True

    def _is_tolerable(self) -> bool:
        """Tell whether throttles come no more often than where the rate had no part in them."""
        if self._tolerated is None:
            return False
        return len(self._answers) < _TRIED or self._share <= min(1.5 * self._tolerated + 0.1, _TOO_MANY)
