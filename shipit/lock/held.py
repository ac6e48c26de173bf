"""Have the lock: renew it while the rollout runs, notice its loss, free it at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

from shipit.errors import AwsError, LockLost
from shipit.interrupts import last_words
from shipit.lock.state import TRIES, Store, fate, free, get, span, write

#: Seconds that a release waits for a renewal under way. Past that the lock is left to expire.
_PATIENCE = 10.0
#: Seconds that a command, which has nothing else left to do, gives the whole release.
_FREED_WITHIN = 20.0


class Held:
    """Have the lock; as a context manager, renew it in a thread every quarter of its ttl and free it at the end."""

    def __init__(
        self,
        store: Store,
        key: str,
        value: Mapping[str, Any],
        etag: str,
        *,
        ttl: float | None,
        ticks: Callable[[], float],
        renewed: float,
    ) -> None:
        """Hold the version `etag` of the object, asked for at `renewed` of `ticks`."""
        self._store = store
        self._key = key
        self._value = value
        self._etag = etag
        self._ttl = ttl
        self._ticks = ticks
        self._renewed = renewed
        self._lost = ""
        self._trouble = ""
        self._writing = threading.Lock()
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        """Begin to renew."""
        if self._ttl is not None:
            threading.Thread(target=self._keep, args=(self._ttl,), name="lock", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Free the lock, whatever signals come."""
        last_words(self.release, seconds=_FREED_WITHIN)

    def check(self) -> None:
        """Raise LockLost where somebody else has the lock, or may: then nothing more may be started.

        What is begun right after it has a quarter of the ttl to reach AWS before another can take the lock. Asks S3
        only where renewals were missed, as a machine that slept has: mostly nobody else took the lock meanwhile.
        """
        if not self._lost and self._is_overdue():
            self.renew()
        lost = self._lost
        if not lost and self._is_overdue():
            lost = f"could not be renewed for {span(self._ticks() - self._renewed)} ({self._trouble})"
        if lost:
            raise LockLost(
                f"the lock {self._key} {lost}",
                hint="nothing more is started, what runs in AWS goes on; see who has it: inv lock.status",
            )

    @property
    def lost(self) -> bool:
        """Tell whether somebody else took or freed the lock, as far as that is known; asks nobody."""
        return bool(self._lost)

    def renew(self) -> None:
        """Write the same holder anew, as the thread does; a failure is kept for `check`, and never raised."""
        with self._writing:
            if self._lost or self._ttl is None:
                return
            # From before the request: S3 counts from when it wrote, which is later.
            asked = self._ticks()
            try:
                if self._write(self._value):
                    self._renewed = asked
            except Exception as error:  # whatever it is, it must neither end the thread nor be printed by it
                self._trouble = str(error).splitlines()[0] if str(error) else repr(error)

    def release(self) -> None:
        """Free the lock if it is still ours. Where S3 fails, and where a renewal hangs, it is left to expire."""
        self._stop.set()
        if not self._writing.acquire(timeout=_PATIENCE):
            self._lost = self._lost or "was given up"
            return
        try:
            if not self._lost:
                self._write(free(self._value["process"]["host"]))
        except AwsError:
            pass
        finally:
            self._lost = self._lost or "was given up"
            self._writing.release()

    def _keep(self, ttl: float) -> None:
        while not self._lost and not self._stop.wait(ttl / 4):
            self.renew()

    def _is_overdue(self) -> bool:
        return self._ttl is not None and self._ticks() - self._renewed >= self._ttl * 3 / 4

    def _write(self, value: Mapping[str, Any]) -> bool:
        for _ in range(TRIES):
            etag, found = write(self._store, self._key, value, self._etag)
            if etag is not None:
                self._etag = etag
                return True
            if get(found, "token") != self._value["token"]:
                self._lost = fate(found)
                return False
            # An earlier write of ours got through although it seemed to fail: nobody else was here.
            self._etag = found.etag if found else ""
        self._trouble = "S3 refuses every write"
        return False
