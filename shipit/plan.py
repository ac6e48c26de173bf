"""Decide what a rollout does with each group, and why: pure; only the rollout acts on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def make_plan(
    fleet: Fleet,
    published: PublishedBuild,
    *,
    rollout_id: str,
    env: str,
    deployment_config: str,
    prefix: str,
    only: Sequence[str] = (),
) -> RolloutPlan:
    """Return the plan that brings the fleet, or the queues that `only` selects, to the published build.

    `prefix` is the key prefix of published builds, from which a group's running build is read. Raises UsageError
    for a pattern of `only` that matches no queue.
    """
    chosen = select(fleet, only)
    groups = tuple(
        _decide(group, published, prefix, selected=group.name in chosen, only=only)
        for group in sorted(fleet.groups, key=lambda g: g.name)
    )
    return RolloutPlan(
        id=rollout_id, env=env, published=published, groups=groups, deployment_config=deployment_config
    )


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
            shown = ", ".join(queues[:8]) + (f" and {len(queues) - 8} more" if len(queues) > 8 else "")
            raise UsageError(f"--only {pattern!r} matches no queue", hint=f"queues: {shown}")
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


def _decide(
    group: Group, published: PublishedBuild, prefix: str, *, selected: bool, only: Sequence[str]
) -> PlannedGroup:
    running = running_build(group.last_success, prefix)

    def planned(action: Action, reason: str) -> PlannedGroup:
        return PlannedGroup(group=group, action=action, reason=reason, running=running)

    if not selected:
        return planned(Action.EXCLUDED, f"not matched by --only {','.join(only)}")
    if group.active:
        by = group.active.description or f"creator {group.active.creator}"
        return planned(Action.BUSY, f"{group.active.id} is running: {by}")
    if not group.in_service:
        return planned(Action.EMPTY, "no instance in service; one launched now would get the old build")
    if group.last_success is None:
        return planned(Action.DEPLOY, "nothing deployed yet")
    if running != published.build.version or group.last_success.revision != published.revision:
        return planned(Action.DEPLOY, f"runs {running or group.last_success.revision or 'an unknown revision'}")
    return planned(*_same_build(group, group.last_success))


def _same_build(group: Group, success: Deployment) -> tuple[Action, str]:
    """Decide a group whose last success was this very build: something may have come between."""
    last = group.last_attempt
    if last is not None and last.id != success.id and last.status is not DeploymentStatus.SUCCEEDED:
        return Action.DEPLOY, f"runs this build, but {last.id} after it ended as {last.status}"
    left = success.overview.failed + success.overview.skipped
    if left:
        return Action.DEPLOY, f"{success.id} left {left} of {success.overview.total} instances behind"
    return Action.CURRENT, f"runs this build since {success.id}"
