"""What each command does, step by step: the verbs in their order, over the parts that the wiring made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from shipit.errors import BusyError, DriftError, PreflightError, ShipitError, StillRunning, UsageError
from shipit.events import Notice
from shipit.ledger import RolloutRecord, new_id
from shipit.models import Action, Fleet, Phase, PublishedBuild, RolloutPlan
from shipit.plan import make_plan, patterns, select
from shipit.rollout import RolloutResult, roll_out
from shipit.settings import parse_duration
from shipit.wiring import Tool


def plan(tool: Tool, build: str, only: str) -> RolloutPlan:
    """Make and print the plan for a published build, or for what a build of HEAD would be called; write nothing."""
    made = _plan(tool, tool.builds.get(build) if build else tool.builds.prospective(tool.head()), only)
    tool.display.plan(made)
    return made


def deploy(tool: Tool, *, build: str, only: str, dry_run: bool, verify: bool, timeout: str) -> None:
    """Build and publish unless `build` names a published one, then plan, roll out and verify.

    Returns only when the fleet is converged; each other end is an error with its exit code.
    """
    limit = _seconds("--timeout", timeout) or tool.settings.rollout.timeout
    if dry_run:
        plan(tool, build, only)
        return
    made = _plan(tool, tool.builds.get(build) if build else tool.publish(*tool.build()), only)
    tool.display.plan(made)
    if made.to_deploy:
        _conclude(_start(tool, made, limit))
    _mind_the_rest(tool, made)
    if verify:
        groups = frozenset(p.group.name for p in made.groups if p.action in (Action.DEPLOY, Action.CURRENT))
        tool.verify(made.published.build.version, groups, wait=tool.settings.reports.grace)


def watch(tool: Tool, rollout_id: str) -> None:
    """Attach to a rollout and end as the deploy that started it would have."""
    record = tool.ledger.read(rollout_id) if rollout_id else tool.ledger.latest()
    if record is None:
        raise UsageError(f"no rollout of {tool.settings.env} is known", hint="start one: inv deploy")
    started = {name: deployment for name, deployment in record.groups.items() if deployment}
    fleet = tool.fleet.read()
    made = make_plan(
        Fleet(
            groups=tuple(replace(g, last_attempt=None, last_success=None) for g in fleet.groups if g.name in started)
        ),
        tool.builds.get(record.build),
        rollout_id=record.id,
        env=record.env,
        deployment_config=tool.settings.rollout.deployment_config,
        prefix=tool.settings.prefix,
    )
    result = _roll(tool, made, tool.settings.rollout.timeout, _description(record), started=started, note={})
    _conclude(result)
    if never := sorted(set(record.groups) - set(started)):
        raise DriftError(
            f"{len(never)} groups of rollout {record.id} were never started: {', '.join(never[:5])}",
            hint=f"inv deploy --build {record.build}",
        )


def verify_versions(tool: Tool, *, build: str, only: str, wait: str) -> None:
    """Check that every instance reports the build, by default that of the env's last rollout and its groups."""
    seconds = _seconds("--wait", wait)
    excluded: Sequence[str] = ()
    if not build:
        record = tool.ledger.latest()
        if record is None:
            raise UsageError(
                f"no rollout of {tool.settings.env} is known, so no build is expected", hint="name one with --build"
            )
        build, excluded = record.build, record.excluded
        tool.display(Notice(text=f"expecting {build}, of rollout {record.id} by {record.by}"))
    chosen = select(tool.fleet.read(), patterns(only))
    if not only and excluded:
        chosen -= frozenset(excluded)
        tool.display(Notice(text=f"{len(excluded)} groups that this rollout left out on purpose are not checked"))
    tool.verify(build, chosen, wait=seconds)


def _plan(tool: Tool, published: PublishedBuild, only: str) -> RolloutPlan:
    return make_plan(
        tool.fleet.read(),
        published,
        rollout_id=new_id(datetime.now(UTC)),
        env=tool.settings.env,
        deployment_config=tool.settings.rollout.deployment_config,
        prefix=tool.settings.prefix,
        only=patterns(only),
    )


