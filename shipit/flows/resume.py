"""Carry on a rollout whose process is gone."""

from __future__ import annotations

from dataclasses import replace

from shipit.errors import DamagedError, PreflightError, UsageError
from shipit.events import Notice
from shipit.flows import undo
from shipit.flows.conduct import Conductor
from shipit.flows.deploy import Wish, by_flags, lead, locked, manner_of
from shipit.flows.prepare import policy_of
from shipit.models import Action, Outcome, PlannedGroup, RolloutPlan, RolloutRecord
from shipit.plan import fit
from shipit.rollout import gather, restore
from shipit.wiring import Tool
from shipit.wording import plural


def resume(tool: Tool, wish: Wish, *, dry_run: bool) -> None:
    """Carry on the last rollout, whose process is gone, by its record and by what CodeDeploy knows beyond it.

    Raises UsageError where a flag asks for another rollout than that, or for none, where it is over, and where its
    record is lost: nothing else tells which groups it was meant for. Raises PreflightError where somebody stopped
    it, or began another one since.
    """
    foreign = {"--build": wish.build, "--only": wish.only, "--allow-older": wish.allow_older, "--dry-run": dry_run}
    if strange := [flag for flag, given in foreign.items() if given]:
        raise UsageError(
            f"--resume carries on the rollout that was begun, and takes no {' and no '.join(strange)}",
            hint="without --resume another one is planned: inv deploy",
        )
    tool = by_flags(tool, wish)
    record = _unfinished(tool)
    wish = _as_begun(wish, record)
    tool = by_flags(tool, wish)
    with locked(tool, wish, build=record.build, rollout=record.id) as held:
        begun, record = record, _unfinished(tool)  # as its last owner left it
        if record.id != begun.id:
            # While the lock was waited for: what was begun before it may be older by now.
            raise PreflightError(
                f"rollout {record.id} of {record.build} began after {begun.id}",
                hint="inv deploy --resume carries on the newer one",
            )
        if tool.ledger.orders(record.id).get("stop"):
            raise PreflightError(
                f"rollout {record.id} was stopped", hint=f"inv deploy --build {record.build} starts another"
            )
        made = plan_of(tool, record)
        state = restore(record, made, tool.codedeploy.last_attempts(list(record.groups)), policy_of(tool))
        left = plural(sum(not g.phase.ended for g in state.groups.values()), "group is", "groups are")
        tool.display(Notice(text=f"carrying on rollout {record.id} of {record.build}: {left} left"))
        record = replace(record, outcome=Outcome.RUNNING, ended_at=None)
        deployer = tool.restarter if record.restart else None
        lead(tool, Conductor(tool, made, state, record, held, manner_of(tool, wish), deployer), held, wish)
    undo.mark_undone(tool, record)


def _unfinished(tool: Tool) -> RolloutRecord:
    """Return the last rollout's record; raises UsageError where there is none, where it is lost or it is over."""
    rollout = tool.ledger.latest_id()
    if not rollout:
        raise UsageError(f"no rollout of {tool.settings.env} is known", hint="start one: inv deploy")
    lost = "its record is lost"
    try:
        record = tool.ledger.find(rollout)
    except DamagedError as error:
        record, lost = None, error.message
    if record is None:
        known = gather(rollout, tool.fleet.read().groups, now=tool.clock.now())
        raise UsageError(
            f"nothing tells which groups rollout {rollout} was meant for: {lost}",
            hint=f"inv watch follows what it began; then inv deploy --build {known.build if known else 'V'} "
            "begins where that does not run",
        )
    if not record.outcome.resumable:
        raise UsageError(
            f"rollout {record.id} is over: {record.outcome}",
            hint=f"inv deploy --build {record.build} starts what is not on its build",
        )
    return record


def _as_begun(wish: Wish, record: RolloutRecord) -> Wish:
    """Return the wish with the flags that the rollout was begun with.

    A canary that waits for a word must not go on without one because somebody else carries it on. One that was not
    to ask the instances does not ask them now: they may report nothing at all.
    """
    return replace(
        wish,
        on_busy=wish.on_busy or record.flags.get("on_busy", ""),
        on_failure=wish.on_failure or record.flags.get("on_failure", ""),
        promote=wish.promote or record.flags.get("promote", ""),
        verify=wish.verify and record.verify,
        ignore_stop_failures=wish.ignore_stop_failures or "ignore_stop_failures" in record.flags,
    )


def plan_of(tool: Tool, record: RolloutRecord) -> RolloutPlan:
    """Return the plan that a record was made from: its groups as they are now, in its waves.

    A group that is gone meanwhile is left out.
    """
    groups = {g.name: g for g in tool.fleet.read().groups}
    published = tool.builds.get(record.build)
    planned = []
    for name, entry in record.groups.items():
        if name not in groups:
            tool.display(Notice(text=f"{name}: the group is gone, and left out", warning=True))
            continue
        own = tool.builds.get(entry.build) if entry.build and entry.build != record.build else None
        planned.append(
            PlannedGroup(
                group=groups[name],
                action=Action.DEPLOY,
                reason=f"of rollout {record.id}",
                running=entry.before,
                wave=entry.wave,
                published=own,
            )
        )
    made = RolloutPlan(
        id=record.id,
        env=record.env,
        published=published,
        groups=tuple(planned),
        deployment_config=tool.settings.rollout.deployment_config,
    )
    return fit(made, tool.slots)
