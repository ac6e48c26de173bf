"""One process before a world: how it acts there, and when it dies."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta

from fakes import NOON
from rollout.world import Died, World

from shipit.errors import AwsThrottled, AwsUnavailable, ShipitError
from shipit.events import Event
from shipit.models import (
    Deployment,
    Examination,
    Phase,
    Revision,
)
from shipit.rollout import Orders, RolloutState, Tools


class Life:
    """One process before a world: its Deployer, Scout, Journal and Clock. It dies when its `steps` are used up."""

    def __init__(self, world: World, *, steps: int | None = None, note_until: int | None = None) -> None:
        """Live in the world; after `note_until` steps the notes no longer reach the ledger."""
        self.world = world
        self.events: list[Event] = []
        self.noted: RolloutState | None = None
        self.given = Orders()
        #: What somebody has ordered that was not read yet.
        self.left: Orders | None = None
        self.guard: Callable[[], None] = lambda: None
        self.on_sleep: Callable[[int], None] = lambda count: None
        self.on_now: Callable[[int], None] = lambda count: None
        self.asked = 0
        self.poll_error: ShipitError | None = None
        self.on_create: Callable[[str], None] = lambda group: None
        self.forgiving: set[bool] = set()  # whether creations let the installed build's stop hooks fail
        self.sleeps = 0
        self.looks: Counter[str] = Counter()
        self.steps = 0
        self._most = steps
        self._note_until = note_until

    @property
    def tools(self) -> Tools:
        return Tools(
            deployer=self,
            scout=self,
            journal=self,
            clock=self,
            listen=self.events.append,
            guard=lambda: self.guard(),
        )

    def _step(self) -> None:
        with self.world.lock:
            self.steps += 1
            if self._most is not None and self.steps > self._most:
                raise Died

    def _befall(self) -> None:
        """Let a call fail that was not carried out."""
        with self.world.lock:
            if self.world.at < self.world.faults.until:
                if self.world.chance.random() < self.world.faults.throttled:
                    raise AwsThrottled("too many calls")
                if self.world.chance.random() < self.world.faults.unreached:
                    raise AwsUnavailable("no connection")

    def _unheard(self) -> None:
        """Lose the answer of a call that was."""
        with self.world.lock:
            faults = self.world.faults
            if self.world.at < faults.until and self.world.chance.random() < faults.unheard:
                raise AwsUnavailable("the connection was lost")

    # Clock

    def now(self) -> datetime:
        self.asked += 1
        self.on_now(self.asked)
        return NOON + timedelta(seconds=self.world.at)

    def sleep(self, seconds: float) -> None:
        self._step()
        self.on_sleep(self.sleeps)
        self.sleeps += 1
        # The threads' turn: the time in the world stands still meanwhile.
        time.sleep(0.0002)
        self._step()
        assert seconds > 0
        self.world.sleep(seconds)

    # Journal

    def note(self, state: RolloutState) -> None:
        if self._note_until is None or self.steps <= self._note_until:
            self.noted = state

    def orders(self, *, now: bool = False) -> Orders:
        if now and self.left:
            self.given = self.left
        return self.given

    # Deployer

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
        self._step()
        self._befall()
        self.on_create(group)
        self.forgiving.add(ignore_stop_failures)
        with self.world.lock:
            # The dead do nothing: between this and the next step there is no other.
            self._step()
            made = self.world.create(group, revision.key.split("/")[1], description, outdated_only)
        self._step()
        self._unheard()
        return made

    def deployments(self, ids: Iterable[str]) -> Mapping[str, Deployment]:
        self._step()
        self._befall()
        if self.poll_error is not None:
            raise self.poll_error
        with self.world.lock:
            shown = [i for i in ids if self.world.chance.random() >= self.world.faults.omitted]
            return {i: self.world.view(self.world.deployments[i]) for i in shown if i in self.world.deployments}

    def poll(self, ids: Collection[str]) -> Mapping[str, Deployment]:
        return self.deployments(ids)

    def last_attempts(self, groups: Collection[str]) -> Mapping[str, Deployment]:
        self._step()
        self._befall()
        with self.world.lock:
            found = {g: self.world.groups[g].last_attempt for g in groups if g in self.world.groups}
            return {g: self.world.view(d) for g, d in found.items() if d is not None}

    def stop(self, deployment_id: str) -> None:
        self._step()
        self._befall()
        with self.world.lock:
            self.world.stops.append(deployment_id)
            self.world.stop(deployment_id)
        self._step()
        self._unheard()

    # Scout

    def examine(self, group: str, deployment_id: str) -> Examination:
        self._step()
        self._befall()
        self.looks[group] += 1
        if self.world.examine_error is not None:
            raise self.world.examine_error
        return self.world.examine(group, deployment_id)

    def members(self, groups: Collection[str]) -> Mapping[str, frozenset[str]]:
        self._step()
        self._befall()
        if self.world.members_fail:
            raise AwsUnavailable("Auto Scaling is out of reach")
        return self.world.members(groups)


def phases(state: RolloutState) -> dict[str, Phase]:
    return {name: g.phase for name, g in state.groups.items()}
