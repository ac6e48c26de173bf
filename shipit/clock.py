"""The time of one process: it begins with the machine's, and no step of the machine's clock moves it afterwards.

Whatever measures or shows how long something took asks here, so that all of it agrees.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


def _uptime() -> float:
    """Return seconds that also pass while the machine sleeps, where it tells them (Linux)."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


_BEGAN, _AT = datetime.now(UTC), _uptime()


def steady_now() -> datetime:
    """Return the moment, aware, in UTC: the machine's time when this process began, and what passed since."""
    return _BEGAN + timedelta(seconds=_uptime() - _AT)


class SystemClock:
    """The time by which a command waits: a step of the machine's clock never ends a wait."""

    def now(self) -> datetime:
        """Return the moment, aware, in UTC."""
        return steady_now()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