def _start(tool: Tool, made: RolloutPlan, limit: float) -> RolloutResult:
    record = RolloutRecord(
        id=made.id,
        env=made.env,
        build=made.published.build.version,
        by=tool.author,
        started_at=datetime.now(UTC),
        groups={p.group.name: "" for p in made.to_deploy},
        excluded=tuple(p.group.name for p in made.groups if p.action is Action.EXCLUDED),
    )
    tool.ledger.write(record)
    started: dict[str, str] = {}
    outcome = "interrupted"
    try:
        result = _roll(tool, made, limit, _description(record), started=None, note=started)
        outcome = _outcome(result)
        return result
    finally:
        tool.ledger.write(replace(record, groups={**record.groups, **started}, outcome=outcome))


def _roll(
    tool: Tool,
    made: RolloutPlan,
    limit: float,
    description: str,
    *,
    started: Mapping[str, str] | None,
    note: dict[str, str],
) -> RolloutResult:
    """Run the rollout; each group that starts is noted with its deployment's id."""
    return roll_out(
        made,
        tool.codedeploy,
        clock=tool.clock,
        listen=tool.teller(made.published.build.version, lambda e: note.update({e.group: e.deployment_id})),
        poll=tool.settings.rollout.poll,
        timeout=limit,
        description=description,
        ignore_stop_failures=tool.settings.rollout.ignore_application_stop_failures,
        started=started,
        calls=lambda: tool.session.calls,
    )


def _description(record: RolloutRecord) -> str:
    return f"shipit rollout {record.id} build {record.build} env {record.env} by {record.by}"


def _outcome(result: RolloutResult) -> str:
    if result.timed_out:
        return "timed-out"
    whole = result.count(Phase.SUCCEEDED) == len(result.groups)
    return "succeeded" if whole else "failed"


def _conclude(result: RolloutResult) -> None:
    """Raise what a rollout that is not whole ends with."""
    total, build = len(result.groups), result.plan.published.build.version
    again = f"inv deploy --build {build} starts those that are not on it"
    if result.timed_out:
        running = result.count(Phase.RUNNING)
        raise StillRunning(
            f"{running} of {total} groups are still deploying after {result.seconds:.0f} s",
            hint=f"inv watch {result.plan.id} goes on watching; nothing was stopped",
        )
    codes = {g.error_code for g in result.groups.values() if g.phase is Phase.FAILED}
    if codes == {"BUSY"}:
        raise BusyError(
            f"{result.count(Phase.FAILED)} of {total} groups were busy with another deployment", hint=again
        )
    bad = result.count(Phase.FAILED) + result.count(Phase.STOPPED)
    if bad:
        raise ShipitError(f"{bad} of {total} groups failed", hint=again)
    if partial := result.count(Phase.PARTIAL):
        raise DriftError(f"{partial} of {total} groups were only partly deployed", hint=again)


def _mind_the_rest(tool: Tool, made: RolloutPlan) -> None:
    """Refuse to call it done where groups that were asked for could not be deployed."""
    if busy := made.count(Action.BUSY):
        names = ", ".join(p.group.name for p in made.groups if p.action is Action.BUSY)
        raise BusyError(
            f"{busy} groups were busy and left alone: {names}",
            hint=f"wait for them to end, then inv deploy --build {made.published.build.version}",
        )
    if empty := made.count(Action.EMPTY):
        tool.display(
            Notice(text=f"{empty} groups were empty: what scales out there gets their old build", warning=True)
        )
    if not made.count(Action.DEPLOY) + made.count(Action.CURRENT):
        raise PreflightError("nothing was deployed: no chosen group has an instance in service")


def _seconds(flag: str, text: str) -> float:
    try:
        return parse_duration(text) if text else 0.0
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from None
