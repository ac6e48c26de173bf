"""What stands in the lock's object, as it is read and written."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Protocol

from shipit.models import StoredJson

#: Writes in a row that may be refused although nobody else is seen to hold the lock.
TRIES = 10


class Store(Protocol):
    """What the lock needs of S3: JSON objects that are written under a condition."""

    def read_json(self, key: str) -> StoredJson | None:
        """Return the value with its etag and age, or None where there is none."""

    def write_json(self, key: str, value: Any, *, replaces: str | None) -> str | None:
        """Write over the version `replaces`, or where the key is free; return the etag, None where refused."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """Name one process for ever: `machine` is one boot and pid namespace of `host`, `start` tells pids apart."""

    host: str
    machine: str
    pid: int
    start: str


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Say who takes the lock (user@host or a CI job's address), for which build and rollout, and why.

    A `manual` lock is a person's: it is not renewed, does not expire, and nobody waits it out.
    """

    by: str
    build: str = ""
    why: str = ""
    rollout: str = ""
    manual: bool = False


@dataclass(frozen=True, kw_only=True)
class Holding(Claim):
    """Describe who has the lock, as others see it.

    `since` is by the holder's clock, `age` the seconds since the last renewal by S3's, `ttl` the seconds after which
    it expires (None: never). `expired`: the next who asks gets it, for it was not renewed or its process is gone.
    """

    token: str
    host: str
    since: datetime
    ttl: float | None
    age: float
    expired: bool

    def __str__(self) -> str:
        """Return all of it in one line."""
        where = "" if self.host in self.by else f" on {self.host}"
        what = [f"rollout {self.rollout}"] * bool(self.rollout) + [f"build {self.build}"] * bool(self.build)
        said = ", ".join([*what, *[f'"{self.why}"'] * bool(self.why)])
        kind = "locked by hand by" if self.manual else "locked by"
        return f"{kind} {self.by}{where} since {self.since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" + (
            f": {said}" if said else ""
        )


def held(claim: Claim, *, token: str, process: Process, since: datetime, ttl: float | None) -> dict[str, Any]:
    """Return what stands in the object while somebody has the lock."""
    return {
        **asdict(claim),
        "schema": 1,
        "state": "held",
        "token": token,
        "process": asdict(process),
        "since": since.isoformat(),
        "ttl": ttl,
    }


def free(host: str) -> dict[str, Any]:
    """Return what stands in the object once it was freed from `host`."""
    return {"schema": 1, "state": "free", "host": host}


def parse(stored: StoredJson) -> tuple[Holding, Process] | None:
    """Return who has the lock, and by which process, or None where it is free.

    `expired` is still False. Raises KeyError, TypeError or ValueError where the object is damaged.
    """
    value = stored.value
    if value["schema"] != 1 or value["state"] not in ("free", "held"):
        raise ValueError(f"schema {value['schema']}, state {value['state']!r}")
    if value["state"] == "free":
        return None
    process = Process(**value["process"])
    holding = Holding(
        **{field.name: value[field.name] for field in fields(Claim)},
        token=value["token"],
        host=process.host,
        since=datetime.fromisoformat(value["since"]),
        ttl=None if value["ttl"] is None else float(value["ttl"]),
        age=stored.age,
        expired=False,
    )
    return holding, process


def write(
    store: Store, key: str, value: Mapping[str, Any], replaces: str | None
) -> tuple[str | None, StoredJson | None]:
    """Write under the condition; return the new etag, or None and what stands there instead."""
    nonce = secrets.token_hex(8)
    etag = store.write_json(key, {**value, "nonce": nonce}, replaces=replaces)
    if etag is not None:
        return etag, None
    found = store.read_json(key)
    if found is not None and get(found, "nonce") == nonce:
        return found.etag, None
    return None, found


def get(stored: StoredJson | None, name: str) -> Any:
    """Return one field of the object; None where it, or the whole object, is missing or damaged."""
    return stored.value.get(name) if stored is not None and isinstance(stored.value, dict) else None


def fate(found: StoredJson | None) -> str:
    """Return what became of a lock that is no longer ours."""
    if get(found, "state") == "held":
        return f"was taken over by {get(found, 'by')}"
    host = get(found, "host")
    return f"was freed on {host}" if host else "was deleted or overwritten"


def span(seconds: float) -> str:
    """Return a duration for people."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
