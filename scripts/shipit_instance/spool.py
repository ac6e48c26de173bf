"""Keep reports until S3 has them: a folder of small files, each of them whole or not there.

Every process that reports shares the folder. Names count up, so that what was reported first is sent first, whatever
the clock does. The folder holds so many entries at most: the oldest heartbeats make room, since a later one says the
same. Where the disk takes nothing, entries wait in this process's memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from shipit_instance.rows import Report

#: How many objects may wait: three days of heartbeats, in 4 MB. The table of reports looks back for a week.
LIMIT = 1000
#: How many may wait in memory.
_IN_MEMORY = 50
#: Milliseconds: a moment this much before one that was given is given another, a larger step is the clock's own.
_WINDOW = 1000
_HEARTBEAT = "heartbeat"


class Entry(NamedTuple):
    """Hold one object to write: its key is `target`, the writer's user id, a hyphen and `milliseconds`, .json."""

    name: str
    target: str
    milliseconds: int
    body: str


class Spool:
    """Keep entries in a folder."""

    def __init__(self, folder: str, say: Callable[[str], None], limit: int = LIMIT) -> None:
        """Use `folder`, which is made when it is needed; `say` gets a line for whatever is dropped."""
        self.folder = folder
        self._say = say
        self._limit = limit
        self._memory: list[Entry] = []
        #: Names of files that were sent and would not go.
        self._stuck: set[str] = set()
        self._last = 0

    def moment(self, now: float) -> int:
        """Return `now` (epoch seconds) in milliseconds, or the next one that no report of this instance bears yet."""
        with self._locked() as lock:
            # The lock's own time is the last moment given: other processes see it, and a full disk does not matter.
            last = os.fstat(lock).st_mtime_ns // 1_000_000 if lock is not None else self._last
            found = int(now * 1000)
            if last - _WINDOW <= found <= last:
                found = last + 1
            self._last = found
            if lock is not None:
                with contextlib.suppress(OSError):
                    os.utime(lock, ns=(found * 1_000_000, found * 1_000_000))
            return found

    def add(self, report: Report) -> tuple[Entry, ...]:
        """Keep a report until it is removed: one entry for each object. Never fails."""
        with self._locked() as lock:
            names = self._names()
            for name in self._excess(names, len(report.targets)):
                self._say(f"the spool is full: {name} is dropped")
                self._unlink(name)
            waiting = [*names, *(entry.name for entry in self._memory)]
            number = max((_number(name) for name in waiting), default=0)
            made = []
            for target in report.targets:
                number += 1
                name = f"{number:010d}.{report.reason}.json"
                entry = Entry(name, target, report.milliseconds, report.body)
                if lock is None or not self._write(entry):
                    self._memory = [*self._memory, entry][-_IN_MEMORY:]
                made.append(entry)
            return tuple(made)

    def entries(self) -> Iterator[Entry]:
        """Yield what waits, oldest first; what cannot be read is dropped, with a word."""
        memory = {entry.name: entry for entry in self._memory}
        for name in sorted({*self._names(), *memory} - self._stuck):
            entry = memory.get(name) or self._read(name)
            if entry is not None:
                yield entry

    def remove(self, entry: Entry) -> None:
        """Let an entry go: it was sent, or never will be."""
        self._memory = [one for one in self._memory if one.name != entry.name]
        self._unlink(entry.name)

    def __len__(self) -> int:
        """Return how many wait."""
        return len({*self._names(), *(entry.name for entry in self._memory)} - self._stuck)

    def _names(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self.folder) if name.endswith(".json"))
        except OSError:
            return []

    def _excess(self, names: list[str], coming: int) -> list[str]:
        count = len(names) + coming - self._limit
        if count <= 0:
            return []
        # Stable: among those that are alike, the oldest.
        return sorted(names, key=lambda name: f".{_HEARTBEAT}." not in name)[:count]

    def _read(self, name: str) -> Entry | None:
        try:
            with open(os.path.join(self.folder, name), encoding="utf-8") as file:
                found = json.load(file)
            return Entry(name, str(found["target"]), int(found["milliseconds"]), str(found["body"]))
        except FileNotFoundError:  # another process sent it
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._say(f"{name} cannot be read and is dropped: {error!r}")
            self._unlink(name)
            return None

    def _write(self, entry: Entry) -> bool:
        """Write a file whole or not at all; a process that is killed leaves a name that nobody reads.

        Not synced to the disk: an instance that loses power loses its disk too.
        """
        path = os.path.join(self.folder, entry.name)
        try:
            with open(path + ".tmp", "w", encoding="utf-8") as file:
                json.dump({"target": entry.target, "milliseconds": entry.milliseconds, "body": entry.body}, file)
            os.rename(path + ".tmp", path)
        except OSError as error:
            self._say(f"{path}: {error.strerror}; the report waits in memory")
            with contextlib.suppress(OSError):
                os.unlink(path + ".tmp")
            return False
        return True

    def _unlink(self, name: str) -> None:
        try:
            os.unlink(os.path.join(self.folder, name))
        except FileNotFoundError:
            pass
        except OSError:
            self._stuck.add(name)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int | None]:
        """Hold the folder's lock, which the kernel frees when its holder dies; None where there can be none."""
        lock = None
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            path = os.path.join(self.folder, "lock")
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._clean()
        except OSError:
            if lock is not None:
                os.close(lock)
                lock = None
        try:
            yield lock
        finally:
            if lock is not None:
                os.close(lock)

    def _clean(self) -> None:
        """Remove what a process that was killed left half-written: files are written under the lock alone."""
        for name in os.listdir(self.folder):
            if name.endswith(".tmp"):
                self._unlink(name)


def _number(name: str) -> int:
    digits = name.partition(".")[0]
    return int(digits) if digits.isdigit() else 0
