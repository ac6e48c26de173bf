"""What goes wrong on instances on demand: dead agents, broken hooks, and deaths in the middle of a deployment."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from shipit.models import EventStatus
from shipit.sandbox.agents import LIFECYCLE, Agent, Command, NoAgent, Outcome
from shipit.sandbox.clock import Timer
from shipit.sandbox.faults.catalogue import SLOW
from shipit.sandbox.faults.hooks import Trouble

#: Real seconds from an event's start to the death in its middle: its script has begun by then.
_INTO_THE_EVENT = 0.2

_SUCCEEDED = Outcome(status=EventStatus.SUCCEEDED)


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Choose instances: by their ids, or by group, which takes in those that are launched later."""

    ids: frozenset[str] = frozenset()
    groups: tuple[str, ...] = ()

    def has(self, command: Command) -> bool:
        """Tell whether the command is for one of them."""
        if self.ids:
            return command.instance_id in self.ids
        return any(fnmatchcase(command.group, pattern) for pattern in self.groups)


@dataclass(kw_only=True)
class _Broken:
    """An agent that is dead, or with `trouble` a hook that goes wrong in `event`."""

    chosen: Chosen
    event: str = ""
    trouble: Trouble | None = None
    hits: int = 0


@dataclass(frozen=True, kw_only=True)
class _Doom:
    """How an instance will die: in the middle of `event`, or just before it."""

    event: str
    during: bool


@dataclass
class _Held:
    """A deployment whose events all wait until it is released."""

    group: str
    released: bool = False
    waiting: list[Callable[[Outcome], None]] = field(default_factory=list)


class FaultyAgent:
    """Stand between CodeDeploy and the instances; see `shipit.sandbox.agents.Agent`. Safe from any thread."""

    def __init__(self, agent: Agent, timer: Timer, end: Callable[[str], None], *, scripted: bool) -> None:
        """Pass commands on to `agent` where nothing is in the way; `end` reclaims an instance, and may block.

        Where `scripted` is False, hooks go wrong by `wrapper`, which the agent must ask.
        """
        self._agent = agent
        self._timer = timer
        self._end = end
        self._scripted = scripted
        self._broken: list[_Broken] = []
        self._doomed: dict[str, _Doom] = {}
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()

    def kill_agents(self, chosen: Chosen) -> None:
        """Let the agents of these instances fetch no more commands."""
        with self._lock:
            self._broken.append(_Broken(chosen=chosen))

    def break_hooks(self, chosen: Chosen, event: str, trouble: Trouble) -> None:
        """Let the hook of an event go wrong."""
        with self._lock:
            self._broken.append(_Broken(chosen=chosen, event=event, trouble=trouble))

    def doom(self, ids: Iterable[str], during: str, seed: int) -> None:
        """Let each of them end in the middle of the event `during`, or, where that is empty, between two events."""
        choice = random.Random(seed)
        with self._lock:
            for instance_id in ids:
                event = during or choice.choice(LIFECYCLE[1:])
                self._doomed[instance_id] = _Doom(event=event, during=bool(during))

    def hold(self, deployment_id: str, group: str) -> None:
        """Let all events of a deployment wait; called before the first of them can start."""
        with self._lock:
            self._held[deployment_id] = _Held(group)

    def release(self, deployment_id: str) -> None:
        """Let the events of a held deployment succeed."""
        with self._lock:
            held = self._held[deployment_id]
            held.released = True
            waiting, held.waiting = held.waiting, []
        for done in waiting:
            done(_SUCCEEDED)

    def clear(self) -> None:
        """Forget all faults, and release what is held."""
        with self._lock:
            self._broken, self._doomed = [], {}
        for deployment_id in self.held:
            self.release(deployment_id)

    @property
    def held(self) -> list[str]:
        """Return the deployments that are held."""
        with self._lock:
            return [name for name, one in self._held.items() if not one.released]

    @property
    def doomed(self) -> frozenset[str]:
        """Return who is still to die."""
        with self._lock:
            return frozenset(self._doomed)

    def in_effect(self) -> list[tuple[str, str, int]]:
        """Return each fault's name, what it is about, and how often it struck."""
        with self._lock:
            rows = [
                ("agent", _about(one.chosen), one.hits)
                if one.trouble is None
                else ("hook", f"{one.trouble.how} in {one.event}, {_about(one.chosen)}", one.hits)
                for one in self._broken
            ]
            ends = Counter(
                f"during {doom.event}" if doom.during else "between two events" for doom in self._doomed.values()
            )
            rows += [("reclaim", f"{count} still to end {when}", 0) for when, count in ends.items()]
            rows += [("busy", f"{one.group}: {name}", 0) for name, one in self._held.items() if not one.released]
            return rows

    def wrapper(self, command: Command) -> tuple[str, ...]:
        """Return what must stand before the script of the event; empty where nothing is to go wrong."""
        trouble = self._trouble(command)
        return trouble.wrapper if trouble else ()

    def run(self, command: Command, done: Callable[[Outcome], None]) -> None:
        """Start one lifecycle event, with what is to go wrong in it. Raises NoAgent where nobody fetches it."""
        if self._waits(command, done):
            return
        if self._has_no_agent(command):
            raise NoAgent(command.instance_id)
        doom = self._take_doom(command)
        if doom is not None:
            self._die(command, doom)
            return
        trouble = self._trouble(command) if self._scripted else None
        if trouble is None:
            self._agent.run(command, done)
        elif trouble.how == SLOW:
            self._timer.call_later(trouble.seconds, lambda: self._run_late(command, done))
        else:
            seconds, outcome = trouble.scripted
            if outcome is not None:
                self._timer.call_later(seconds, lambda: done(outcome))

    def _run_late(self, command: Command, done: Callable[[Outcome], None]) -> None:
        try:
            self._agent.run(command, done)
        except NoAgent:
            return  # it died meanwhile: the event lapses

    def _waits(self, command: Command, done: Callable[[Outcome], None]) -> bool:
        with self._lock:
            held = self._held.get(command.deployment_id)
            if held is None:
                return False
            if not held.released:
                held.waiting.append(done)
                return True
        done(_SUCCEEDED)
        return True

    def _has_no_agent(self, command: Command) -> bool:
        with self._lock:
            found = next((one for one in self._broken if one.trouble is None and one.chosen.has(command)), None)
            if found:
                found.hits += 1
            return found is not None

    def _trouble(self, command: Command) -> Trouble | None:
        """Return what the latest fault says of this event's hook."""
        with self._lock:
            for one in reversed(self._broken):
                if one.trouble and one.event == command.event and one.chosen.has(command):
                    one.hits += 1
                    return one.trouble
        return None

    def _take_doom(self, command: Command) -> _Doom | None:
        with self._lock:
            doom = self._doomed.get(command.instance_id)
            if doom is None or doom.event != command.event:
                return None
            return self._doomed.pop(command.instance_id)

    def _die(self, command: Command, doom: _Doom) -> None:
        """End the instance, on a thread of its own: CodeDeploy is locked here. Raises NoAgent before an event."""
        threading.Timer(_INTO_THE_EVENT if doom.during else 0, self._end, (command.instance_id,)).start()
        if not doom.during:
            raise NoAgent(command.instance_id)
        # However quick the event is, its end is never heard of: it died before.
        self._agent.run(command, lambda outcome: None)


def _about(chosen: Chosen) -> str:
    return ", ".join(sorted(chosen.ids) or chosen.groups)
