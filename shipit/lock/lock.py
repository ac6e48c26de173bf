"""Get the lock: at once, by waiting, or from one who is gone; or free it by force."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from shipit.errors import BusyError, ShipitError
from shipit.lock.held import Held
from shipit.lock.host import Host, ThisHost, boot_seconds
from shipit.lock.state import TRIES, Claim, Holding, Store, free, held, parse, span, write
from shipit.models import StoredJson

#: Seconds between two looks of one who waits, and between two lines that say so.
_POLL, _WORD = 5.0, 60.0
#: S3 tells whole seconds, so an age is up to one second too high.
_GRAIN = 1.0


class Clock(Protocol):
    """The time, to show and to wait by."""

    def now(self) -> datetime:
        """Return the moment, aware, in UTC."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Lock:
    """Be the lock of one environment, `locks/<env>.json`."""

    def __init__(
        self,
        store: Store,
        env: str,
        *,
        clock: Clock,
        ttl: float = 120.0,
        host: Host | None = None,
        ticks: Callable[[], float] = boot_seconds,
    ) -> None:
        """Keep it in `store`; what is taken here expires `ttl` seconds after its last renewal."""
        self._store = store
        self._env = env
        self._clock = clock
        self._ttl = ttl
        self._host = host or ThisHost()
        self._ticks = ticks
        self._key = f"locks/{env}.json"

    def acquire(self, claim: Claim, *, wait: float = 0.0, listen: Callable[[str], None] = lambda line: None) -> Held:
        """Take the lock, once it is free or expired; a rollout's is waited for, up to `wait` seconds.

        Raises BusyError, which says who has it; at once where that is by hand. Raises AwsError where S3 fails.
        `listen` gets a line when the wait begins, when the holder changes, each minute, and at a takeover.
        """
        slept, refused, seen, next_word = 0.0, 0, "", 0.0
        while True:
            stored = self._store.read_json(self._key)
            holding = self._holding(stored)
            if holding is None or holding.expired:
                taken = self._take(claim, stored)
                if taken is not None:
                    if holding is not None:
                        listen(f"took the lock of {self._env} over from one who is gone; it was {holding}")
                    return taken
                refused += 1
                if refused == TRIES:
                    raise BusyError(f"the lock of {self._env} changes hands too fast to be had", hint="try again")
                continue
            if holding.manual or slept >= wait:
                raise self._busy(holding)
            if holding.token != seen or slept >= next_word:
                listen(f"waiting for the lock, {span(wait - slept)} at most: {self._env} is {holding}")
                seen, next_word = holding.token, slept + _WORD
            # The sum of the sleeps is the measure, for the wall clock may step.
            pause = min(_POLL, wait - slept)
            self._clock.sleep(pause)
            slept += pause

    def holder(self) -> Holding | None:
        """Return who has the lock, expired or not, or None; raises ShipitError where the object is damaged."""
        return self._holding(self._store.read_json(self._key))

    def break_(self) -> Holding | None:
        """Free the lock, whoever has it, also where the object is damaged; return what it was, None if free.

        A rollout that had it notices at its next renewal, a quarter of its ttl later at most.
        """
        for _ in range(TRIES):
            stored = self._store.read_json(self._key)
            try:
                holding = self._holding(stored)
            except ShipitError:
                holding = self._unreadable()
            if stored is None or holding is None:
                return None
            if write(self._store, self._key, free(self._host.me().host), stored.etag)[0]:
                return holding
        raise BusyError(f"the lock of {self._env} changes hands too fast to be freed", hint="try again")

    def _take(self, claim: Claim, stored: StoredJson | None) -> Held | None:
        ttl = None if claim.manual else self._ttl
        value = held(claim, token=secrets.token_hex(8), process=self._host.me(), since=self._clock.now(), ttl=ttl)
        asked = self._ticks()
        etag, _ = write(self._store, self._key, value, stored.etag if stored else None)
        if etag is None:
            return None
        return Held(self._store, self._key, value, etag, ttl=ttl, ticks=self._ticks, renewed=asked)

    def _holding(self, stored: StoredJson | None) -> Holding | None:
        if stored is None:
            return None
        try:
            parsed = parse(stored)
        except (KeyError, TypeError, ValueError) as error:
            raise ShipitError(
                f"the lock {self._key} is damaged, or of a newer shipit: {error!r}",
                hint="where nobody deploys: inv lock.release",
            ) from error
        if parsed is None:
            return None
        holding, process = parsed
        if holding.ttl is None:
            return holding
        return replace(holding, expired=holding.age > holding.ttl + _GRAIN or self._host.has_ended(process))

    def _unreadable(self) -> Holding:
        return Holding(
            by="unknown",
            why="the object could not be read",
            token="",
            host="unknown",
            since=self._clock.now(),
            ttl=None,
            age=0.0,
            expired=False,
        )

    def _busy(self, holding: Holding) -> BusyError:
        if holding.manual:
            return BusyError(
                f"{self._env} is {holding}", hint="it is not waited out; whoever may end it types: inv lock.release"
            )
        watch = " ".join(["inv watch", holding.rollout]).strip()
        return BusyError(
            f"{self._env} is {holding}",
            hint=f"{watch} follows it, --lock-wait 10m waits for it; if it is gone, its lock expires in "
            f"{span(max(0.0, (holding.ttl or 0.0) - holding.age))}, or type: inv lock.release",
        )
