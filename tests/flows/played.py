"""What the flows around a rollout ask of the wired tool, over an AWS in memory: no sandbox, no time that passes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from fakes import published
from locking import FakeS3, Machine
from objects import Objects
from rollout.life import Life
from rollout.world import OLD, World

from shipit.errors import Interrupted, ShipitError
from shipit.events import Event, Notice
from shipit.flows.deploy import Wish, launch
from shipit.ledger import Ledger
from shipit.lock import Held
from shipit.models import Fleet, GroupEntry, RolloutPlan, RolloutRecord
from shipit.notify import Message
from shipit.settings import Settings
from shipit.wiring import Tool

#: No flow here asks the instances: they have nothing that reports.
WISH = Wish(verify=False)


class Played:
    """A fleet of groups that run the old build, and what is displayed."""

    def __init__(self, *names: str, instances: int = 2, on_failure: str = "stop") -> None:
        self.world = World(*names, instances=instances)
        self.life = Life(self.world)
        self.clock = self.codedeploy = self.restarter = self.life
        self.store = Objects()
        self.ledger = Ledger(self.store, "test")
        self.machine = Machine(FakeS3())
        self.lock = self.machine.lock()
        settings = {"env": "test", "root": Path(), "source": Path(), "application": "worker", "bucket": "b"}
        self.settings = Settings.model_validate({**settings, "rollout": {"on-failure": on_failure}})
        self.session = SimpleNamespace(calls={})
        self.fleet = SimpleNamespace(read=self._read)
        self.builds = SimpleNamespace(get=published)
        self.display = Shown()
        self.notified: list[tuple[Message, threading.Thread]] = []

    @property
    def tool(self) -> Tool:
        """Return it as the tool that a flow takes."""
        return cast(Tool, self)

    @property
    def said(self) -> str:
        return "\n".join(self.display.lines)

    def slots(self, config: str, hosts: int) -> int:
        return hosts

    def scout_for(self, made: RolloutPlan) -> Life:
        return self.life

    def notify(self, message: Message) -> None:
        """Note who would be told what, and in which thread."""
        self.notified.append((message, threading.current_thread()))

    def plan(self, *, waves: Mapping[str, int] | None = None, fresh: tuple[str, ...] = ()) -> RolloutPlan:
        """Return the plan that brings the new build to all; nothing tells what the `fresh` groups ran before."""
        made = self.world.plan(waves)
        groups = [replace(p, running="" if p.group.name in fresh else OLD) for p in made.groups]
        return replace(made, groups=tuple(groups))

    def record(self, **groups: GroupEntry) -> RolloutRecord:
        """Return the last rollout's record, with these groups' entries changed."""
        found = self.ledger.latest()
        assert found is not None
        return replace(found, groups={**found.groups, **groups})

    @contextmanager
    def held(self) -> Iterator[Held]:
        with self.machine.take(rollout="r-1") as held:
            yield held

    def lead(self, made: RolloutPlan | None = None, wish: Wish = WISH) -> None:
        """Lead a rollout of the plan to its end."""
        with self.held() as held:
            launch(self.tool, made or self.plan(), held, wish)

    def interrupt(self, wish: Wish = WISH) -> None:
        """Lead a rollout of all groups until its first deployments run, and interrupt it there."""
        with self.pressed(), suppress(Interrupted):
            self.lead(wish=wish)

    @contextmanager
    def pressed(self) -> Iterator[None]:
        """Press Ctrl-C in the block as soon as deployments run in as many groups as may have one."""

        def press(sleeps: int) -> None:
            self.until_begun()
            raise KeyboardInterrupt

        self.life.on_sleep = press
        yield
        self.life.on_sleep = lambda sleeps: None

    def until_begun(self) -> None:
        """Wait for the threads that create deployments; no time passes in the world meanwhile."""
        groups = self.world.groups.values()
        for _ in range(30_000):
            if sum(g.active is not None for g in groups) >= min(len(groups), self.world.account_limit):
                return
            time.sleep(0.001)
        raise AssertionError("the deployments were not created")

    def _read(self) -> Fleet:
        return Fleet(groups=tuple(self.world.group(name) for name in self.world.groups))


class Shown:
    """A display that keeps what people are told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.events: list[Event] = []
        self.hear: Callable[[Event], None] = lambda event: None

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Notice):
            self.lines.append(event.text)
        self.hear(event)

    def text(self, line: str) -> None:
        self.lines.append(line)

    def plan(self, made: RolloutPlan) -> None:
        """Nobody reads it here."""

    def value(self, kind: str, fields: Mapping[str, Any]) -> None:
        self.lines.append(f"{kind}: {fields}")

    def error(self, error: ShipitError) -> None:
        self.lines.append(error.message)
