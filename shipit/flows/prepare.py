"""Make a plan and a policy by the environment's settings, and refuse the plan where it must not be carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from shipit.errors import BusyError, PreflightError, ShipitError, UsageError
from shipit.estimate import seconds_by_group
from shipit.events import Notice
from shipit.ledger import new_id
from shipit.models import Action, Fleet, PublishedBuild, RolloutPlan
from shipit.order import Order, compare
from shipit.plan import Rules, make_plan, patterns
from shipit.rollout import OnBusy, Policy
from shipit.settings import parse_duration
from shipit.wiring import Tool
from shipit.wording import listing, plural

#: Past rollouts that estimates are made from.
_PAST = 10


def prepare(
    tool: Tool,
    published: PublishedBuild,
    *,
    only: str = "",
    allow_older: bool = False,
    on_busy: str = "",
    rollout: str = "",
) -> RolloutPlan:
    """Return the plan that brings the fleet, or the queues of `only`, to the build; reads only.

    `rollout` is the id that it gets, a new one where empty.
    """
    fleet = tool.fleet.read()
    settings = tool.settings.rollout
    rules = Rules(
        prefix=tool.settings.prefix,
        deployment_config=settings.deployment_config,
        only=patterns(only),
        waves=settings.waves,
        on_busy=on_busy or settings.on_busy,
        newer=(lambda running: "") if allow_older else _Newer(tool, published),
        expected=_expected(tool, fleet),
        slots=tool.slots,
        now=tool.clock.now(),
    )
    made = make_plan(fleet, published, rules, rollout_id=rollout or new_id(tool.clock.now()), env=tool.settings.env)
    return _with_total(tool, made)


def estimated(tool: Tool, made: RolloutPlan) -> RolloutPlan:
    """Return the plan with what past rollouts say that each group, and the whole, takes."""
    expected = _expected(tool, Fleet(groups=tuple(p.group for p in made.groups)))
    groups = tuple(replace(p, expected=expected.get(p.group.name)) for p in made.groups)
    return _with_total(tool, replace(made, groups=groups))


def _with_total(tool: Tool, made: RolloutPlan) -> RolloutPlan:
    known = [p.expected for p in made.to_deploy if p.expected is not None]
    if not known or len(known) < len(made.to_deploy):
        return made
    rollout = tool.settings.rollout
    pauses = 0.0 if rollout.promote == "manual" else rollout.bake * (len(made.waves) - 1)
    # All groups of a wave start at once: the longest of each makes the whole.
    return replace(made, expected=pauses + sum(max(p.expected or 0.0 for p in wave) for wave in made.waves))


def policy_of(tool: Tool) -> Policy:
    """Return the policy of the environment's settings."""
    rollout = tool.settings.rollout
    anything = rollout.on_failure == "continue"
    return Policy(
        failed_groups=None if anything else rollout.max_failed_groups,
        failed_instances=None if anything else rollout.max_failed_instances,
        on_busy=OnBusy(rollout.on_busy),
        retries=rollout.retries,
        look_every=rollout.look_every,
    )


def refuse(made: RolloutPlan) -> None:
    """Raise what speaks against carrying out the plan: nothing to deploy to, newer builds, busy groups."""
    build = made.published.build.version
    if newer := [p for p in made.groups if p.action is Action.NEWER]:
        names = listing([p.group.name for p in newer])
        some = plural(len(newer), "group runs", "groups run")
        raise PreflightError(
            f"{some} a newer build than {build}: {names} ({newer[0].reason})",
            hint="--allow-older goes back on purpose; inv rollback goes back to the last good build",
        )
    if not any(p.action in (Action.DEPLOY, Action.CURRENT, Action.BUSY) for p in made.groups):
        raise PreflightError("nothing was deployed: no chosen group has an instance in service")


def refuse_busy(made: RolloutPlan, *, left: bool = False) -> None:
    """Raise BusyError where groups are held by others: nothing was begun for that, or they were `left` alone."""
    busy = [p for p in made.groups if p.action is Action.BUSY]
    if not busy:
        return
    more = f"; and {len(busy) - 3} more" if busy[3:] else ""
    said = "; ".join(f"{p.group.name}: {p.reason}" for p in busy[:3]) + more
    if left:
        raise BusyError(
            f"{plural(len(busy), 'group')} did not get the build, for others held them: {said}",
            hint=f"once these have ended: inv deploy --build {made.published.build.version}",
        )
    raise BusyError(
        f"nothing was deployed, for others hold {plural(len(busy), 'group')}: {said}",
        hint="--on-busy wait lets them end first, stop stops them, skip leaves them alone",
    )


def seconds(flag: str, text: str) -> float:
    """Return the seconds of a flag's duration, 0 where it was not given; raises UsageError."""
    try:
        return parse_duration(text) if text else 0.0
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from None


def one_of(flag: str, text: str, *allowed: str) -> str:
    """Return the text where it is empty or one of those allowed; raises UsageError."""
    if text and text not in allowed:
        raise UsageError(f"{flag} {text!r} is unknown", hint=f"choose one of {', '.join(allowed)}")
    return text


class _Newer:
    """Say why a running build counts as newer than the one to deploy; each build is looked up once."""

    def __init__(self, tool: Tool, published: PublishedBuild) -> None:
        self._tool = tool
        self._published = published
        self._said: dict[str, str] = {}

    def __call__(self, running: str) -> str:
        if running not in self._said:
            self._said[running] = self._look(running)
        return self._said[running]

    def _look(self, running: str) -> str:
        try:
            theirs = self._tool.builds.get(running).build
        except UsageError:
            return ""  # not published here any more: nothing is known of its age
        found = compare(self._published.build, theirs, self._tool.repository)
        return found.sentence if found.order is Order.OLDER else ""


def _expected(tool: Tool, fleet: Fleet) -> Mapping[str, float]:
    """Return what the groups took in past rollouts; a ledger that cannot be read costs only the estimate."""
    try:
        return seconds_by_group(tool.ledger.recent(_PAST), [g.name for g in fleet.groups])
    except ShipitError as error:
        tool.display(Notice(text=f"no estimate: {error.message}"))
        return {}
