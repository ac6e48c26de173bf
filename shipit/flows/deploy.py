"""Bring a build to the fleet: plan it, lead it, or carry on one whose process is gone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from shipit.errors import DriftError, Interrupted, ShipitError, UsageError
from shipit.events import Notice
from shipit.flows import undo
from shipit.flows.conduct import Conductor, Manner
from shipit.flows.prepare import one_of, policy_of, prepare, refuse, refuse_busy, seconds
from shipit.ledger import new_id
from shipit.lock import Claim, Held
from shipit.models import Action, Outcome, PlannedGroup, RolloutPlan, RolloutRecord
from shipit.rollout import begin, entries, excluded
from shipit.wiring import Tool
from shipit.wiring.person import author, confirm
from shipit.wording import listing, plural


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Hold the flags of a command that starts a rollout, as typed."""

    build: str = ""
    only: str = ""
    why: str = ""
    verify: bool = True
    timeout: str = ""
    lock_wait: str = ""
    on_busy: str = ""
    on_failure: str = ""
    promote: str = ""
    allow_older: bool = False
    ignore_stop_failures: bool = False
    yes: bool = False


def plan(tool: Tool, wish: Wish, rollout: str = "") -> RolloutPlan:
    """Make and print the plan for a published build, or for what a build of HEAD would be called; write nothing."""
    published = tool.builds.get(wish.build) if wish.build else tool.builds.prospective(tool.head())
    made = prepare(
        tool, published, only=wish.only, allow_older=wish.allow_older, on_busy=wish.on_busy, rollout=rollout
    )
    tool.display.plan(made)
    return made


def deploy(tool: Tool, wish: Wish, *, dry_run: bool) -> None:
    """Build and publish unless a published build is named, then plan, roll out and verify.

    Returns only when the fleet is converged; each other end is an error with its exit code.
    """
    tool = by_flags(tool, wish)
    if dry_run:
        plan(tool, wish)
        return
    published = tool.builds.get(wish.build) if wish.build else tool.publish(*tool.build())
    rollout = new_id(tool.clock.now())
    asks = tool.settings.protected and not wish.yes
    shown = _ask(tool, replace(wish, build=published.build.version), rollout) if asks else None
    with locked(tool, wish, build=published.build.version, rollout=rollout) as held:
        made = prepare(tool, published, only=wish.only, allow_older=wish.allow_older, rollout=rollout)
        if made != shown:
            # What was confirmed may have changed while somebody typed.
            tool.display.plan(made)
        refuse(made)
        if tool.settings.rollout.on_busy == "fail":
            refuse_busy(made)
        launch(tool, made, held, wish)
    _mind_the_empty(tool, made)


def launch(tool: Tool, made: RolloutPlan, held: Held, wish: Wish, *, undoes: str = "") -> None:
    """Lead a new rollout of the plan, and take it back where it fails and the policy says so."""
    record = replace(_opened(tool, made, wish), undoes=undoes)
    conductor = Conductor(tool, made, begin(made, policy_of(tool)), record, held, manner_of(tool, wish))
    lead(tool, conductor, held, wish)
    undo.mark_undone(tool, record)


def restart(tool: Tool, wish: Wish) -> None:
    """Deploy to each group again what it runs: its workers start anew, and no build changes."""
    tool = by_flags(tool, wish)
    latest = tool.ledger.latest()
    if latest is None:
        raise UsageError(f"nothing was deployed to {tool.settings.env} yet", hint="start with inv deploy")
    if tool.settings.protected and not wish.yes:
        confirm(f"Restart every worker of {tool.settings.env}?", tool.settings.env, yes=False)
    rollout = new_id(tool.clock.now())
    with locked(tool, wish, build=latest.build, rollout=rollout) as held:
        made = prepare(tool, tool.builds.get(latest.build), only=wish.only, allow_older=True, rollout=rollout)
        strange = [p.group.name for p in made.groups if p.action is Action.DEPLOY and not p.running]
        if strange:
            raise DriftError(
                f"{plural(len(strange), 'group')} never got a build of ours: {listing(strange)}",
                hint="a restart brings what each group runs; leave them out with --only, or inv deploy first",
            )
        builds = Counter(p.running for p in made.groups if p.action in (Action.CURRENT, Action.DEPLOY))
        main = max(builds, key=lambda build: builds[build], default=latest.build)
        again = tuple(_restarted(tool, planned, main) for planned in made.groups)
        made = replace(made, published=tool.builds.get(main), groups=again)
        tool.display.plan(made)
        refuse(made)
        record = replace(_opened(tool, made, wish), why=wish.why or "restart", restart=True)
        state = begin(made, policy_of(tool))
        Conductor(tool, made, state, record, held, manner_of(tool, wish), deployer=tool.restarter).run()


