"""Rehearse a rollout on this machine: real workers, real hooks, tasks that flow, and every task accounted for.

The rollouts are those of `inv deploy` and `inv rollback`, led in this process against a sandbox that is there for the
rehearsal alone.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from shipit.errors import Interrupted, PreflightError, ShipitError, UsageError
from shipit.events import Notice
from shipit.flows.deploy import Wish as Flags
from shipit.flows.deploy import deploy
from shipit.flows.rollback import rollback
from shipit.models import PublishedBuild
from shipit.plan import patterns
from shipit.rehearse import Kill, Limits, Ran, Row, Tally, TaskMessage, Traffic, read_line, tally
from shipit.rehearse.journal import FAILURE, SUCCESS
from shipit.wiring import Tool
from shipit.wiring.stage import Stage
from shipit.wording import duration, plural

_WHY = "rehearsal"
#: Seconds until the first line about a task must be there.
_FIRST_LINE = 30.0
#: Seconds that a task may wait where its worker was drained; never so long that the visibility timeout would hide it.
_DRAINED, _SHARE_OF_VISIBILITY = 15.0, 0.75
#: Seconds in which tasks flow undisturbed behind each change.
_CALM = 2.0
#: Seconds after which an instance that spot took must have a successor that works.
_REPLACED = 120.0
#: After so many visibility timeouts, and a minute, what is still in a queue is given up.
_PATIENCE = 5
_LOOK = 0.5
#: Workers that are killed at a time, and instances that are reclaimed.
_VICTIMS = 2
#: Lines of a broken worker that are shown.
_TAIL = 3
_WELL = "well"
#: What the watcher of an instance that leaves says when its workers have ended (scripts/shipit_instance/watcher.py).
_GONE = "no worker runs any more"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Hold the flags of the command, as typed."""

    only: str = ""
    since: str = ""
    kill: bool = False


@dataclass(frozen=True, kw_only=True)
class Act:
    """Tell of one rollout: what it was for, its build, how it ended in a few words, and how long it took."""

    rollout: str
    build: str
    ended: str
    seconds: float


def rehearse(tool: Tool, wish: Wish) -> None:
    """Deploy the build before, the new one and a broken one, and roll back, while tasks flow and instances go.

    Returns only where no task was lost, stranded or done twice, and every rollout ended as it should; raises
    ShipitError for all else.
    """
    queues, tasks = _cast(tool, wish.only)
    try:
        with tool.stage(queues, kill=wish.kill) as stage:
            rehearsal = _Rehearsal(tool, stage, queues, tasks, kill=wish.kill)
            try:
                rehearsal.run(wish.since)
            finally:
                rehearsal.end()
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted(
            "interrupted: the rehearsal's sandbox is gone", hint="the same command starts over"
        ) from None
    rehearsal.judge()


def _cast(tool: Tool, only: str) -> tuple[Sequence[str], Sequence[TaskMessage]]:
    """Return the queues that are rehearsed, and the tasks that flow in them; raises UsageError."""
    wanted = tool.settings.rehearse
    tasks = [TaskMessage(name=t.name, queue=t.queue, args=t.args, kwargs=t.kwargs) for t in wanted.tasks]
    known = list(dict.fromkeys([t.queue for t in tasks] + list(_names(tool))))
    if not known:
        raise UsageError(
            "no queue is known to rehearse with",
            hint='name tasks with their queues: [rehearse] tasks = [{name = "…", …}]',
        )
    queues = known[: wanted.groups]
    if only:
        queues = [q for q in known if any(fnmatchcase(q, pattern) for pattern in patterns(only))]
        if not queues:
            raise UsageError(f"--only {only!r} matches no queue", hint=f"known here: {', '.join(known[:10])}")
    flowing = [task for task in tasks if task.queue in queues]
    if not flowing:
        why = "none of them is for these queues" if tasks else "shipit.toml names none"
        text = f"no task flows: {why} ([rehearse] tasks). Only rollouts and hooks are rehearsed"
        tool.display(Notice(text=text, warning=True))
    return queues, flowing


def _names(tool: Tool) -> Sequence[str]:
    return tool.settings.sandbox.queue_names if tool.settings.sandbox else ()


