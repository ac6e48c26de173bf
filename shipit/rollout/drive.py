"""The loop: do in threads what was decided, read all deployments in batches, feed back what came of it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from shipit.errors import AwsUnavailable, GroupBusy, Interrupted, ShipitError
from shipit.events import Listener, Notice, RolloutFinished, RolloutStarted, Tick, WaveStarted
from shipit.models import Deployment, Examination, Phase, Revision, RolloutPlan
from shipit.rollout.advance import advance
from shipit.rollout.decide import decide
from shipit.rollout.mark import Mark
from shipit.rollout.resume import reopen
from shipit.rollout.state import Command, Observed, RolloutState, Start, Stop

#: Seconds between looks at what the threads brought, while there is something that they do.
_LISTEN = 0.2
#: Threads that call CodeDeploy. The rate budget sets the pace; this only hides the latency of a call.
_THREADS = 16


class Deployer(Protocol):
    """What a rollout needs of CodeDeploy."""

    def create(
        self,
        group: str,
        revision: Revision,
        *,
        description: str,
        config: str,
        ignore_stop_failures: bool = False,
        outdated_only: bool = False,
    ) -> str:
        """Start a deployment in one attempt and return its id.

        Raises GroupBusy, AccountFull, AwsThrottled (nothing was done), AwsUnavailable (it may have been done), or
        another ShipitError, which is final.
        """

    def deployments(self, ids: Iterable[str]) -> Mapping[str, Deployment]:
        """Return the deployments by id; unknown ones are left out."""

    def last_attempts(self, groups: Collection[str]) -> Mapping[str, Deployment]:
        """Return the newest deployment of each group, where it had one."""

    def stop(self, deployment_id: str) -> None:
        """Stop a deployment without a rollback; one that has ended already is none of our business."""


class Scout(Protocol):
    """What a rollout needs of EC2 and Auto Scaling."""

    def examine(self, group: str, deployment_id: str) -> Examination:
        """Look at the targets of a deployment and at what became of their instances; raises AwsError."""

    def members(self, groups: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return the instances in service of each group; raises AwsError."""


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Read what others asked of a running rollout: to `stop` (by whom), and how many waves they let through."""

    stop: str = ""
    promoted: int = 0


class Journal(Protocol):
    """Where a rollout notes how it stands, and finds what others ask of it. Neither call waits or raises."""

    def note(self, state: RolloutState) -> None:
        """Keep the state, soon."""

    def orders(self) -> Orders:
        """Return the orders as they were read last."""


class Clock(Protocol):
    """The time, as a rollout sees it."""

    def now(self) -> datetime:
        """Return the moment, aware, in UTC."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True, kw_only=True)
class Tools:
    """Hold what a rollout acts through. `guard` raises where the lock is lost; `calls` counts AWS's by operation."""

    deployer: Deployer
    scout: Scout
    journal: Journal
    clock: Clock
    listen: Listener
    guard: Callable[[], None]
    calls: Callable[[], Mapping[str, int]] = dict


