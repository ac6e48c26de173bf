"""The time of one command."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The time since this command began, on a clock that nobody sets: a step of the machine's never ends a wait."""

    def __init__(self) -> None:
        """Begin with the machine's time."""
        self._began = datetime.now(UTC)
        self._at = _uptime()

    def now(self) -> datetime:
        """Return the moment, aware, in UTC."""
        return self._began + timedelta(seconds=_uptime() - self._at)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def _uptime() -> float:
    """Return seconds that also pass while the machine sleeps, where it tells them (Linux)."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
