"""Follow a rollout that another process drives, from any machine, to the end that its deploy would have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from shipit.diagnose import cluster, explain
from shipit.errors import (
    AwsError,
    AwsUnavailable,
    BusyError,
    DriftError,
    GroupsRefused,
    Interrupted,
    ShipitError,
    StillRunning,
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
from shipit.flows import check
from shipit.flows.attend import find, on_record
from shipit.flows.ends import end_of
from shipit.flows.locks import drives
from shipit.flows.prepare import estimated
from shipit.flows.resume import plan_of
from shipit.models import (
    Deployment,
    DeploymentStatus,
    Examination,
    GroupEntry,
    Outcome,
    Overview,
    Phase,
    RolloutRecord,
)
from shipit.rollout import Scout, complete
from shipit.wiring import Tool
from shipit.wording import listing, plural, share

#: Most seconds between two looks at whether the process that drives a rollout still lives, and at its record.
_LOOK = 5.0
#: Between two lines that AWS did not answer.
_WARN_EVERY = timedelta(seconds=30)


def watch(tool: Tool, rollout: str) -> None:
    """Attach to a rollout and end as the deploy that started it would have."""
    record = find(tool, rollout)
    if record.outcome is Outcome.RUNNING or record.outcome.resumable:
        record = _Watcher(tool, record).run()
    if record.outcome is not Outcome.RUNNING and not record.outcome.resumable:
        proof = record.proof
        states = ", ".join(f"{count:,} {state}" for state, count in proof.states.items() if count) if proof else ""
        said = f"; its instances reported: {states}" if states else ""
        back = f"; it took back {record.undoes}" if record.undoes else ""
        tool.display(Notice(text=f"rollout {record.id} of {record.build} is over: {record.outcome}{said}{back}"))
    _end_as(tool, record)


class _Watcher:
    """Follow a rollout by its record, for what was decided, and by CodeDeploy, for what moves."""

    def __init__(self, tool: Tool, record: RolloutRecord) -> None:
        self._tool = tool
        self._record = record
        self._seen: dict[str, Deployment] = {}
        self._told: dict[str, GroupEntry] = {}
        self._failures: list[GroupDiagnosed] = []
        self._waves = 0
        self._present: frozenset[str] = frozenset()
        self._wave_told = self._pause_told = 0
        self._begun = self._warn_at = tool.clock.now()

    def run(self) -> RolloutRecord:
        """Watch to the end and return the last record; one without a living driver ends with its deployments."""
        tool = self._tool
        made = estimated(tool, plan_of(tool, self._record))
        scout = tool.scout_for(made)
        self._waves = len(made.waves)
        self._present = frozenset(p.group.name for p in made.groups)
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
            found = explain(end, self._examined(scout, end), build=self._record.build)
            self._failures.append(found)
            self._tool.display(found)
        self._tell_pause()

    def _examined(self, scout: Scout, end: GroupEnded) -> Examination:
        """Look at a failed group's targets; where nobody lets us, the record's word for it is all there is."""
        if end.group not in self._present:
            return Examination()
        try:
            return scout.examine(end.group, end.deployment_id)
        except AwsError as error:
            self._tool.display(Notice(text=f"{end.group}: not looked into: {error.message}", warning=True))
            return Examination()

    def _look(self) -> bool:
        """Read the record anew; tell whether a process drives the rollout."""
        try:
            # In this order: a driver has noted its end before it frees the lock.
            holding = self._tool.lock.holder()
            self._record = on_record(self._tool, self._record.id) or self._record
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
    named = f": {listing(bad)}" if bad else ""
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
            f"nobody drives rollout {record.id} any more, and {share(len(bad), len(record.groups), 'group')} failed",
            hint="inv deploy --resume carries it on; inv stop ends it",
        )
    if left := [n for n, g in record.groups.items() if not g.phase.ended]:
        waiting = f"{plural(len(left), 'group is', 'groups are')} not done: {listing(left)}"
        raise StillRunning(
            f"nobody drives rollout {record.id} any more, and {waiting}",
            hint="inv deploy --resume carries it on; inv stop ends it",
        )
    empty = record.count(Phase.EMPTY)
    but = f", but for {empty} left without an instance" if empty else ""
    tool.display(Notice(text=f"its process is gone, but all its groups succeeded{but}"))
    if not record.verify:
        return
    check.verify_versions(tool, wait=f"{tool.settings.reports.grace:.0f}s")