class Rollout:
    """Drive one rollout, wave by wave; `state` is where it stands."""

    def __init__(
        self,
        plan: RolloutPlan,
        state: RolloutState,
        tools: Tools,
        *,
        by: str,
        poll: float,
        timeout: float,
        ignore_stop_failures: bool = False,
    ) -> None:
        """Drive the groups of `state` by `plan`, `poll` seconds between looks, for `timeout` seconds in all."""
        self.plan = plan
        self.state = state
        self._tools = tools
        self._by = by
        self._poll = timedelta(seconds=poll)
        self._ignore_stop_failures = ignore_stop_failures
        self._planned = {p.group.name: p for p in plan.to_deploy}
        self._begun = tools.clock.now()
        self._deadline = self._begun + timedelta(seconds=timeout)
        self._look_at = self._begun
        self._muster_at = self._begun + timedelta(seconds=state.policy.look_every)
        self._answers: queue.SimpleQueue[Observed] = queue.SimpleQueue()
        self._mustering = False
        self._shut = threading.Event()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="rollout")

    def open(self) -> None:
        """Tell that it begins."""
        self._tools.listen(RolloutStarted(plan=self.plan, at=self._begun))

    def run_wave(self, number: int, of: int) -> bool:
        """Let the waves up to `number` (from 0) start, and watch until nothing moves; tell whether time ran out.

        Raises Interrupted on Ctrl-C: the deployments go on in AWS. Raises what `guard` raises, likewise.
        """
        self.state = replace(self.state, wave=max(self.state.wave, number))
        names = tuple(n for n, g in self.state.groups.items() if g.wave == number and not g.phase.ended)
        now = self._tools.clock.now()
        if of > 1 and names:
            self._tools.listen(WaveStarted(wave=number + 1, of=of, groups=names, at=now))
        return self.watch()

    def watch(self) -> bool:
        """Watch until nothing moves; tell whether the time ran out first. Raises as `run_wave` does."""
        try:
            return self._watch()
        except KeyboardInterrupt:
            raise self._interrupted() from None
        except ShipitError:
            self._shut.set()
            raise

    def again(self, groups: Collection[str], reason: str) -> bool:
        """Try groups that succeeded once more, at their outdated instances; tell whether any is."""
        before = self.state
        self.state = reopen(before, groups, reason, self._tools.clock.now())
        return self.state != before

    def settle(self) -> None:
        """Wait for the deployments that CodeDeploy starts by itself after ours, for instances launched in the middle.

        Such an instance gets the revision before first, and an update after it (reference codedeploy.md, §4). How
        that update came out is for the instances to say; nothing is waited for beyond the deadline.
        """
        told: set[str] = set()
        while True:
            ours = [g.deployment_id for g in self.state.groups.values() if g.phase is Phase.SUCCEEDED]
            seen = self._read_ids(ours)
            after = self._read_ids([f for d in seen.values() for f in d.follow_on_ids])
            for one in after.values():
                if not one.status.ended and one.id not in told:
                    told.add(one.id)
                    text = f"{one.group}: {one.id} brings the build to instances that were launched meanwhile"
                    self._tools.listen(Notice(text=text))
            now = self._tools.clock.now()
            if all(d.status.ended for d in after.values()) or now >= self._deadline:
                return
            self._tools.guard()
            self._tools.listen(Tick(at=now))
            self._tools.clock.sleep(self._poll.total_seconds())

    def close(self, reason: str) -> None:
        """Let nothing more start, retries included."""
        self.state = replace(self.state, halted=self.state.halted or reason, closed=True)

    def finish(self, *, interrupted: bool = False) -> None:
        """Tell that it is over, note it, and let the threads go."""
        self._shut.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._tools.journal.note(self.state)
        self._tools.listen(
            RolloutFinished(
                rollout_id=self.plan.id,
                version=self.plan.published.build.version,
                phases={name: g.phase for name, g in self.state.groups.items()},
                seconds=(self._tools.clock.now() - self._begun).total_seconds(),
                calls=dict(self._tools.calls()),
                at=self._tools.clock.now(),
                interrupted=interrupted,
            )
        )

    def _watch(self) -> bool:
        clock = self._tools.clock
        while True:
            self._tools.guard()
            now = clock.now()
            observed = self._collect()
            if now >= self._look_at:
                observed = replace(observed, deployments=self._read(observed))
                self._look_at = now + self._poll
            self._apply(observed)
            self._heed(self._tools.journal.orders())
            self._act()
            if self.state.resting:
                return False
            if now >= self._deadline:
                return True
            self._tools.listen(Tick(at=now))
            left = (self._look_at - clock.now()).total_seconds()
            # A clock that was set back must not let us sleep for as long.
            left = min(left, self._poll.total_seconds())
            clock.sleep(max(0.0, min(_LISTEN, left) if self._busy else left))

    @property
    def _busy(self) -> bool:
        """Tell whether a thread may bring something soon."""
        return any(g.errand is not None for g in self.state.groups.values())

    def _collect(self) -> Observed:
        """Take what the threads brought, as one."""
        found = Observed()
        while not self._answers.empty():
            one = self._answers.get()
            if one.members:
                self._mustering = False
            found = Observed(
                created={**found.created, **one.created},
                refused={**found.refused, **one.refused},
                withdrawn=found.withdrawn | one.withdrawn,
                stopped={**found.stopped, **one.stopped},
                examined={**found.examined, **one.examined},
                members={**found.members, **one.members},
            )
        return found

    def _read(self, observed: Observed) -> Mapping[str, Deployment]:
        return self._read_ids([*self.state.running, *observed.created.values(), *self.state.holders])

    def _read_ids(self, ids: Collection[str]) -> Mapping[str, Deployment]:
        try:
            return self._tools.deployer.deployments(ids) if ids else {}
        except AwsUnavailable as error:
            self._tools.listen(Notice(text=f"{error.message}; watching goes on", warning=True))
            return {}

    def _apply(self, observed: Observed) -> None:
        before = self.state
        self.state, events = advance(before, observed, self._tools.clock.now())
        for event in events:
            self._tools.listen(event)
        if events:
            self._tools.journal.note(self.state)

    def _heed(self, orders: Orders) -> None:
        if orders.stop and not self.state.closed:
            self._tools.listen(Notice(text=f"{orders.stop} asked to stop: nothing more is started", warning=True))
            self.close(f"stopped by {orders.stop}")

    def _act(self) -> None:
        self.state, commands = decide(self.state, self._tools.clock.now())
        for command in commands:
            self._pool.submit(self._do, command)
        self._muster()

    def _muster(self) -> None:
        """Ask who is there, now and then, while a deployment may be waiting for instances that are gone."""
        now = self._tools.clock.now()
        every = timedelta(seconds=self.state.policy.look_every)
        if self._mustering or now < self._muster_at:
            return
        names = [
            name
            for name, g in self.state.groups.items()
            if (g.phase is Phase.RUNNING and g.created_at is not None and now - g.created_at >= every)
            or g.empty_since is not None
        ]
        self._muster_at = now + every
        if names:
            self._mustering = True
            self._pool.submit(self._count_members, names)

    def _do(self, command: Command) -> None:
        """Carry out one command in a thread; whatever comes of it is an answer, for nobody else would hear of it."""
        try:
            self._answers.put(self._answer(command))
        except Exception as defect:
            error = defect if isinstance(defect, ShipitError) else _defect(command.group, defect)
            self._answers.put(_failed(command, error))

    def _answer(self, command: Command) -> Observed:
        if isinstance(command, Start):
            if self._shut.is_set() or (self.state.halted and command.attempt == 1) or self.state.closed:
                return Observed(withdrawn=frozenset({command.group}))
            return Observed(created={command.group: self._create(command)})
        if isinstance(command, Stop):
            self._tools.deployer.stop(command.deployment_id)
            return Observed(stopped={command.group: None})
        return Observed(examined={command.group: self._tools.scout.examine(command.group, command.deployment_id)})

    def _create(self, start: Start) -> str:
        planned = self._planned[start.group]
        published = planned.published or self.plan.published
        mark = Mark(
            rollout=self.plan.id,
            attempt=start.attempt,
            build=published.build.version,
            env=self.plan.env,
            by=self._by,
        )
        deployer = self._tools.deployer
        if start.unsure:
            found = deployer.last_attempts([start.group]).get(start.group)
            if found is not None and mark.same_try(found.description):
                return found.id
        try:
            return deployer.create(
                start.group,
                published.revision,
                description=str(mark),
                config=planned.config or self.plan.deployment_config,
                ignore_stop_failures=self._ignore_stop_failures,
                outdated_only=start.outdated_only,
            )
        except GroupBusy as busy:
            holder = deployer.deployments([busy.holder_id]).get(busy.holder_id)
            if holder is not None and mark.same_try(holder.description):
                return holder.id
            raise

    def _count_members(self, names: list[str]) -> None:
        try:
            self._answers.put(Observed(members=self._tools.scout.members(names) or {"": frozenset()}))
        except ShipitError:
            # The next look may be luckier; nothing depends on this one.
            self._answers.put(Observed(members={"": frozenset()}))

    def _interrupted(self) -> Interrupted:
        """Stop creating, learn the fate of the creations under way, and say what goes on in AWS."""
        self._shut.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        observed = self._collect()
        self._apply(replace(observed, deployments=self._read(observed)))
        self.finish(interrupted=True)
        running = len(self.state.running)
        waiting = sum(not g.deployments for g in self.state.groups.values() if g.phase is Phase.WAITING)
        return Interrupted(
            f"interrupted: {running} deployments go on in AWS, {waiting} groups were not started",
            hint=f"inv watch {self.plan.id} attaches again; inv deploy --resume carries on; inv stop ends it",
        )


def _defect(group: str, error: Exception) -> ShipitError:
    return ShipitError(f"{group}: {type(error).__name__}: {error}")


def _failed(command: Command, error: ShipitError) -> Observed:
    if isinstance(command, Start):
        return Observed(refused={command.group: error})
    if isinstance(command, Stop):
        return Observed(stopped={command.group: error})
    return Observed(examined={command.group: error})
