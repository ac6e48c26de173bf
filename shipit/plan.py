"""Decide what a rollout does with each group, and why: pure; only the rollout acts on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase

from shipit.errors import UsageError
from shipit.models import (
    Action,
    Deployment,
    DeploymentStatus,
    Fleet,
    Group,
    PlannedGroup,
    PublishedBuild,
    RolloutPlan,
)
from shipit.wording import listing, plural

#: A count, and one that works for any number of instances (reference codedeploy.md, §1).
ONE_AT_A_TIME = "CodeDeployDefault.OneAtATime"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Say by what a plan decides.

    `prefix` is the key prefix of published builds, from which a group's running build is read; `waves` are
    wildcards over queues. `newer` says why a running build counts as newer than the one to deploy, and nothing
    where it does not. `expected` are seconds by group. `slots` says on how many of `n` instances a deployment
    configuration works at a time; 0 is one that cannot work.
    """

    prefix: str
    deployment_config: str
    only: Sequence[str] = ()
    waves: Sequence[Sequence[str]] = (("*",),)
    on_busy: str = "wait"
    newer: Callable[[str], str] = lambda running: ""
    expected: Mapping[str, float] = field(default_factory=dict)
    slots: Callable[[str, int], int] = lambda config, n: n
    now: datetime | None = None


def make_plan(fleet: Fleet, published: PublishedBuild, rules: Rules, *, rollout_id: str, env: str) -> RolloutPlan:
    """Return the plan that brings the fleet, or the queues that `only` selects, to the published build.

    Raises UsageError for a pattern of `only` or of a wave that matches no queue, and for a queue in no wave.
    """
    chosen = select(fleet, rules.only)
    wave_of = _waves(fleet, rules.waves)
    groups = tuple(
        replace(
            _decide(group, published, rules, selected=group.name in chosen),
            wave=wave_of[group.name],
            expected=rules.expected.get(group.name),
        )
        for group in sorted(fleet.groups, key=lambda g: g.name)
    )
    made = RolloutPlan(
        id=rollout_id, env=env, published=published, groups=groups, deployment_config=rules.deployment_config
    )
    return fit(made, rules.slots)


def fit(made: RolloutPlan, slots: Callable[[str, int], int]) -> RolloutPlan:
    """Give each group a configuration that works for its size: a share of few instances may leave no slot at all."""
    return replace(made, groups=tuple(_fit(p, made.deployment_config, slots) for p in made.groups))


def _fit(planned: PlannedGroup, config: str, slots: Callable[[str, int], int]) -> PlannedGroup:
    size = planned.group.in_service
    # An empty group needs none: there is nothing that it could not work with.
    if planned.action is not Action.DEPLOY or not size or slots(config, size):
        return planned
    reason = f"{planned.reason}; {config} cannot work with {size}: {ONE_AT_A_TIME}"
    return replace(planned, config=ONE_AT_A_TIME, reason=reason)


def _waves(fleet: Fleet, waves: Sequence[Sequence[str]]) -> Mapping[str, int]:
    """Return the number of each group's wave: the first that one of its patterns matches."""
    found: dict[str, int] = {}
    for number, wave in enumerate(waves):
        for pattern in wave:
            matched = [g.name for g in fleet.groups if fnmatchcase(g.queue, pattern)]
            if not matched:
                raise UsageError(
                    f"rollout.waves: {pattern!r} in wave {number + 1} matches no queue",
                    hint="mend the pattern in shipit.toml: a wave of nothing would test nothing",
                )
            for name in matched:
                found.setdefault(name, number)
    if missing := sorted(g.queue for g in fleet.groups if g.name not in found):
        raise UsageError(
            f"rollout.waves: {plural(len(missing), 'queue is', 'queues are')} in no wave: {listing(missing)}",
            hint='let the last wave be ["*"], the rest',
        )
    return found


def select(fleet: Fleet, only: Iterable[str]) -> frozenset[str]:
    """Return the names of the groups whose queue matches one of the wildcards; all groups for none.

    Raises UsageError for a wildcard that matches nothing: a typing error must not narrow a deployment silently.
    """
    patterns = tuple(only)
    if not patterns:
        return frozenset(g.name for g in fleet.groups)
    chosen: set[str] = set()
    for pattern in patterns:
        matched = {g.name for g in fleet.groups if fnmatchcase(g.queue, pattern)}
        if not matched:
            queues = sorted(g.queue for g in fleet.groups)
            raise UsageError(f"--only {pattern!r} matches no queue", hint=f"queues: {listing(queues, 8)}")
        chosen |= matched
    return frozenset(chosen)


def patterns(text: str) -> tuple[str, ...]:
    """Split a comma list of wildcards, as `--only 'email-*,reports'` gives it.

    Raises UsageError where nothing is left of a text that is not empty.
    """
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if text and not found:
        raise UsageError(f"--only {text!r} names no queue", hint="write wildcards with commas: 'email-*,reports'")
    return found


def running_build(deployment: Deployment | None, prefix: str) -> str:
    """Return the build that a deployment brought, read from its revision's key; empty where it was not ours."""
    if deployment is None or deployment.revision is None:
        return ""
    head, _, tail = deployment.revision.key.partition(f"{prefix}/")
    return tail.partition("/")[0] if not head else ""


def _decide(group: Group, published: PublishedBuild, rules: Rules, *, selected: bool) -> PlannedGroup:
    running = running_build(group.last_success, rules.prefix)

    def planned(action: Action, reason: str) -> PlannedGroup:
        return PlannedGroup(group=group, action=action, reason=reason, running=running)

    if not selected:
        return planned(Action.EXCLUDED, f"not matched by --only {','.join(rules.only)}")
    if group.active and rules.on_busy in ("skip", "fail"):
        return replace(planned(Action.BUSY, group.active.introduced(rules.now)), holder=group.active)
    if not group.in_service:
        return planned(Action.EMPTY, "no instance in service; one launched now would get the old build")
    decided = _needs(group, published, running, rules, planned)
    if group.active and decided.action is not Action.NEWER:
        what = "stops" if rules.on_busy == "stop" else "waits for"
        reason = f"{what} {group.active.introduced(rules.now)}"
        decided = replace(decided, action=Action.DEPLOY, reason=reason, holder=group.active)
    return decided


def _needs(
    group: Group,
    published: PublishedBuild,
    running: str,
    rules: Rules,
    planned: Callable[[Action, str], PlannedGroup],
) -> PlannedGroup:
    if group.last_success is None:
        return planned(Action.DEPLOY, "nothing deployed yet")
    if running != published.build.version or group.last_success.revision != published.revision:
        if running and (why := rules.newer(running)):
            return planned(Action.NEWER, why)
        if running == published.build.version:
            return planned(Action.DEPLOY, "runs another revision of this build")
        other = group.last_success.revision or "an unknown revision"
        return planned(Action.DEPLOY, "runs another build" if running else f"runs {other}")
    return planned(*_same_build(group, group.last_success))


def _same_build(group: Group, success: Deployment) -> tuple[Action, str]:
    """Decide a group whose last success was this very build: something may have come between."""
    last = group.last_attempt
    if last is not None and last.id != success.id and last.status is not DeploymentStatus.SUCCEEDED:
        return Action.DEPLOY, f"runs this build, but {last.id} came later and ended as {last.status}"
    left = success.overview.failed + success.overview.skipped
    if left:
        return Action.DEPLOY, f"{success.id} left {left} of {success.overview.total} instances behind"
    return Action.CURRENT, f"runs this build since {success.id}"
