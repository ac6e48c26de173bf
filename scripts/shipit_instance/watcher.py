"""Watch one instance for its end: look, decide, drain, report, let go; one look after another.

Nothing that fails here ends a look: a metadata service, a systemd or an Auto Scaling that does not answer is said
once and asked again. All that must be known can be seen anew, so a watcher that is started in the middle of a drain
takes it up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Protocol

from shipit_instance.facts import Settings
from shipit_instance.leaving import TAKEN_AWAY, Leaving, Seen, Stages, decide, stages
from shipit_instance.lifecycle import Hook
from shipit_instance.metadata import Failed, Metadata
from shipit_instance.rows import read_environment
from shipit_instance.workers import Worker

#: Seconds between two looks while the instance leaves, at most.
_LEAVING_POLL = 1.0
#: Seconds that the last reports have to be sent before the instance is let go.
_LAST_REPORTS = 10.0
#: Seconds by which an end must come earlier for a drain to be begun anew.
_EARLIER = 1.0


class Units(Protocol):
    """What the watcher needs of systemd; each raises Failed."""

    def workers(self) -> list[Worker]:
        """Return the workers that run, start or stop."""

    def stop(self, unit: str) -> None:
        """Let a unit stop; does not wait."""

    def kill(self, unit: str) -> None:
        """Kill a unit's processes."""


class Reports(Protocol):
    """What the watcher needs of reporting."""

    def observe(self, running: list[int], alive: list[int]) -> bool:
        """Report what has changed and what is due; tell whether anything was."""


class Watcher:
    """Take looks; `step` is one."""

    def __init__(
        self,
        *,
        look: Callable[[], Seen],
        units: Units,
        reports: Reports,
        waiting: Callable[[], int],
        hook: Callable[[], Hook | None],
        drain: Callable[[int, float, float, float], str],
        spawn: Callable[[Callable[[], None]], None],
        settings: Settings,
        monotonic: Callable[[], float],
        say: Callable[[str], None],
        environment: Callable[[int], Mapping[str, str]] = read_environment,
    ) -> None:
        """Watch by these parts.

        `look` asks the metadata service, `waiting` tells how many reports are to be sent. `hook` gives what holds the
        instance by its lifecycle action, None where nothing does. `drain` takes a process through wait, grace and
        cold and says how it went (drain.py); `spawn` runs such a drain beside the looks. `environment` is what a
        process was started with.
        """
        self._look = look
        self._units = units
        self._reports = reports
        self._waiting = waiting
        self._make_hook = hook
        self._drain_process = drain
        self._spawn = spawn
        self._settings = settings
        self._monotonic = monotonic
        self._say = say
        self._environment = environment
        self._poll = settings.seconds("SHIPIT_WATCH_POLL") or 5.0
        self._margin = settings.seconds("SHIPIT_SPOT_MARGIN")
        self._heed_rebalance = settings.text("SHIPIT_REBALANCE") == "drain"
        self._leaving: Leaving | None = None
        self._hook: Hook | None = None
        self._drained_at: float | None = None
        self._workers: list[Worker] = []
        #: By which end each process is drained; None: as usual.
        self._drains: dict[int, float | None] = {}
        self._failing = ""

    def step(self) -> float:
        """Take one look and act on it; return the seconds until the next."""
        seen, now = self._look(), self._monotonic()
        leaving = decide(self._leaving, seen, now, heed_rebalance=self._heed_rebalance)
        if leaving != self._leaving:
            self._say(_told(leaving, now))
            self._leaving = leaving
        known = self._refresh()
        # Before any of them is told to stop: one that is first seen in the end has run, too.
        running = [worker.pid for worker in self._workers if worker.consumes and worker.pid not in self._drains]
        if leaving:
            for worker in self._workers:
                self._see_off(worker, leaving, now)
        else:
            self._drains, self._drained_at, self._hook = {}, None, None
        if known or self._workers:
            self._reports.observe(running, [worker.pid for worker in self._workers if worker.pid])
        if leaving and known:
            self._let_go(seen, now)
        return min(self._poll, _LEAVING_POLL) if leaving else self._poll

    def last_step(self) -> None:
        """Report what has ended, without a look at anything else: the watcher is told to stop."""
        if self._refresh():
            self._reports.observe([], [worker.pid for worker in self._workers if worker.pid])

    def _refresh(self) -> bool:
        """Learn which workers there are; where systemd does not answer, those of before that still have a process."""
        try:
            self._workers = self._units.workers()
        except Failed as failure:
            if str(failure) != self._failing:
                self._say(str(failure))
            self._failing = str(failure)
            self._workers = [one for one in self._workers if one.pid and os.path.exists(f"/proc/{one.pid}")]
            return False
        self._failing = ""
        return True

    def _see_off(self, worker: Worker, leaving: Leaving, now: float) -> None:
        """Begin to drain a worker, or begin anew where its end has come nearer."""
        if not worker.pid:
            if worker.state == "activating":  # it is about to be started again
                self._quietly(self._units.stop, worker.unit)
            return
        ends_at = leaving.ends_at
        if worker.pid in self._drains:
            before = self._drains[worker.pid]
            if ends_at is None or (before is not None and before - ends_at < _EARLIER):
                return
        elif worker.state == "deactivating" and ends_at is None:
            return  # a deployment stops it, with all the time that it needs
        self._drains[worker.pid] = ends_at
        chosen = stages(leaving, now, margin=self._margin, usual=self._usual(worker.pid))
        self._say(
            f"{worker.unit}: draining process {worker.pid}, at most {chosen.wait:.1f} s until SIGTERM, "
            f"{chosen.grace:.1f} s for its tasks, {chosen.cold:.1f} s to give messages back"
        )
        self._spawn(lambda: self._drain(worker, chosen))

    def _usual(self, pid: int) -> Stages:
        """Return the stages that the worker's own unit sets, or else the instance."""
        try:
            own = {name: value for name, value in self._environment(pid).items() if name.startswith("SHIPIT_DRAIN_")}
        except OSError:
            own = {}
        settings = self._settings.over(own)
        return Stages(*(settings.seconds(f"SHIPIT_DRAIN_{name}") for name in ("WAIT", "GRACE", "COLD")))

    def _drain(self, worker: Worker, chosen: Stages) -> None:
        try:
            how = self._drain_process(worker.pid, chosen.wait, chosen.grace, chosen.cold)
        except OSError as error:
            how = f"alive: {error}"
        self._say(f"{worker.unit}: {how}")
        if how.startswith("alive"):
            self._quietly(self._units.kill, worker.unit)
        # Its Restart= shall not bring it back, however it ended.
        self._quietly(self._units.stop, worker.unit)

    def _let_go(self, seen: Seen, now: float) -> None:
        """Extend the lifecycle action until the workers are gone and their end is reported; then end it."""
        if self._workers:
            self._drained_at = None
        elif self._drained_at is None:
            self._drained_at = now
            self._say("no worker runs any more")
        if seen.target in TAKEN_AWAY and self._hook is None:
            self._hook = self._make_hook()
        if self._hook is not None:
            drained = self._drained_at is not None and (
                not self._waiting() or now - self._drained_at >= _LAST_REPORTS
            )
            self._hook.step(now, drained=drained)

    def _quietly(self, act: Callable[[str], None], unit: str) -> None:
        try:
            act(unit)
        except Failed as failure:
            self._say(str(failure))


