"""The threads that act: each command brings home one answer, whatever happens to it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from shipit.errors import GroupBusy, ShipitError
from shipit.models import RolloutPlan
from shipit.rollout.mark import Mark
from shipit.rollout.state import Command, Examine, Find, Observed, Start, Stop
from shipit.rollout.tools import Deployer, Scout

#: Threads that call AWS. The rate budget sets the pace; this only hides the latency of a call.
_THREADS = 16


class Crew:
    """Carry out commands in threads, and hold the answers until they are collected."""

    def __init__(
        self,
        plan: RolloutPlan,
        deployer: Deployer,
        scout: Scout,
        *,
        by: str,
        ignore_stop_failures: bool,
        may_start: Callable[[Start], bool],
    ) -> None:
        """Act for `plan`, in the name of `by`. `may_start` is asked last, in the thread: a command may wait long."""
        self._plan = plan
        self._planned = {p.group.name: p for p in plan.to_deploy}
        self._deployer = deployer
        self._scout = scout
        self._by = by
        self._ignore_stop_failures = ignore_stop_failures
        self._may_start = may_start
        self._answers: queue.SimpleQueue[Observed] = queue.SimpleQueue()
        self._muster: Future[Mapping[str, frozenset[str]]] | None = None
        self._shut = threading.Event()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="rollout")

    @property
    def mustering(self) -> bool:
        """Tell whether it was asked who is there, and the answer is not collected yet."""
        return self._muster is not None

    def send(self, command: Command) -> None:
        """Have the command carried out, soon."""
        self._pool.submit(self._do, command)

    def muster(self, groups: Collection[str]) -> None:
        """Ask which instances are in service in the groups."""
        self._muster = self._pool.submit(self._scout.members, groups)

    def collect(self) -> Observed:
        """Take all answers that are there, as one."""
        found = Observed()
        if self._muster is not None and self._muster.done():
            # Nothing depends on one answer: after an error the next one may be luckier.
            if not self._muster.cancelled() and self._muster.exception() is None:
                found = Observed(members=self._muster.result())
            self._muster = None
        while not self._answers.empty():
            found |= self._answers.get()
        return found

    def shut(self) -> None:
        """Create nothing more."""
        self._shut.set()

    def dismiss(self, *, wait: bool) -> None:
        """Drop what has not begun; with `wait` return when all that has begun is done."""
        self._shut.set()
        self._pool.shutdown(wait=wait, cancel_futures=True)

    def _do(self, command: Command) -> None:
        try:
            answer = self._answer(command)
        except Exception as defect:
            # Nobody else would hear of it, and the group would wait for an answer for ever.
            error = defect if isinstance(defect, ShipitError) else _defect(command.group, defect)
            answer = _failed(command, error)
        self._answers.put(answer)

    def _answer(self, command: Command) -> Observed:
        match command:
            case Find():
                return self._find(command)
            case Start():
                if self._shut.is_set() or not self._may_start(command):
                    return Observed(withdrawn=frozenset({command.group}))
                return self._start(command)
            case Stop(group=group, deployment_id=deployment_id):
                self._deployer.stop(deployment_id)
                return Observed(stopped={group: None})
            case Examine(group=group, deployment_id=deployment_id):
                return Observed(examined={group: self._scout.examine(group, deployment_id)})

    def _find(self, find: Find) -> Observed:
        found = self._deployer.last_attempts([find.group]).get(find.group)
        if found is not None and self._mark(find).same_try(found.description):
            return Observed(created={find.group: found.id})
        return Observed(absent=frozenset({find.group}))

    def _start(self, start: Start) -> Observed:
        planned, mark = self._planned[start.group], self._mark(start)
        create = partial(self._deployer.create, start.group, (planned.published or self._plan.published).revision)
        try:
            created = create(
                description=str(mark),
                config=planned.config or self._plan.deployment_config,
                ignore_stop_failures=self._ignore_stop_failures,
                outdated_only=start.outdated_only,
            )
        except GroupBusy as busy:
            # Who holds it decides what is done; it may be this very try, of which nobody heard.
            holders = self._deployer.deployments([busy.holder_id])
            holder = holders.get(busy.holder_id)
            if holder is None or not mark.same_try(holder.description):
                return Observed(refused={start.group: busy}, deployments=holders)
            created = holder.id
        return Observed(created={start.group: created})

    def _mark(self, command: Find | Start) -> Mark:
        published = self._planned[command.group].published or self._plan.published
        return Mark(
            rollout=self._plan.id,
            attempt=command.attempt,
            build=published.build.version,
            env=self._plan.env,
            by=self._by,
        )


def _defect(group: str, error: Exception) -> ShipitError:
    return ShipitError(f"{group}: {type(error).__name__}: {error}")


def _failed(command: Command, error: ShipitError) -> Observed:
    match command:
        case Find() | Start():
            return Observed(refused={command.group: error})
        case Stop():
            return Observed(stopped={command.group: error})
        case Examine():
            return Observed(examined={command.group: error})
