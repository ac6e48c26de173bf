"""From any machine: watch a rollout that another process drives, stop it, let its next wave start."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from shipit.diagnose import cluster, explain
from shipit.errors import (
    AwsUnavailable,
    BusyError,
    DamagedError,
    DriftError,
    GroupsRefused,
    Interrupted,
    ShipitError,
    StillRunning,
    UsageError,
)
from shipit.events import (
    GroupDiagnosed,
    GroupEnded,
    GroupProgress,
    GroupStarted,
    Notice,
    RolloutFinished,
    RolloutStarted,
    Tick,
    WavePaused,
    WaveStarted,
)
from shipit.flows import check, undo
from shipit.flows.deploy import Wish, locked, manner_of, plan_of
from shipit.flows.ends import end_of
from shipit.flows.locks import drives
from shipit.flows.prepare import estimated
from shipit.models import Deployment, DeploymentStatus, GroupEntry, Outcome, Overview, Phase, RolloutRecord
from shipit.rollout import Mark, Scout, complete, gather
from shipit.wiring import Tool
from shipit.wiring.person import author
from shipit.wording import plural

#: Most seconds between two looks at whether the process that drives a rollout still lives, and at its record.
_LOOK = 5.0
#: Between two lines that AWS did not answer.
_WARN_EVERY = timedelta(seconds=30)
#: Seconds that a stop waits for the deployments to end and for the driver to heed it.
_STOP_WITHIN = 120.0


def watch(tool: Tool, rollout: str) -> None:
    """Attach to a rollout and end as the deploy that started it would have."""
    record = _find(tool, rollout)
    if record.outcome is Outcome.RUNNING or record.outcome.resumable:
        record = _Watcher(tool, record).run()
    if record.outcome is not Outcome.RUNNING and not record.outcome.resumable:
        proof = record.proof
        states = ", ".join(f"{count:,} {state}" for state, count in proof.states.items() if count) if proof else ""
        said = f"; its instances reported: {states}" if states else ""
        tool.display(Notice(text=f"rollout {record.id} of {record.build} is over: {record.outcome}{said}"))
    _end_as(tool, record)


def stop(tool: Tool, rollout: str, *, rollback: bool, wish: Wish) -> None:
    """Let nothing more start, and stop what runs; with `rollback` take back what it brought."""
    record = _find(tool, rollout)
    if record.outcome is not Outcome.RUNNING and not record.outcome.resumable:
        if not rollback or record.outcome.good:  # inv rollback takes that back, and asks first
            raise UsageError(f"rollout {record.id} is over: {record.outcome}", hint="inv rollback goes back")
    else:
        tool.ledger.order(record.id, stop=author())
        stopped = _stop_all(tool, record)
        tool.display.text(f"rollout {record.id}: {stopped} deployments stopped, and nothing more is started")
    if rollback:
        waiting = replace(wish, lock_wait=wish.lock_wait or "2m")
        with locked(tool, waiting, build=record.build, rollout=record.id) as held:
            undo.take_back(tool, tool.ledger.read(record.id), held, manner_of(tool, waiting))


def promote(tool: Tool, rollout: str) -> None:
    """Let the next wave of a paused rollout start."""
    record = _find(tool, rollout)
    done = sum(w.ended_at is not None for w in record.waves)
    if record.outcome is not Outcome.RUNNING or not done:
        why = "its first wave is not done" if record.outcome is Outcome.RUNNING else f"it is over: {record.outcome}"
        raise UsageError(f"rollout {record.id} waits for no word: {why}", hint="inv watch shows how far it is")
    tool.ledger.order(record.id, promoted=done)
    tool.display.text(f"rollout {record.id}: wave {done + 1} may start")


def _find(tool: Tool, rollout: str) -> RolloutRecord:
    """Return the record, made anew from CodeDeploy where it is lost; raises UsageError where nothing is known."""
    rollout = rollout or tool.ledger.latest_id()
    record = _on_record(tool, rollout) if rollout else None
    if record is None and rollout:
        record = gather(rollout, tool.fleet.read().groups, now=tool.clock.now())
        if record is not None:
            text = f"the record of rollout {rollout} is lost or damaged: what its deployments say counts"
            tool.display(Notice(text=text, warning=True))
    if record is None:
        what = f"no rollout {rollout!r}" if rollout else "no rollout"
        raise UsageError(f"{what} of {tool.settings.env} is known", hint="inv history lists them")
    return record


def _on_record(tool: Tool, rollout: str) -> RolloutRecord | None:
    """Return the record, None where it is lost: one that is damaged is."""
    with suppress(DamagedError):
        return tool.ledger.find(rollout)
    return None


class _Watcher:
    """Follow a rollout by its record, for what was decided, and by CodeDeploy, for what moves."""

    def __init__(self, tool: Tool, record: RolloutRecord) -> None:
        self._tool = tool
        self._record = record
        self._seen: dict[str, Deployment] = {}
        self._told: dict[str, GroupEntry] = {}
        self._failures: list[GroupDiagnosed] = []
        self._waves = 0
        self._wave_told = self._pause_told = 0
        self._begun = self._warn_at = tool.clock.now()

    def run(self) -> RolloutRecord:
        """Watch to the end and return the last record; one without a living driver ends with its deployments."""
        tool = self._tool
        made = estimated(tool, plan_of(tool, self._record))
        scout = tool.scout_for(made)
        self._waves = len(made.waves)
        tool.display(RolloutStarted(plan=made, at=self._record.started_at, attached=True))
        deadline = self._begun.timestamp() + tool.settings.rollout.timeout
        look_at = 0.0
        driven = True
        try:
            while True:
                now = tool.clock.now()
                if now.timestamp() >= look_at:
                    look_at = now.timestamp() + min(_LOOK, 2.5 * tool.settings.rollout.poll)
                    driven = self._look()
                self._poll()
                self._show(scout)
                over = self._record.outcome is not Outcome.RUNNING and not self._record.outcome.resumable
                if over or (not driven and not self._moving()):
                    break
                if now.timestamp() >= deadline:
                    self._finish(interrupted=True)
                    raise StillRunning("the rollout is still running", hint=f"inv watch {self._record.id} goes on")
                tool.display(Tick(at=now))
                tool.clock.sleep(tool.settings.rollout.poll)
        except KeyboardInterrupt:
            self._finish(interrupted=True)
            raise Interrupted(
                "stopped watching; the rollout goes on", hint=f"inv watch {self._record.id} attaches again"
            ) from None
        self._record = self._record if over else self._concluded()
        self._show(scout)
        self._finish(interrupted=False)
        return self._record

    def _show(self, scout: Scout) -> None:
        self._tell_wave()
        for end in self._tell():
            found = explain(end, scout.examine(end.group, end.deployment_id), build=self._record.build)
            self._failures.append(found)
            self._tool.display(found)
        self._tell_pause()

    def _look(self) -> bool:
        """Read the record anew; tell whether a process drives the rollout."""
        try:
            # In this order: a driver has noted its end before it frees the lock.
            holding = self._tool.lock.holder()
            self._record = _on_record(self._tool, self._record.id) or self._record
            driven = drives(holding, self._record) and self._record.outcome is Outcome.RUNNING
            if not driven:
                # Whoever is gone may have had no time to note what it had created.
                last = self._tool.codedeploy.last_attempts(list(self._record.groups))
                self._record = complete(self._record, last)
        except AwsUnavailable as error:
            self._warn(error)
            return True
        return driven

    def _poll(self) -> None:
        ids = [
            g.deployments[-1]
            for n, g in self._record.groups.items()
            if g.deployments and g.phase is not Phase.SUCCEEDED and not self._ended(g.deployments[-1])
        ]
        try:
            self._seen.update(self._tool.codedeploy.deployments(ids) if ids else {})
        except AwsUnavailable as error:
            self._warn(error)

    def _warn(self, error: AwsUnavailable) -> None:
        now = self._tool.clock.now()
        if now >= self._warn_at:
            self._warn_at = now + _WARN_EVERY
            self._tool.display(Notice(text=f"{error.message}; watching goes on", warning=True))

    def _ended(self, deployment_id: str) -> bool:
        seen = self._seen.get(deployment_id)
        return seen is not None and seen.status.ended

    def _moving(self) -> bool:
        return any(
            g.deployments and not g.phase.ended and not self._ended(g.deployments[-1])
            for g in self._record.groups.values()
        )

    def _tell_wave(self) -> None:
        """Show which wave runs, where there are several."""
        number = len(self._record.waves)
        if self._waves < 2 or number == self._wave_told:
            return
        wave = self._record.groups.items()
        at_work = sorted({g.wave for _, g in wave})[number - 1 : number]
        names = tuple(n for n, g in wave if g.wave in at_work)
        began = self._record.waves[-1].started_at
        self._tool.display(WaveStarted(wave=number, of=self._waves, groups=names, at=began))
        self._wave_told = number

    def _tell_pause(self) -> None:
        """Show that a wave is done, once its groups were told, and that the next one waits."""
        number = len(self._record.waves)
        ended = self._record.waves[-1].ended_at if number else None
        if ended is None or number >= self._waves or number == self._pause_told:
            return
        rollout = self._tool.settings.rollout
        by_hand = self._record.flags.get("promote", rollout.promote) == "manual"
        if by_hand or rollout.bake:
            seconds = None if by_hand else rollout.bake
            self._tool.display(WavePaused(wave=number, of=self._waves, seconds=seconds, at=ended))
        self._pause_told = number

    def _tell(self) -> list[GroupEnded]:
        """Show what changed since the last look; return the groups that ended badly."""
        bad = []
        now = self._tool.clock.now()
        for name, entry in self._record.groups.items():
            before = self._told.get(name, GroupEntry())
            seen = self._seen.get(entry.deployments[-1]) if entry.deployments else None
            overview = seen.overview if seen else Overview()
            if entry.phase is Phase.SUCCEEDED:  # ended before we looked, or since
                overview = Overview(succeeded=overview.total or entry.instances)
            if entry.deployments and entry.deployments != before.deployments:
                self._tool.display(
                    GroupStarted(
                        group=name,
                        deployment_id=entry.deployments[-1],
                        instances=entry.instances,
                        at=entry.started_at or now,
                        attempt=len(entry.deployments),
                    )
                )
            if entry.phase.ended and not before.phase.ended:
                end = end_of(name, entry, overview, now)
                self._tool.display(end)
                if entry.phase.bad and entry.deployments:
                    bad.append(end)
            elif seen is not None and not entry.phase.ended:
                self._tool.display(GroupProgress(group=name, deployment_id=seen.id, overview=seen.overview, at=now))
            self._told[name] = entry
        return bad

    def _concluded(self) -> RolloutRecord:
        """Return the record of a rollout that nobody drives any more, as its deployments ended."""
        groups: dict[str, GroupEntry] = {}
        now = self._tool.clock.now()
        for name, entry in self._record.groups.items():
            seen = self._seen.get(entry.deployments[-1]) if entry.deployments else None
            over = seen is not None and seen.status.ended and not entry.phase.ended
            groups[name] = replace(entry, phase=_phase(seen), ended_at=now) if seen and over else entry
        return replace(self._record, groups=groups)

    def _finish(self, *, interrupted: bool) -> None:
        self._tool.display(
            RolloutFinished(
                rollout_id=self._record.id,
                version=self._record.build,
                phases=_phases(self._concluded().groups),
                # The start is by the clock of another process, maybe of another machine.
                seconds=max((self._tool.clock.now() - self._record.started_at).total_seconds(), 0.0),
                calls=dict(self._tool.session.calls),
                at=self._tool.clock.now(),
                interrupted=interrupted,
                clusters=cluster(self._failures),
            )
        )


def _phase(ended: Deployment) -> Phase:
    """Return what a deployment's end makes of its group, where nobody is left to look into it or to try again."""
    if ended.status is DeploymentStatus.SUCCEEDED:
        return Phase.SUCCEEDED if ended.overview.succeeded == ended.overview.total else Phase.PARTIAL
    return Phase.STOPPED if ended.status is DeploymentStatus.STOPPED else Phase.FAILED