def _told(leaving: Leaving | None, now: float) -> str:
    if leaving is None:
        return "this instance stays after all; workers that were stopped stay stopped"
    if leaving.ends_at is None:
        return f"this instance leaves: {leaving.why}"
    return f"this instance leaves: {leaving.why}, in {leaving.ends_at - now:.0f} s"


class Eyes:
    """Look at the metadata service; say once that it fails, and that it answers again."""

    def __init__(
        self, metadata: Metadata, wall: Callable[[], float], say: Callable[[str], None], *, rebalance: bool
    ) -> None:
        """Ask for rebalance recommendations only with `rebalance`."""
        self._metadata = metadata
        self._wall = wall
        self._say = say
        self._rebalance = rebalance
        self._blind = False

    def __call__(self) -> Seen:
        """Take a look; after the first failure nothing more is asked, for each may take its whole time."""
        found: dict[str, str | None] = {"spot": None, "target": None, "rebalance": None}
        try:
            found["spot"] = self._metadata.get("meta-data/spot/instance-action") or ""
            found["target"] = self._metadata.get("meta-data/autoscaling/target-lifecycle-state") or ""
            if self._rebalance:
                found["rebalance"] = self._metadata.get("meta-data/events/recommendations/rebalance") or ""
        except Failed as failure:
            if not self._blind:
                self._say(f"{failure}; looking again")
            self._blind = True
        else:
            if self._blind:
                self._say("the instance metadata answer again")
            self._blind = False
        return Seen(found["spot"], found["target"], found["rebalance"], self._wall() + self._metadata.ahead)
