"""The loop: do in threads what was decided, read all deployments in batches, feed back what came of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta

from shipit.errors import AwsUnavailable, Interrupted, ShipitError
from shipit.events import Notice, RolloutFinished, RolloutStarted, Tick, WaveStarted
from shipit.interrupts import held_back
from shipit.models import Deployment, DeploymentStatus, Phase, RolloutPlan
from shipit.rollout.advance import advance
from shipit.rollout.crew import Crew
from shipit.rollout.decide import decide, next_due
from shipit.rollout.resume import reopen
from shipit.rollout.state import Observed, RolloutState, Start
from shipit.rollout.tools import Orders, Tools
from shipit.wording import plural

#: Seconds between looks at what the threads brought, while there is something that they do.
_LISTEN = 0.2
#: Between two lines that AWS did not answer: a log is not to be filled by what changes nothing.
_WARN_EVERY = timedelta(seconds=30)
#: Seconds that every round sleeps at least.
_BREATH = 0.02


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
        self._poll = timedelta(seconds=poll)
        self._begun = tools.clock.now()
        self._deadline = self._begun + timedelta(seconds=timeout)
        self._look_at = self._warn_at = self._begun
        self._muster_at = self._begun + timedelta(seconds=state.policy.look_every)
        self._crew = Crew(
            plan,
            tools.deployer,
            tools.scout,
            by=by,
            ignore_stop_failures=ignore_stop_failures,
            may_start=self._may_start,
        )

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
            self._crew.shut()
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
            settled = self._look_after(told)
            self._heed(self._tools.journal.orders())
            now = self._tools.clock.now()
            if settled or self.state.closed or now >= self._deadline:
                return
            self._tools.guard()
            self._tools.listen(Tick(at=now))
            self._tools.clock.sleep(self._poll.total_seconds())

    def _look_after(self, told: set[str]) -> bool:
        """Tell whether all that follows on our deployments has ended; an answer that is missing is no yes."""
        ids = {g.deployment_id for g in self.state.groups.values() if g.phase is Phase.SUCCEEDED}
        seen: set[str] = set()
        ended = True
        while ids:
            found = self._read_ids(ids)
            ended = ended and found.keys() >= ids and all(d.status.ended for d in found.values())
            for one in found.values():
                if seen and not one.status.ended and one.id not in told:
                    told.add(one.id)
                    text = f"{one.group}: {one.id} brings the build to instances that were launched meanwhile"
                    self._tools.listen(Notice(text=text))
            seen |= ids
            ids = {f for d in found.values() for f in d.follow_on_ids} - seen
        return ended

    def close(self, reason: str) -> None:
        """Let nothing more start, retries included."""
        self.state = replace(self.state, halted=reason, closed=True)

    def finish(self, *, interrupted: bool = False) -> None:
        """Learn the fate of what is under way, note how it stands, and tell that it is over."""
        self._crew.dismiss(wait=self._busy)
        self._take_in()
        self._tools.journal.note(self.state)
        now = self._tools.clock.now()
        self._tools.listen(
            RolloutFinished(
                rollout_id=self.plan.id,
                version=self.plan.published.build.version,
                phases={name: g.phase for name, g in self.state.groups.items()},
                seconds=(now - self._begun).total_seconds(),
                calls=dict(self._tools.calls()),
                at=now,
                interrupted=interrupted,
            )
        )

    def _watch(self) -> bool:
        clock = self._tools.clock
        while True:
            self._tools.guard()
            observed = self._take_in()
            if clock.now() >= self._look_at:
                read = self._read()
                if not self.state.closed and any(d.status is DeploymentStatus.STOPPED for d in read.values()):
                    # Whoever stops a rollout leaves word first, and then stops its deployments: that is no failure.
                    self._heed(self._tools.journal.orders(now=True))
                observed |= self._take_in(Observed(deployments=read))
                self._look_at = clock.now() + self._poll
            if observed.logged_out is not None:
                raise observed.logged_out
            self._heed(self._tools.journal.orders())
            self._act()
            if self.state.resting:
                return False
            now = clock.now()
            if now >= self._deadline:
                return True
            self._tools.listen(Tick(at=now))
            wake = min(self._look_at, self._deadline, next_due(self.state, now) or self._deadline)
            left = max((wake - now).total_seconds(), _BREATH)
            clock.sleep(min(_LISTEN, left) if self._busy else left)

    @property
    def _busy(self) -> bool:
        """Tell whether a thread may bring something soon."""
        return any(g.errand is not None for g in self.state.groups.values())

    def _may_start(self, start: Start) -> bool:
        """Tell whether what was decided a while ago still holds; called in a thread, as late as can be."""
        state = self.state
        full = state.resume_at is not None and self._tools.clock.now() < state.resume_at
        return not full and state.may_start(state.groups[start.group])

    def _read(self) -> Mapping[str, Deployment]:
        return self._read_ids({*self.state.running, *self.state.holders})

    def _read_ids(self, ids: Collection[str]) -> Mapping[str, Deployment]:
        try:
            return self._tools.deployer.poll(ids) if ids else {}
        except AwsUnavailable as error:
            now = self._tools.clock.now()
            if now >= self._warn_at:
                self._warn_at = now + _WARN_EVERY
                self._tools.listen(Notice(text=f"{error.message}; watching goes on", warning=True))
            return {}

    def _take_in(self, read: Observed | None = None) -> Observed:
        """Let the state learn what the threads brought, and what was `read`; return it."""
        # An answer that was collected and not learned would be lost.
        with held_back():
            observed = self._crew.collect() | (read or Observed())
            self.state, events = advance(self.state, observed, self._tools.clock.now())
            if events:
                self._tools.journal.note(self.state)
        for event in events:
            self._tools.listen(event)
        return observed

    def _heed(self, orders: Orders) -> None:
        if orders.stop and not self.state.closed:
            self._tools.listen(Notice(text=f"{orders.stop} asked to stop: nothing more is started", warning=True))
            self.close(f"stopped by {orders.stop}")

    def _act(self) -> None:
        # A thread that an interrupt meets at its start is not waited for later, and what it brings is lost.
        with held_back():
            self.state, commands = decide(self.state, self._tools.clock.now())
            for command in commands:
                self._crew.send(command)
        self._muster()

    def _muster(self) -> None:
        """Ask who is there, now and then, while a deployment may be waiting for instances that are gone."""
        now = self._tools.clock.now()
        every = timedelta(seconds=self.state.policy.look_every)
        if self._crew.mustering or now < self._muster_at:
            return
        names = [
            name
            for name, g in self.state.groups.items()
            if (g.phase is Phase.RUNNING and (g.quiet_since is None or now - g.quiet_since >= every))
            or (g.phase is Phase.WAITING and g.empty_since is not None)
        ]
        self._muster_at = now + every
        if names:
            self._crew.muster(names)

    def _interrupted(self) -> Interrupted:
        """Stop creating, learn the fate of the creations under way, and say what goes on in AWS."""
        self.finish(interrupted=True)
        running = len(self.state.running)
        waiting = sum(not g.deployments for g in self.state.groups.values() if g.phase is Phase.WAITING)
        going = plural(running, "deployment goes", "deployments go")
        return Interrupted(
            f"interrupted: {going} on in AWS, {plural(waiting, 'group')} not started",
            hint=f"inv watch {self.plan.id} attaches again; inv deploy --resume carries on; inv stop ends it",
        )