def _restarted(tool: Tool, planned: PlannedGroup, build: str) -> PlannedGroup:
    """Return the group with what it runs to be brought anew, whether or not that is the `build` of most."""
    if planned.action not in (Action.CURRENT, Action.DEPLOY):
        return planned
    return replace(
        planned,
        action=Action.DEPLOY,
        reason=planned.reason if planned.holder else "restarts what it runs",
        published=tool.builds.get(planned.running) if planned.running != build else None,
    )


def _opened(tool: Tool, made: RolloutPlan, wish: Wish) -> RolloutRecord:
    """Return the record of a rollout that is about to begin."""
    return RolloutRecord(
        id=made.id,
        env=made.env,
        build=made.published.build.version,
        by=author(),
        why=wish.why,
        started_at=tool.clock.now(),
        groups=entries(made),
        excluded=excluded(made),
        verify=wish.verify,
        flags=_flags(wish),
    )


def _flags(wish: Wish) -> dict[str, str]:
    """Return the flags that whoever carries the rollout on goes by, too."""
    ignored = "yes" if wish.ignore_stop_failures else ""
    flags = {"on_busy": wish.on_busy, "on_failure": wish.on_failure, "promote": wish.promote}
    return {name: value for name, value in {**flags, "ignore_stop_failures": ignored}.items() if value}


def lead(tool: Tool, conductor: Conductor, held: Held, wish: Wish) -> None:
    """Lead a rollout, and take it back where it fails and the policy says so; raises what it ends with."""
    try:
        conductor.run()
    except Interrupted:
        raise
    except ShipitError as error:
        failed = conductor.scribe.record.outcome in (Outcome.FAILED, Outcome.REFUSED, Outcome.DRIFTED)
        if not failed or tool.settings.rollout.on_failure != "rollback":
            raise
        tool.display.error(error)
        record = conductor.scribe.record
        try:
            undo.take_back(tool, record, held, manner_of(tool, wish))
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted: rollout {record.id} failed, and is not taken back",
                hint=f"inv stop {record.id} --rollback takes it back",
            ) from None
        except DriftError as left:
            raise ShipitError(
                f"{error.message}; and not every group is back on what it ran before: {left.message}",
                hint=f"{left.hint}; inv stop {record.id} --rollback tries again",
            ) from error
        raise ShipitError(
            f"{error.message}; every group that it touched is back on what it ran before",
            hint="mend the build, commit, then inv deploy",
        ) from error


def by_flags(tool: Tool, wish: Wish) -> Tool:
    """Lay the flags over the settings of the tool, and return it; raises UsageError for a flag that is wrong."""
    on_busy = one_of("--on-busy", wish.on_busy, "wait", "stop", "skip", "fail")
    on_failure = one_of("--on-failure", wish.on_failure, "stop", "continue", "rollback")
    promote = one_of("--promote", wish.promote, "auto", "manual")
    seconds("--timeout", wish.timeout)
    seconds("--lock-wait", wish.lock_wait)
    over = {k: v for k, v in (("on_busy", on_busy), ("on_failure", on_failure), ("promote", promote)) if v}
    if over:
        rollout = tool.settings.rollout.model_copy(update=over)
        tool.settings = tool.settings.model_copy(update={"rollout": rollout})
    return tool


def manner_of(tool: Tool, wish: Wish) -> Manner:
    """Return how a rollout is led, by the flags and else by the settings."""
    rollout = tool.settings.rollout
    return Manner(
        limit=seconds("--timeout", wish.timeout) or rollout.timeout,
        verify=wish.verify,
        ignore_stop_failures=wish.ignore_stop_failures or rollout.ignore_application_stop_failures,
    )


def locked(tool: Tool, wish: Wish, *, build: str, rollout: str) -> Held:
    """Take the lock of the environment for a rollout; raises BusyError where it is not to be had in time."""
    wait = seconds("--lock-wait", wish.lock_wait) or tool.settings.rollout.lock_wait
    claim = Claim(by=author(), build=build, why=wish.why, rollout=rollout)
    return tool.lock.acquire(claim, wait=wait, listen=lambda line: tool.display(Notice(text=line)))


def _ask(tool: Tool, wish: Wish, rollout: str) -> RolloutPlan:
    """Show what would change in a protected environment, let a person type its name, and return what was shown."""
    from shipit.flows.ask import show_commits

    made = plan(tool, wish, rollout)
    refuse(made)
    show_commits(tool, made)
    env = tool.settings.env
    confirm(f"{env} is protected.", env, yes=False)
    return made


def _mind_the_empty(tool: Tool, made: RolloutPlan) -> None:
    if empty := made.count(Action.EMPTY):
        said = f"{plural(empty, 'group was', 'groups were')} empty: what scales out there gets the old build"
        tool.display(Notice(text=said, warning=True))
