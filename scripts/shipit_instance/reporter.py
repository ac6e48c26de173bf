"""Say what runs: when a worker starts, when the last one has ended, and a heartbeat between."""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Callable, Iterable

from shipit_instance.facts import Identity, Settings
from shipit_instance.rows import Process, make_report, read_deployment, read_installed, read_process
from shipit_instance.spool import Spool


class Reporter:
    """Compare the workers of each look with those of the one before, and put reports into the spool.

    Who was there is kept on disk, so that a watcher that is started anew neither repeats a start nor misses an end.
    """

    def __init__(
        self,
        *,
        home: str,
        settings: Settings,
        identity: Identity,
        spool: Spool,
        wall: Callable[[], float],
        say: Callable[[str], None],
        read: Callable[[int], Process] = read_process,
    ) -> None:
        """Report on the application installed at `home`; `wall` tells epoch seconds, `read` looks at a process."""
        self._home = home
        self._settings = settings
        self._identity = identity
        self._spool = spool
        self._wall = wall
        self._say = say
        self._read = read
        self._memory = os.path.join(spool.folder, "workers")
        self._known = self._recall()
        self._every = settings.seconds("SHIPIT_HEARTBEAT") or 300.0
        # By the instance's own name: 300 that were deployed to in the same second report at 300 times, and always at
        # the same, whoever restarts the watcher.
        self._phase = random.Random(identity.instance_id).random() * self._every
        self._beat = self._count()

    def observe(self, running: Iterable[int], alive: Iterable[int]) -> bool:
        """Report what has changed and what is due; tell whether anything was.

        `running` are the main processes that work, `alive` all there are, those that drain among them.
        """
        present = [process for pid in running if (process := self._look(pid)) is not None]
        alive = {*alive}
        new = [process for process in present if not self._knows(process)]
        kept = [one for one in self._known if one.pid in alive and all(one.pid != other.pid for other in new)]
        gone = [one for one in self._known if one not in kept]
        for process in new:
            self._report("start", process)
        if gone and not kept and not new:
            # While another works, as between two builds, the instance goes on: nothing has stopped.
            self._report("stop", None, gone[-1])
        if new or gone:
            self._known = [*kept, *new]
            self._remember()
        due = self._count() != self._beat
        if due:
            self._beat = self._count()
            if present:
                self._report("heartbeat", self._spokesman(present))
        return bool(new or gone or (due and present))

    def _look(self, pid: int) -> Process | None:
        try:
            return self._read(pid)
        except (OSError, ValueError, IndexError):  # it has just ended
            return None

    def _knows(self, process: Process) -> bool:
        return any((one.pid, one.ticks) == (process.pid, process.ticks) for one in self._known)

    def _spokesman(self, present: list[Process]) -> Process:
        """Choose who speaks while two builds run: the one that was installed last, or else started last."""
        installed = read_installed(self._home)["version"]
        return max(present, key=lambda process: (process.build == installed, process.ticks))

    def _count(self) -> int:
        """Number the heartbeats by the clock, so that a clock that is set brings at most one too many."""
        return int((self._wall() - self._phase) // self._every)

    def _report(self, reason: str, process: Process | None, last: Process | None = None) -> None:
        about = process or last
        assert about is not None
        try:
            report = make_report(
                reason,
                process,
                home=self._home,
                settings=self._settings,
                identity=self._identity,
                deployment=read_deployment(self._home, about.build),
                milliseconds=self._spool.moment(self._wall()),
                started_at=about.started_at,
            )
        except KeyError as error:
            self._say(f"nothing is reported: instance.env does not say {error}")
            return
        self._spool.add(report)
        if reason != "heartbeat":
            self._say(f"{reason}: process {about.pid} of {about.build or 'no known build'}")

    def _recall(self) -> list[Process]:
        try:
            with open(self._memory, encoding="utf-8") as file:
                found = json.load(file)
            return [Process(int(pid), int(ticks), str(build), str(at)) for pid, ticks, build, at in found]
        except (OSError, ValueError, TypeError):
            return []

    def _remember(self) -> None:
        # What cannot be kept costs a report too many after a restart, or one too few; no more than that.
        with contextlib.suppress(OSError):
            os.makedirs(self._spool.folder, mode=0o700, exist_ok=True)
            with open(self._memory + ".new", "w", encoding="utf-8") as file:
                json.dump(self._known, file)
            os.replace(self._memory + ".new", self._memory)
