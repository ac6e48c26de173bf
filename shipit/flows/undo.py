"""Take back a rollout: every group that it touched returns to what it ran before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from shipit.errors import DamagedError, DriftError, PreflightError
from shipit.events import Notice
from shipit.flows.conduct import Conductor, Manner
from shipit.flows.prepare import policy_of
from shipit.ledger import new_id
from shipit.lock import Held
from shipit.models import Action, Deployment, Outcome, PlannedGroup, PublishedBuild, RolloutPlan, RolloutRecord
from shipit.plan import fit
from shipit.rollout import Mark, Policy, begin, complete, entries
from shipit.wiring import Tool
from shipit.wiring.person import author
from shipit.wording import plural


def take_back(tool: Tool, record: RolloutRecord, held: Held, manner: Manner) -> None:
    """Take every group that a rollout touched back to what it ran before, and prove it.

    What still runs of it is stopped first. The stop hooks of the build that is left may be broken, and are no
    reason to stay on it: their failures are ignored. Raises what the rollback ends with, DriftError where of some
    groups nothing tells what they ran before, and PreflightError where another rollout came to them since.
    """
    earlier = tool.ledger.find(record.undone_by) if record.undone_by else None
    if earlier is not None and earlier.outcome.good:
        tool.display(Notice(text=f"rollout {record.id} was taken back by {record.undone_by} already"))
        return
    newest = tool.codedeploy.last_attempts(list(record.groups))
    record = complete(record, newest)
    touched = {name: g for name, g in record.groups.items() if g.deployments}
    if not touched:
        tool.display(Notice(text="no group was touched: there is nothing to take back"))
        return
    _refuse_overtaken(tool, record, [newest[name] for name in touched if name in newest])
    running = tool.codedeploy.deployments([g.deployments[-1] for g in touched.values()])
    for deployment in running.values():
        if not deployment.status.ended:
            tool.codedeploy.stop(deployment.id)
    made = _plan_back(tool, record)
    # Where nobody wanted the instances asked, they may report nothing at all.
    verify = manner.verify and record.verify
    undoing = RolloutRecord(
        id=made.id,
        env=made.env,
        build=made.published.build.version,
        by=author(),
        why=f"takes back {record.id}",
        started_at=tool.clock.now(),
        groups=entries(made),
        excluded=tuple(n for n in record.groups if n not in {p.group.name for p in made.groups}) + record.excluded,
        verify=verify,
        undoes=record.id,
        # Whoever carries it on does so, too.
        flags={"on_failure": "continue", "ignore_stop_failures": "yes"},
    )
    tool.ledger.write(replace(record, undone_by=made.id))
    text = f"rolling back {plural(len(made.groups), 'group')} to what ran there before"
    tool.display(Notice(text=text, warning=True))
    tool.display.plan(made)
    Conductor(
        tool,
        made,
        begin(made, _lenient(policy_of(tool))),
        undoing,
        held,
        replace(manner, verify=verify, ignore_stop_failures=True),
    ).run()
    mark_undone(tool, undoing)
    if left := [name for name, entry in touched.items() if not entry.before]:
        raise DriftError(
            f"nothing tells what {', '.join(left)} ran before: left on {record.build}",
            hint="another build gets them off it: inv deploy --build V",
        )


def _refuse_overtaken(tool: Tool, record: RolloutRecord, newest: Iterable[Deployment]) -> None:
    """Raise PreflightError where what the groups got last is of a rollout that has nothing to do with this one."""
    marks = [mark for deployment in newest if (mark := Mark.parse(deployment.description))]
    for rollout in sorted({mark.rollout for mark in marks} - {record.id}):
        found = None
        with suppress(DamagedError):
            found = tool.ledger.find(rollout)
        # One that died while it took this one back is no reason not to do it.
        if found is None or found.undoes != record.id:
            raise PreflightError(
                f"rollout {rollout} came after {record.id}: to take that one back would undo both",
                hint="inv rollback goes back to the last good build, inv rollback V to another",
            )


def _lenient(policy: Policy) -> Policy:
    """Return the policy of a rollback: no failure keeps the other groups on the build that is left."""
    return replace(policy, failed_groups=None, failed_instances=None)


def _plan_back(tool: Tool, record: RolloutRecord) -> RolloutPlan:
    """Return the plan in which each touched group gets the build that it ran before, all in one wave."""
    groups = {g.name: g for g in tool.fleet.read().groups}
    planned: list[PlannedGroup] = []
    builds: dict[str, PublishedBuild] = {}
    for name, entry in record.groups.items():
        if not entry.deployments or name not in groups:
            continue
        if not entry.before:
            text = f"{name}: nothing tells what it ran before, so it stays as it is"
            tool.display(Notice(text=text, warning=True))
            continue
        builds[entry.before] = tool.builds.get(entry.before)
        group = groups[name]
        planned.append(
            PlannedGroup(
                group=group,
                action=Action.DEPLOY if group.in_service else Action.EMPTY,
                reason=f"back to {entry.before}",
                running=record.build,
                published=builds[entry.before],
            )
        )
    if not planned:
        raise PreflightError(
            f"rollout {record.id} cannot be taken back: nothing tells what its groups ran before",
            hint="deploy another build: inv deploy --build V",
        )
    main, _ = Counter(p.published.build.version for p in planned if p.published).most_common(1)[0]
    made = RolloutPlan(
        id=new_id(tool.clock.now()),
        env=record.env,
        published=builds[main],
        groups=tuple(planned),
        deployment_config=tool.settings.rollout.deployment_config,
    )
    return fit(made, tool.slots)


def mark_undone(tool: Tool, undoing: RolloutRecord) -> None:
    """Note in the rollout that was taken back that it is: its build is none to go back to."""
    undone = tool.ledger.find(undoing.undoes) if undoing.undoes else None
    if undone is not None:
        tool.ledger.write(replace(undone, undone_by=undoing.id, outcome=Outcome.ROLLED_BACK))
