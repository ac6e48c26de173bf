"""The faults in effect: put one in, list them, lift them all."""

from __future__ import annotations

import difflib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

from shipit.errors import UsageError
from shipit.sandbox.clock import Timer
from shipit.sandbox.faults.catalogue import CATALOGUE, read
from shipit.sandbox.faults.hooks import Trouble
from shipit.sandbox.faults.instances import Chosen, FaultyAgent
from shipit.sandbox.faults.requests import RequestFaults
from shipit.sandbox.throttle import Throttle
from shipit.sandbox.wire import ApiError

#: Who the deployments of `busy` say they are.
SOMEBODY_ELSE = "hotfix by hand, by somebody else"


class Fleet(Protocol):
    """What the faults do to Auto Scaling groups."""

    def groups(self) -> list[str]:
        """Return the names of all groups."""

    def members(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield group, instance id, lifecycle state and availability zone."""

    def reclaim(self, ids: list[str], notice: float = 0.0) -> None:
        """End instances as spot reclaims, so many seconds after a notice; raises ValueError for unknown ones."""

    def kill(self, ids: list[str]) -> int:
        """Kill the workers of instances, and return how many processes that were."""

    def blind(self, ids: list[str], seconds: float) -> None:
        """Let the metadata service of instances fail for so many seconds."""

    def scale(self, group: str, by: int) -> None:
        """Change a group's size; raises ValueError beyond its bounds."""


class Deployments(Protocol):
    """What the faults do in CodeDeploy."""

    def limit_active(self, active: int | None) -> None:
        """Bound the account's deployments; None for the bound it had."""

    def occupy(self, application: str, group: str, description: str, note: Callable[[str, bool], None]) -> None:
        """Start a deployment; `note` hears its id, and whether it may succeed, before it runs. Raises ApiError."""

    def abort(self, deployment_id: str) -> None:
        """Stop a deployment where it still runs."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Hold what the faults act on; the names of Auto Scaling groups are `<application>-<group>`."""

    application: str
    throttle: Throttle
    fleet: Fleet
    deployments: Deployments
    timer: Timer
    agent: FaultyAgent


class Faults:
    """Put faults in effect by name. Safe from any thread."""

    def __init__(self, parts: Parts) -> None:
        """Begin without any."""
        self.requests = RequestFaults()
        self._parts = parts
        self._throttle: Mapping[str, Any] = {}
        self._limit: int | None = None

    def inject(self, name: str, given: Mapping[str, object]) -> str:
        """Put a fault in effect, or lift all by `clear`; return a line that says what was done.

        Raises UsageError for what is wrong with the request.
        """
        values = read(name, given)
        try:
            return f"{name}: {self._act(name, values)}"
        except (ValueError, ApiError) as error:
            raise UsageError(f"{name}: {error}", hint="inv sandbox.fault lists what is in effect") from error

    def in_effect(self) -> list[dict[str, object]]:
        """Return one row for each fault in effect: its name, what it is about, how often it struck."""
        rows: list[tuple[str, str, int]] = []
        if self._throttle:
            rows.append(("throttle", _told(self._throttle), sum(self._parts.throttle.refused.values())))
        if self._limit is not None:
            rows.append(("limit", f"{self._limit} deployments at a time", 0))
        rows += [(fault.name, _told(fault.values), fault.hits) for fault in self.requests.in_effect()]
        rows += self._parts.agent.in_effect()
        return [{"fault": name, "what": what, "struck": hits} for name, what, hits in rows]

    def throttle(self, values: Mapping[str, Any]) -> None:
        """Throttle CodeDeploy by `rate`, `probability` and `seed`; without the first two, no more.

        Raises ValueError for values out of bounds.
        """
        self._parts.throttle.limit(**values)
        self._throttle = values if values.get("rate") or values.get("probability") else {}

    def clear(self) -> None:
        """Lift all; who has died stays dead, and a deployment of somebody else is stopped."""
        self.throttle({})
        self._bound(None)
        self.requests.clear()
        for deployment_id in self._parts.agent.held:
            self._parts.deployments.abort(deployment_id)
        self._parts.agent.clear()

    def _act(self, name: str, values: Mapping[str, Any]) -> str:
        match name:
            case "clear":
                self.clear()
                return "no fault is in effect"
            case "throttle":
                self.throttle(values)
            case "limit":
                self._bound(values["number"])
            case "reclaim":
                return self._reclaim(values)
            case "kill":
                ids = self._sample(values)
                return f"{self._parts.fleet.kill(ids)} on {', '.join(ids)}"
            case "metadata":
                ids = self._sample(values)
                self._parts.fleet.blind(ids, values["seconds"])
                return f"{len(ids)} for {values['seconds']:g} s: {', '.join(ids)}"
            case "scale":
                for group in self._groups(values["group"]):
                    self._parts.fleet.scale(f"{self._parts.application}-{group}", values["by"])
            case "agent":
                self._parts.agent.kill_agents(self._chosen(values))
            case "hook":
                trouble = Trouble(
                    how=values["how"], seconds=values.get("seconds", 60.0), status=values.get("status", 1)
                )
                self._parts.agent.break_hooks(self._chosen(values), values["event"], trouble)
            case "busy":
                for group in self._groups(values["group"]):
                    self._occupy(group, values["seconds"])
            case _:
                self.requests.add(name, values, CATALOGUE[name].key or ())
        return _told(values)

    def _bound(self, active: int | None) -> None:
        self._parts.deployments.limit_active(active)
        self._limit = active

    def _reclaim(self, values: Mapping[str, Any]) -> str:
        ids = self._sample(values)
        when = "now"
        if "during" in values or "between" in values:
            self._parts.agent.doom(ids, values.get("during", ""), values.get("seed", 0))
            when = f"during {values['during']}" if "during" in values else "between two events"
        elif ids:
            notice = values.get("notice", 0.0)
            when = f"in {notice:g} s" if notice else when
            self._parts.fleet.reclaim(ids, notice)
        return f"{len(ids)} {when}: {', '.join(ids)}"

    def _occupy(self, group: str, seconds: float) -> None:
        agent, deployments = self._parts.agent, self._parts.deployments

        def note(deployment_id: str, may_succeed: bool) -> None:
            agent.hold(deployment_id, group)

            def end() -> None:
                if not may_succeed:
                    deployments.abort(deployment_id)
                agent.release(deployment_id)

            self._parts.timer.call_later(seconds, end)

        deployments.occupy(self._parts.application, group, SOMEBODY_ELSE, note)

    def _chosen(self, values: Mapping[str, Any]) -> Chosen:
        """Choose instances; whole groups are chosen by name, so that whoever is launched there is one of them."""
        if values.keys() & {"ids", "number", "share"}:
            return Chosen(ids=frozenset(self._sample(values)))
        return Chosen(groups=tuple(self._groups(values.get("group", ("*",)))))

    def _sample(self, values: Mapping[str, Any]) -> list[str]:
        """Choose instances, the same places in the fleet for the same seed; raises ValueError for unknown ones."""
        groups = {f"{self._parts.application}-{name}" for name in self._groups(values.get("group", ("*",)))}
        doomed = self._parts.agent.doomed
        known = [one for group, one, _, _ in self._parts.fleet.members() if group in groups and one not in doomed]
        if "ids" in values:
            if unknown := sorted(set(values["ids"]) - set(known)):
                raise ValueError(f"no such instance, or it is to end already: {', '.join(unknown)}")
            return list(values["ids"])
        count = values.get("number", len(known))
        if "share" in values:
            # At least one, where one is wanted: 5 % of 8 instances is somebody.
            count = max(round(values["share"] * len(known)), 1 if values["share"] else 0)
        if count > len(known):
            raise ValueError(f"there are {len(known)} instances to choose from, not {count}")
        return random.Random(values.get("seed", 0)).sample(known, count)

    def _groups(self, patterns: tuple[str, ...]) -> list[str]:
        """Return the groups that match; raises ValueError where a pattern matches none."""
        prefix = f"{self._parts.application}-"
        names = [name.removeprefix(prefix) for name in self._parts.fleet.groups() if name.startswith(prefix)]
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                near = difflib.get_close_matches(pattern, names, n=1)
                raise ValueError(f"no group is called {pattern}" + (f"; did you mean {near[0]}?" if near else ""))
        return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _told(values: Mapping[str, Any]) -> str:
    """Say what a fault was asked with, as flags are written."""
    return " ".join(
        f"--{flag} {','.join(value) if isinstance(value, tuple) else value}" for flag, value in values.items()
    )
