"""An S3 that writes under conditions and loses answers, one time for all who use it, and machines that die."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from fakes import NOON

from shipit.errors import AwsError, AwsUnavailable
from shipit.lock import Claim, Held, Host, Lock, Process
from shipit.models import StoredJson

KEY = "locks/test.json"


@dataclass
class FakeS3:
    """S3, and the time that truly passes: `passed` seconds.

    `faults` say what befalls the next writes: `before` (an error, nothing written), `after` (written, then an error),
    `refused` (written, and refused: what botocore's second try shows), `conflict` (refused, nothing written), a
    number (seconds that the request takes on its way there, and again on its way back) or `ok`.
    """

    passed: float = 0.25
    faults: list[str | float] = field(default_factory=list)
    writes: int = 0
    down: bool = False
    objects: dict[str, tuple[str, str, float]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read_json(self, key: str) -> StoredJson | None:
        time.sleep(0)
        if self.down:
            raise AwsUnavailable("S3 is down")
        with self.lock:
            if key not in self.objects:
                return None
            body, etag, written = self.objects[key]
            age = math.floor(self.passed) - math.floor(written)
            return StoredJson(value=json.loads(body), etag=etag, age=float(age))

    def write_json(self, key: str, value: Any, *, replaces: str | None) -> str | None:
        time.sleep(0)
        fault = self.faults.pop(0) if self.faults else "ok"
        if self.down or fault == "before":
            raise AwsUnavailable("S3 is down")
        if fault == "conflict":
            return None
        slow = fault if isinstance(fault, float) else 0.0
        self.passed += slow
        with self.lock:
            there = self.objects.get(key)
            if (there[1] if there else None) != replaces:
                return None
            body = json.dumps(value)
            # A digest of the content, as S3's is: the same content again would be the same etag.
            etag = hashlib.md5(body.encode()).hexdigest()
            self.objects[key] = (body, etag, self.passed)
            self.writes += 1
        self.passed += slow
        if fault == "after":
            raise AwsUnavailable("the connection was lost")
        return None if fault == "refused" else etag

    def put(self, value: Any, key: str = KEY) -> None:
        """Write whatever there is, as somebody by hand may."""
        self.objects[key] = (json.dumps(value), f"by hand {value}", self.passed)

    @property
    def value(self) -> Any:
        return json.loads(self.objects[KEY][0])


@dataclass
class Machine:
    """A machine with a clock that may be wrong, and processes that may be gone; satisfies `Host` and `Clock`."""

    s3: FakeS3
    name: str = "laptop"
    machine: str = "boot-1"
    pid: int = 1
    wrong: timedelta = timedelta(0)
    gone: set[int] = field(default_factory=set)
    sleeps: list[float] = field(default_factory=list)
    on_sleep: Callable[[int], None] = lambda count: None

    def me(self) -> Process:
        return Process(host=self.name, machine=self.machine, pid=self.pid, start="7")

    def has_ended(self, process: Process) -> bool:
        return (process.host, process.machine) == (self.name, self.machine) and process.pid in self.gone

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.s3.passed) + self.wrong

    def sleep(self, seconds: float) -> None:
        self.on_sleep(len(self.sleeps))
        self.sleeps.append(seconds)
        self.s3.passed += seconds

    def lock(self, ttl: float = 120.0) -> Lock:
        return Lock(self.s3, "test", clock=self, ttl=ttl, host=self, ticks=lambda: self.s3.passed)

    def take(self, by: str = "ada@laptop", **more: Any) -> Held:
        return self.lock().acquire(Claim(by=by, **more))


def believes(held: Held) -> bool:
    """Tell whether a holder thinks that the lock is its own."""
    try:
        held.check()
    except AwsError as error:
        raise AssertionError("check is to say that the lock is lost, not why S3 failed") from error
    except Exception:
        return False
    return True


_: type[Host] = Machine


def until(so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.005)