@dataclass
class _Rehearsal:
    """Hold what happened so far."""

    outer: Tool
    stage: Stage
    queues: Sequence[str]
    tasks: Sequence[TaskMessage]
    kill: bool
    acts: list[Act] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    ran: list[Ran] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tool = self.stage.tool
        self._journals = self.stage.journals
        self._queues = self.stage.queues
        self._traffic = Traffic(self._queues, self.tasks, self.outer.settings.rehearse.rate)
        self._limits = Limits(drained=min(_DRAINED, _SHARE_OF_VISIBILITY * self.stage.visibility))

    def run(self, since: str) -> None:
        """Go through all of it; raises where there is nothing that could be rehearsed, or AWS itself fails."""
        previous, new = self._builds(since)
        broken = self.stage.broken()
        self._act("the build before", previous, self._deploy)
        if self.acts[-1].ended != _WELL:
            raise ShipitError(
                f"the build before, {previous.build.version}, did not come up: {self.acts[-1].ended}",
                hint="--since COMMIT begins with another one",
            )
        if self.tasks:
            self._traffic.start()
            self._await_first_line()
        self._disturb()
        self._act("the new build", new, self._deploy)
        self._reclaim()
        self._disturb()
        if broken is None:
            self._say("no broken build is rehearsed: the project's own unit starts nothing below @RELEASES@/%i/")
        else:
            self._act("a broken build", broken, self._deploy, good=False)
        self._act("rollback", previous, self._roll_back)
        self._traffic.stop()
        self._settle()
        self._check_builds(broken)

    def end(self) -> None:
        """Send no more."""
        self._traffic.stop()

    def judge(self) -> None:
        """Show what happened, and raise ShipitError where not all of it was good."""
        found = tally(self._traffic.sent, self.ran, self.kills, self._limits)
        problems = [*found.problems, *self.problems]
        answer: dict[str, object] = {}
        if self.tasks:
            answer["tasks"] = [_shown(row, kills=self.kill) for row in (*found.rows, found.total)]
        answer["rollouts"] = [
            {"rollout": act.rollout, "build": act.build, "seconds": round(act.seconds, 1), "ended": act.ended}
            for act in self.acts
        ]
        answer["verdict"] = "; ".join(problems) or _verdict(found, tasks=bool(self.tasks))
        self.outer.display.value("rehearsal", answer)
        if problems:
            raise ShipitError(
                f"the rehearsal failed: {'; '.join(problems)}", hint="docs/rehearse.md says what each may mean"
            )

    # -- builds and rollouts ----------------------------------------------------------------------------------

    def _builds(self, since: str) -> tuple[PublishedBuild, PublishedBuild]:
        before = self.stage.before(since)
        new = self.stage.working_tree()
        if not before:
            self._say("there is no commit before HEAD: the same build is rehearsed twice, under another version")
            return new, self.stage.same_again()
        return self.stage.previous(before), new

    def _deploy(self, build: PublishedBuild) -> None:
        deploy(self._tool, Flags(build=build.build.version, why=_WHY, allow_older=True, yes=True), dry_run=False)

    def _roll_back(self, build: PublishedBuild) -> None:
        rollback(self._tool, Flags(build=build.build.version, why=_WHY, ignore_stop_failures=True, yes=True))

    def _act(
        self, name: str, build: PublishedBuild, lead: Callable[[PublishedBuild], None], *, good: bool = True
    ) -> None:
        self._say(f"rehearsal: {name}, {build.build.version}")
        began = time.monotonic()
        failure: ShipitError | None = None
        try:
            lead(build)
        except Interrupted:
            raise
        except ShipitError as error:
            failure = error
        seconds = time.monotonic() - began
        ended = failure.message if failure else _WELL
        self.acts.append(Act(rollout=name, build=build.build.version, ended=ended, seconds=seconds))
        if good and failure:
            self.problems.append(f"the rollout of {name} failed: {failure.message}")
        elif not good and not failure:
            self.problems.append("a build whose worker cannot start was taken for a good one")
        elif failure:
            self._say(f"{name} failed in {duration(seconds)}, as it should; the workers before it go on")
        if failure:
            for line in self._journals.tail(build.build.version, _TAIL):
                self._say(f"its worker said: {line}")
        self._wait(_CALM)

    def _check_builds(self, broken: PublishedBuild | None) -> None:
        if broken and any(one.build == broken.build.version for one in self.ran):
            self.problems.append("tasks ran in the build whose worker cannot start")

    # -- what befalls the workers -----------------------------------------------------------------------------

    def _disturb(self) -> None:
        """Kill a worker in two of the groups, and let others take over what it held."""
        if not self.kill:
            return
        for queue in self.queues[:_VICTIMS]:
            self.kills.append(Kill(queue=queue, at=time.time()))
            self.stage.kill(queue, seed=len(self.kills))
        self._say(f"killed a worker of {' and '.join(self.queues[:_VICTIMS])} (SIGKILL)")
        began = time.monotonic()
        held = {one.id for one in self._traffic.sent}
        while held - self._ended() and time.monotonic() - began < self._limits.redelivered + _CALM:
            self._wait(_LOOK)
        self._wait(_CALM)

    def _reclaim(self) -> None:
        """Let spot take two instances, and wait for those that come in their place."""
        notice = self.outer.settings.rehearse.notice
        victims = Counter((list(self.queues) * _VICTIMS)[:_VICTIMS])
        for queue, number in victims.items():
            self.stage.reclaim(queue, notice, number=min(number, self.outer.settings.rehearse.instances))
        self._say(f"spot takes an instance of {' and '.join(victims)} in {notice:g} s")
        self._wait(notice + _CALM)
        self._say(f"{self._journals.saying(_GONE)} of {sum(victims.values())} drained before they went")
        deadline = time.monotonic() + _REPLACED
        while not self.stage.is_settled():
            if time.monotonic() > deadline:
                self.problems.append(f"the instances that came in place of others do not work after {_REPLACED:g} s")
                return
            self._wait(_LOOK)

    # -- the tasks --------------------------------------------------------------------------------------------

    def _await_first_line(self) -> None:
        deadline = time.monotonic() + _FIRST_LINE
        while not self.ran:
            if time.monotonic() > deadline:
                raise PreflightError(
                    f"no worker printed a line about a task within {_FIRST_LINE:g} s: nothing could be counted",
                    hint="add `import shipit_worker` to the application's Celery module (docs/rehearse.md)",
                )
            self._wait(_LOOK)

    def _settle(self) -> None:
        """Wait until every task has ended, or nothing more can come: the queues were empty for long enough."""
        began, empty_since = time.monotonic(), math.inf
        visibility = self.stage.visibility
        while True:
            self._wait(_LOOK)
            now = time.monotonic()
            if sum(self._queues.depth(queue) for queue in self.queues):
                empty_since = math.inf
            else:
                empty_since = min(empty_since, now)
            missing = {one.id for one in self._traffic.sent} - self._ended()
            # A task may still run a second time, though its message is gone.
            longest = max((one.runtime for one in self.ran), default=0.0)
            if now - empty_since > (visibility if missing else longest + _CALM):
                return
            if now - began > _PATIENCE * visibility + 60:
                self.problems.append("the queues did not get empty")
                return

    def _ended(self) -> set[str]:
        """Return the tasks that ended, well or not."""
        return {one.id for one in self.ran if one.state in (SUCCESS, FAILURE)}

    def _wait(self, seconds: float) -> None:
        """Let time pass, and read what the workers print meanwhile."""
        self._tool.clock.sleep(seconds)
        self.ran += [ran for line in self._journals.lines() if (ran := read_line(line))]

    def _say(self, text: str) -> None:
        self.outer.display(Notice(text=text))


def _shown(row: Row, *, kills: bool) -> Mapping[str, object]:
    """Return the row as it is shown; times in seconds."""
    found: dict[str, object] = {
        "queue": row.queue,
        "sent": row.sent,
        "done": row.done,
        "lost": row.lost,
        "stranded": row.stranded,
        "twice": row.twice,
        "redelivered": row.redelivered,
        "failed": row.failed,
        "p50 wait": _seconds(row.p50),
        "longest wait": _seconds(row.longest),
    }
    if kills:
        found["redelivery"] = _seconds(row.redelivery)
    return found


def _seconds(value: float) -> object:
    return None if math.isnan(value) else round(value, 2)


def _verdict(found: Tally, *, tasks: bool) -> str:
    if not tasks:
        return "every rollout ended as it should; no task flowed"
    queued = found.total.queued
    crowd = f"; {plural(queued, 'task')} waited long: the rate is more than the workers do" if queued else ""
    again = f", {plural(found.total.twice, 'task')} twice around a kill" if found.total.twice else ""
    return f"{plural(found.total.sent, 'task')} sent, none lost, none stranded{again or ', none done twice'}{crowd}"
