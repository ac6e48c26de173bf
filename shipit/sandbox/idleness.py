"""When the daemon ends by itself: nobody asked it anything for long, and nothing runs in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Idleness:
    """Measure, in real seconds, for how long nobody has used the sandbox. Safe from any thread."""

    def __init__(self, limit: float, busy: Callable[[], bool], now: Callable[[], float] = time.monotonic) -> None:
        """Be over after `limit` seconds without a use, as soon as `busy` is false then."""
        self._limit = limit
        self._busy = busy
        self._now = now
        self._lock = threading.Lock()
        self._used_at = now()
        self._over = False

    @property
    def left(self) -> float:
        """Return the seconds until it is over if nobody comes; negative while only being busy holds it open."""
        return self._used_at + self._limit - self._now()

    def use(self) -> bool:
        """Start anew; return False where it is over, for then nothing brings it back."""
        with self._lock:
            if not self._over:
                self._used_at = self._now()
            return not self._over

    def end(self) -> None:
        """Be over now."""
        with self._lock:
            self._over = True

    def is_over(self) -> bool:
        """Tell whether it is over; once it is, it stays so."""
        with self._lock:
            self._over = self._over or (self.left <= 0 and not self._busy())
            return self._over
