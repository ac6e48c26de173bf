"""Keep a record of each rollout in S3, so that any machine knows what was deployed last, and can watch it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from shipit.errors import ShipitError, UsageError


class Store(Protocol):
    """What the ledger needs of S3: JSON objects by key."""

    def get_json(self, key: str) -> Any:
        """Return the value, or None where there is none."""

    def put_json(self, key: str, value: Any) -> None:
        """Write the value over whatever was there."""


@dataclass(frozen=True, kw_only=True)
class RolloutRecord:
    """Remember one rollout: who started it, which build, and each group's deployment id ("" if not started).

    `excluded` are the groups that the rollout left alone on purpose: nothing is expected of them.
    """

    id: str
    env: str
    build: str
    by: str
    started_at: datetime
    groups: Mapping[str, str] = field(default_factory=dict)
    excluded: tuple[str, ...] = ()
    outcome: str = "running"


def new_id(now: datetime) -> str:
    """Return an id for a rollout that sorts by time and that two machines will not share."""
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


class Ledger:
    """Read and write the rollout records of one environment, below `rollouts/<env>/`."""

    def __init__(self, store: Store, env: str) -> None:
        """Keep the records in `store`."""
        self._store = store
        self._env = env

    def write(self, record: RolloutRecord) -> None:
        """Write the record, and point `latest` at it."""
        self._store.put_json(self._key(record.id), _to_json(record))
        self._store.put_json(self._key("latest"), {"id": record.id})

    def latest(self) -> RolloutRecord | None:
        """Return the record of the rollout that was started last, if any was."""
        pointer = self._store.get_json(self._key("latest"))
        return self.read(pointer["id"]) if pointer else None

    def read(self, rollout_id: str) -> RolloutRecord:
        """Return the record; raises UsageError where there is none of this id, ShipitError where it is damaged."""
        value = self._store.get_json(self._key(rollout_id))
        if value is None:
            raise UsageError(
                f"no rollout {rollout_id!r} in {self._env}", hint="inv watch without an id takes the last rollout"
            )
        try:
            return _from_json(value)
        except (KeyError, TypeError, ValueError) as error:
            raise ShipitError(f"the record {self._key(rollout_id)} is damaged: {error!r}") from error

    def _key(self, name: str) -> str:
        return f"rollouts/{self._env}/{name}.json"


def _to_json(record: RolloutRecord) -> dict[str, Any]:
    return {
        "schema": 1,
        "id": record.id,
        "env": record.env,
        "build": record.build,
        "by": record.by,
        "started_at": record.started_at.isoformat(),
        "groups": dict(record.groups),
        "excluded": list(record.excluded),
        "outcome": record.outcome,
    }


def _from_json(value: Mapping[str, Any]) -> RolloutRecord:
    return RolloutRecord(
        id=value["id"],
        env=value["env"],
        build=value["build"],
        by=value["by"],
        started_at=datetime.fromisoformat(value["started_at"]),
        groups=dict(value["groups"]),
        excluded=tuple(value["excluded"]),
        outcome=value["outcome"],
    )