def _phases(groups: Mapping[str, GroupEntry]) -> dict[str, Phase]:
    return {name: g.phase for name, g in groups.items()}


def _end_as(tool: Tool, record: RolloutRecord) -> None:
    """Return, or raise, as the deploy would have that left this record."""
    again = f"inv deploy --build {record.build} starts what is not on it"
    bad = [n for n, g in record.groups.items() if g.phase.bad]
    named = f": {', '.join(bad[:5])}" + (f" and {len(bad) - 5} more" if bad[5:] else "") if bad else ""
    match record.outcome:
        case Outcome.CONVERGED | Outcome.DEPLOYED:
            return
        case Outcome.BUSY:
            raise BusyError(f"rollout {record.id} met groups that were busy", hint=again)
        case Outcome.DRIFTED:
            raise DriftError(f"rollout {record.id} left the fleet mixed", hint=again)
        case Outcome.REFUSED:
            raise GroupsRefused(f"AWS refused {plural(len(bad), 'group')} of rollout {record.id}{named}", hint=again)
        case Outcome.FAILED | Outcome.STOPPED | Outcome.ROLLED_BACK:
            failed = f", {plural(len(bad), 'group')} failed{named}"
            raise ShipitError(f"rollout {record.id} ended {record.outcome}{failed if bad else ''}", hint=again)
        case _:
            pass
    if bad:
        raise ShipitError(
            f"nobody drives rollout {record.id} any more, and {len(bad)} of {len(record.groups)} groups failed",
            hint="inv deploy --resume carries it on; inv stop ends it",
        )
    left = [n for n, g in record.groups.items() if g.phase is not Phase.SUCCEEDED]
    if left:
        raise StillRunning(
            f"nobody drives rollout {record.id} any more, and {len(left)} groups are not done: {', '.join(left[:5])}",
            hint="inv deploy --resume carries it on; inv stop ends it",
        )
    tool.display(Notice(text="its process is gone, but all its groups succeeded"))
    if not record.verify:
        return
    check.verify_versions(tool, wait=f"{tool.settings.reports.grace:.0f}s")


def _stop_all(tool: Tool, record: RolloutRecord) -> int:
    """Stop every deployment of the rollout until none runs, and whoever drives it has seen the order."""
    stopped: set[str] = set()
    deadline = tool.clock.now().timestamp() + _STOP_WITHIN
    names = list(record.groups)
    while True:
        ours = [d for d in tool.codedeploy.last_attempts(names).values() if Mark.of(record.id, d)]
        active = [d for d in ours if not d.status.ended]
        for deployment in active:
            tool.codedeploy.stop(deployment.id)
            stopped.add(deployment.id)
        driven = drives(tool.lock.holder(), record)
        now = _on_record(tool, record.id) or record
        if not active and not (driven and now.outcome is Outcome.RUNNING):
            if now.outcome is Outcome.RUNNING or now.outcome.resumable:
                ended = replace(now, outcome=Outcome.STOPPED, ended_at=tool.clock.now())
                tool.ledger.write(ended)
            return len(stopped)
        if tool.clock.now().timestamp() >= deadline:
            raise StillRunning(
                f"{len(active)} deployments of rollout {record.id} do not end: hooks that run are not interrupted",
                hint=f"inv stop {record.id} looks again",
            )
        tool.clock.sleep(tool.settings.rollout.poll)
