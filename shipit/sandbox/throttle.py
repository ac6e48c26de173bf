"""Refuse calls on demand, as AWS does without publishing its rates, and count them all."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable


class Throttle:
    """Decide which calls are answered "Rate exceeded": a token bucket, a probability, or neither (the default).

    It runs on real seconds whatever the sandbox's clock does, because a client's back-off does too.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Refuse nothing until `limit` is called."""
        self._now = now
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._recent: deque[float] = deque()
        self._busiest = 0
        self.limit()

    def limit(
        self, *, rate: float | None = None, burst: float | None = None, probability: float = 0.0, seed: int = 0
    ) -> None:
        """Set both limits anew; without arguments, lift them.

        `rate` is in calls a second, `burst` how many may come at once (default: one second's worth, at least 1);
        `probability` (0 to 1) refuses calls at random, the same ones for the same `seed`. Raises ValueError.
        """
        if (rate is not None and rate <= 0) or not 0 <= probability <= 1:
            raise ValueError(f"rate {rate} must be positive or None, and probability {probability} in 0..1")
        with self._lock:
            self._rate = rate
            self._burst = burst if burst is not None else max(1.0, rate or 1.0)
            self._tokens = self._burst
            self._filled_at = self._now()
            self._probability = probability
            self._random = random.Random(seed)

    def refuses(self, operation: str) -> bool:
        """Count one call of the operation and say whether it is refused."""
        with self._lock:
            self._calls[operation] += 1
            self._note_pace()
            refused = self._draws_a_refusal() or self._bucket_is_empty()
            if refused:
                self._refused[operation] += 1
            return refused

    @property
    def calls(self) -> dict[str, int]:
        """Return how often each operation was called, refused calls included."""
        with self._lock:
            return dict(self._calls)

    @property
    def refused(self) -> dict[str, int]:
        """Return how often each operation was refused."""
        with self._lock:
            return dict(self._refused)

    @property
    def busiest_second(self) -> int:
        """Return how many calls came in the one second in which most did."""
        with self._lock:
            return self._busiest

    def reset_counts(self) -> None:
        """Set all counts to nothing; the limits stay."""
        with self._lock:
            self._calls.clear()
            self._refused.clear()
            self._recent.clear()
            self._busiest = 0

    def _note_pace(self) -> None:
        now = self._now()
        self._recent.append(now)
        while self._recent[0] <= now - 1.0:
            self._recent.popleft()
        self._busiest = max(self._busiest, len(self._recent))

    def _draws_a_refusal(self) -> bool:
        return self._probability > 0 and self._random.random() < self._probability

    def _bucket_is_empty(self) -> bool:
        if self._rate is None:
            return False
        now = self._now()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens < 1:
            return True
        self._tokens -= 1
        return False
