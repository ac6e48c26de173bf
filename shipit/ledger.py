"""Keep the record of each rollout in S3: any machine knows what was deployed, can watch it, and leave it word."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from shipit.errors import AwsUnavailable, DamagedError, ShipitError, UsageError
from shipit.models import RolloutRecord, StoredJson

_LATEST, _ORDERS = "latest", ".orders"
_RECORDS: TypeAdapter[RolloutRecord] = TypeAdapter(RolloutRecord)


class Store(Protocol):
    """What the ledger needs of S3: JSON objects by key."""

    def get_json(self, key: str) -> Any:
        """Return the value, or None where there is none; raises DamagedError where it is no JSON."""

    def put_json(self, key: str, value: Any) -> None:
        """Write the value over whatever was there."""

    def read_json(self, key: str) -> StoredJson | None:
        """Return the value with its etag, or None where there is none."""

    def write_json(self, key: str, value: Any, *, replaces: str | None) -> str | None:
        """Write over the value of this etag, or where there is none; None where another was faster."""

    def names(self, prefix: str) -> Iterable[str]:
        """Return the names of the objects right below `prefix/`, in order."""


@dataclass(frozen=True, kw_only=True)
class LostRecord:
    """Name a rollout that took place and of which the record says nothing any more, and what became of that."""

    id: str
    why: str


def new_id(now: datetime) -> str:
    """Return an id for a rollout that sorts by time and that two machines will not share."""
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


class Ledger:
    """Read and write the rollouts of one environment, below `rollouts/<env>/`."""

    def __init__(self, store: Store, env: str) -> None:
        """Keep them in `store`."""
        self._store = store
        self._env = env

    def write(self, record: RolloutRecord) -> None:
        """Write the record."""
        self._store.put_json(self._key(record.id), {"schema": 1, **_RECORDS.dump_python(record, mode="json")})

    def open(self, record: RolloutRecord) -> RolloutRecord:
        """Write the record of a rollout that begins, and make it the latest; return it with the one before it."""
        latest = self.latest_id()
        if latest != record.id:
            record = replace(record, previous=latest)
        self.write(record)
        self._store.put_json(self._key(_LATEST), {"id": record.id})
        return record

    def latest(self) -> RolloutRecord | None:
        """Return the record of the rollout that was started last, if any was."""
        rollout_id = self.latest_id()
        return self.read(rollout_id) if rollout_id else None

    def latest_id(self) -> str:
        """Return the id of the rollout that was started last, empty where none was; its record may be lost.

        Where the pointer to it is lost or damaged, it is the newest of those on record: ids sort by time.
        """
        with suppress(DamagedError):
            pointer = self._store.get_json(self._key(_LATEST))
            if isinstance(pointer, dict) and isinstance(found := pointer.get("id"), str) and found:
                return found
        return next(iter(self._ids()), "")

    def read(self, rollout_id: str) -> RolloutRecord:
        """Return the record; raises UsageError where there is none of this id, DamagedError where it is damaged."""
        found = self.find(rollout_id)
        if found is None:
            raise UsageError(
                f"no rollout {rollout_id!r} in {self._env}", hint="inv history lists them; without an id: the last"
            )
        return found

    def find(self, rollout_id: str) -> RolloutRecord | None:
        """Return the record, None where there is none; raises DamagedError where it is damaged."""
        value = self._store.get_json(self._key(rollout_id))
        if value is None:
            return None
        try:
            return _RECORDS.validate_python({k: v for k, v in value.items() if k != "schema"})
        except (ValidationError, AttributeError) as error:
            said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise DamagedError(f"the record {self._key(rollout_id)} is damaged: {said}") from error

    def recent(self, most: int = 20) -> tuple[RolloutRecord, ...]:
        """Return those of the last `most` rollouts that can be read, the newest first."""
        return tuple(found for found in islice(self.back(), most) if isinstance(found, RolloutRecord))

    def back(self) -> Iterator[RolloutRecord | LostRecord]:
        """Yield the record of the last rollout, then the older ones, newest first; each is read when it is asked for.

        Each names the one before it; where one does not, for it is lost or was written before they did, the next
        older id comes next. One that is lost or damaged is told as such: whoever reads what past rollouts brought
        must not take an older word for it.
        """
        rollout_id, told = self.latest_id(), set[str]()
        ids: list[str] | None = None
        while rollout_id:
            found = self._found(rollout_id)
            yield found
            told.add(rollout_id)
            previous = found.previous if isinstance(found, RolloutRecord) else ""
            if not previous or previous in told:
                ids = self._ids() if ids is None else ids
                previous = next((i for i in ids if i < rollout_id and i not in told), "")
            rollout_id = previous

    def _found(self, rollout_id: str) -> RolloutRecord | LostRecord:
        try:
            found = self.find(rollout_id)
        except DamagedError as error:
            return LostRecord(id=rollout_id, why=error.message)
        return found or LostRecord(id=rollout_id, why=f"{self._key(rollout_id)} is lost")

    def order(self, rollout_id: str, **word: Any) -> None:
        """Leave word for whoever drives the rollout: `stop` (by whom), `promoted` (how many waves may go on)."""
        key = self._orders(rollout_id)
        while True:
            found = self._store.read_json(key)
            value = {**(found.value if found else {}), **word}
            if self._store.write_json(key, value, replaces=found.etag if found else None) is not None:
                return

    def orders(self, rollout_id: str) -> dict[str, Any]:
        """Return the words that were left."""
        return dict(self._store.get_json(self._orders(rollout_id)) or {})

    def _ids(self) -> list[str]:
        """Return the ids of all rollouts, the newest first."""
        names = [n.removesuffix(".json") for n in self._store.names(f"rollouts/{self._env}") if n.endswith(".json")]
        return sorted((n for n in names if n != _LATEST and not n.endswith(_ORDERS)), reverse=True)

    def _orders(self, rollout_id: str) -> str:
        return self._key(f"{rollout_id}{_ORDERS}")

    def _key(self, name: str) -> str:
        return f"rollouts/{self._env}/{name}.json"


class Scribe:
    """Write a record whenever it changes and read what others ordered, in a thread: S3's moods hold nobody up."""

    def __init__(
        self, ledger: Ledger, record: RolloutRecord, *, warn: Callable[[str], None], every: float = 5.0
    ) -> None:
        """Keep `record`, and look for orders every so many seconds; `warn` hears once when S3 does not answer."""
        self.record = record
        self.orders: dict[str, Any] = {}
        self._ledger = ledger
        self._warn = warn
        self._every = every
        self._changed = threading.Event()
        self._closed = False
        self._warned = False
        self._written = record
        self._thread = threading.Thread(target=self._run, name="scribe", daemon=True)

    def start(self) -> None:
        """Write the record before anything else happens, and begin; raises AwsError."""
        self._written = self.record = self._ledger.open(self.record)
        self._thread.start()

    def keep(self, record: RolloutRecord) -> None:
        """Write this record soon; of several only the last."""
        self.record = record
        self._changed.set()

    def look(self) -> None:
        """Read what others ordered now; what S3 does not say stays as it was."""
        with suppress(ShipitError):
            self.orders = self._ledger.orders(self.record.id)

    def leave(self) -> None:
        """End without another word: what is still owed is somebody else's to write."""
        self._written = self.record
        self._end()
        self._written = self.record

    def close(self, *, patience: float = 0.0) -> None:
        """Write what is still owed, and end; raises AwsError where S3 refuses the last word.

        For `patience` seconds an S3 that is out of reach is asked again.
        """
        self._end()
        deadline = time.monotonic() + patience
        while self._written is not self.record:
            try:
                self._ledger.write(self.record)
                return
            except AwsUnavailable:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(min(1.0, self._every))

    def _end(self) -> None:
        self._closed = True
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            self._changed.wait(self._every)
            self._changed.clear()
            try:
                record = self.record
                if record is not self._written:
                    self._ledger.write(record)
                    self._written = record
                self.orders = self._ledger.orders(record.id)
                self._warned = False
            except ShipitError as error:
                self._changed.wait(1.0)
                if self._written is not self.record:
                    self._changed.set()
                if not self._warned:
                    self._warned = True
                    self._warn(f"the rollout's record cannot be kept now: {error.message}; it is tried again")
