"""Send what waits in the spool: each object once, the oldest first, and again later where S3 is out of reach."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from shipit_instance.aws import Refused
from shipit_instance.metadata import Failed
from shipit_instance.spool import Entry, Spool

#: Seconds after the first failure, and at most: each further one doubles it.
_FIRST, _LONGEST = 2.0, 300.0


class Store(Protocol):
    """What sending needs of AWS."""

    def user_id(self) -> str:
        """Return the user id of the key that signs. Raises Failed."""

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Write a new object. Raises Refused, and Failed where nobody answered."""


class Sender:
    """Send entries, one thread at a time."""

    def __init__(
        self, spool: Spool, store: Store, say: Callable[[str], None], chance: Callable[[], float] = random.random
    ) -> None:
        """Send what is in `spool` to `store`; `chance` spreads the tries of many instances, 0 to 1."""
        self._spool = spool
        self._store = store
        self._say = say
        self._chance = chance
        self._failures = 0

    def send(self, entry: Entry) -> None:
        """Write one object and remove its entry. Raises Failed where it waits on; Refused where it was dropped.

        Its author is that of the key that signs, which the policy checks; the rest was settled when it was made. So
        each attempt writes the same object.
        """
        bucket, _, prefix = entry.target[len("s3://") :].partition("/")
        try:
            user = self._store.user_id()
        except Failed as failure:  # whatever it is, the report is not at fault
            raise Failed(str(failure)) from failure
        try:
            self._store.put(bucket, f"{prefix}{user}-{entry.milliseconds}.json", entry.body.encode())
        except Refused as refusal:
            if refusal.passing:
                raise Failed(str(refusal)) from refusal
            self._spool.remove(entry)
            raise
        self._spool.remove(entry)

    def step(self) -> float | None:
        """Send all that waits; return the seconds after which to try again, None where nothing waits.

        What S3 will never take is dropped with a word, so that it does not hold up the rest.
        """
        sent = 0
        for entry in self._spool.entries():
            try:
                self.send(entry)
                sent += 1
            except Refused as refusal:
                self._say(f"{entry.target}…{entry.milliseconds}.json is dropped: {refusal}")
            except Failed as failure:
                return self._later(failure)
        if self._failures:
            self._say(f"reports are sent again: {sent} had waited")
        self._failures = 0
        return None

    def _later(self, failure: Failed) -> float:
        if not self._failures:
            self._say(f"reports wait: {failure}")
        self._failures += 1
        longest = min(_LONGEST, _FIRST * 2.0 ** min(self._failures - 1, 16))
        # Somewhere in the second half: instances that failed together do not come back together.
        return longest * (0.5 + 0.5 * self._chance())
