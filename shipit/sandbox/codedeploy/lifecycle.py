"""What becomes of one instance in a deployment: its lifecycle events in order, their time limits, its death."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import RLock

from shipit.models import EventStatus, TargetStatus
from shipit.sandbox.agents import Agent, Command, NoAgent, Outcome
from shipit.sandbox.clock import Handle, Timer
from shipit.sandbox.codedeploy.records import Deployment, Event, Target

log = logging.getLogger(__name__)

#: Seconds within which an event must start, and end (reference codedeploy.md, section 2).
EVENT_MUST_START, EVENT_MUST_END = 300.0, 3600.0

_NOT_RECEIVED = Outcome(
    status=EventStatus.FAILED,
    error_code="UnknownError",
    message="CodeDeploy agent was not able to receive the lifecycle event. Check the CodeDeploy agent logs on your "
    "host and make sure the agent is running and can connect to the CodeDeploy server.",
)
_NOT_ENDED = Outcome(
    status=EventStatus.FAILED,
    error_code="UnknownError",
    message="The lifecycle event did not end within its time limit.",
)
_NOT_RUN = Outcome(status=EventStatus.FAILED, error_code="UnknownError")


@dataclass(kw_only=True, eq=False)
class _Run:
    """One instance on its way through one deployment; `index` is the event at hand."""

    deployment: Deployment
    target: Target
    ended: Callable[[TargetStatus], None]
    index: int = 0
    limit: Handle | None = None

    @property
    def event(self) -> Event:
        return self.target.events[self.index]


class Lifecycle:
    """Lead instances through their events, one deployment at a time for each instance.

    An agent works off one command after another, so a deployment that meets a hook of an earlier, stopped one
    waits for it: its first event must still start in time.
    """

    def __init__(self, timer: Timer, agent: Agent, lock: RLock) -> None:
        """Take the store's lock: every callback of this class runs under it."""
        self._timer = timer
        self._agent = agent
        self._lock = lock
        self._queues: dict[str, deque[_Run]] = {}
        self._dead: set[str] = set()

    def begin(self, deployment: Deployment, target: Target, ended: Callable[[TargetStatus], None]) -> None:
        """Lead a target through its events; `ended` hears once, later, how it came out.

        A target of a deployment that has ended meanwhile finishes the event that runs and skips the rest.
        """
        run = _Run(deployment=deployment, target=target, ended=ended)
        queue = self._queues.setdefault(target.instance_id, deque())
        queue.append(run)
        if queue[0] is run:
            self._start_event(run)
        else:
            self._limit(run, EVENT_MUST_START, self._never_started)

    def launched(self, instance_id: str) -> None:
        """Note that the instance lives."""
        self._dead.discard(instance_id)

    def gone(self, instance_id: str) -> None:
        """Note that the instance is dead: what runs on it lapses by its limit, as nobody tells CodeDeploy."""
        self._dead.add(instance_id)

    def is_gone(self, instance_id: str) -> bool:
        """Tell whether the instance is known to be dead."""
        return instance_id in self._dead

    def _start_event(self, run: _Run) -> None:
        if run.deployment.status.ended:
            self._end(run, TargetStatus.SKIPPED)
        elif run.target.instance_id in self._dead:
            self._limit(run, EVENT_MUST_START, self._never_started)
        else:
            event = run.event
            event.status, event.started_at = EventStatus.IN_PROGRESS, self._timer.now()
            self._limit(run, EVENT_MUST_END, lambda run: self._event_ended(run, event, _NOT_ENDED))
            try:
                self._agent.run(_command(run), lambda outcome: self._report(run, event, outcome))
            except NoAgent:
                event.status, event.started_at = EventStatus.PENDING, None
                self._limit(run, EVENT_MUST_START, self._never_started)
            except Exception as error:
                log.exception("the agent of %s refused %s", run.target.instance_id, event.name)
                self._report(run, event, replace(_NOT_RUN, message=f"{type(error).__name__}: {error}"))

    def _report(self, run: _Run, event: Event, outcome: Outcome) -> None:
        """Take an agent's word, on any thread, and act on it on the clock's, where no lock of the agent is held."""

        def act() -> None:
            with self._lock:
                if run.target.instance_id not in self._dead:
                    self._event_ended(run, event, outcome)

        self._timer.call_later(0, act)

    def _event_ended(self, run: _Run, event: Event, outcome: Outcome) -> None:
        if event.status is not EventStatus.IN_PROGRESS:
            return  # too late: its limit was here first
        now = self._timer.now()
        event.status, event.ended_at, event.outcome = outcome.status, now, outcome
        run.target.updated_at = now
        forgiven = event.name == "ApplicationStop" and run.deployment.order.ignore_stop_failures
        if outcome.status is EventStatus.FAILED and not forgiven:
            self._end(run, TargetStatus.FAILED)
        elif run.index + 1 == len(run.target.events):
            self._end(run, TargetStatus.SUCCEEDED)
        else:
            run.index += 1
            self._start_event(run)

    def _never_started(self, run: _Run) -> None:
        """Fail the target. A dead agent from the start shows as nothing but skipped events (reference, section 5)."""
        if run.deployment.status.ended:
            self._end(run, TargetStatus.SKIPPED)
            return
        if run.index > 0:
            event = run.event
            event.status, event.ended_at, event.outcome = EventStatus.FAILED, self._timer.now(), _NOT_RECEIVED
        self._end(run, TargetStatus.FAILED)

    def _end(self, run: _Run, status: TargetStatus) -> None:
        if run.limit is not None:
            run.limit.cancel()
        run.target.skip_pending()
        queue = self._queues[run.target.instance_id]
        was_first = queue[0] is run
        queue.remove(run)
        if not queue:
            del self._queues[run.target.instance_id]
        run.ended(status)
        if queue and was_first:
            self._start_event(queue[0])

    def _limit(self, run: _Run, seconds: float, lapse: Callable[[_Run], None]) -> None:
        """Replace the limit of the run: `lapse` is called unless something happens before."""
        if run.limit is not None:
            run.limit.cancel()

        def fire() -> None:
            with self._lock:
                if run.limit is handle:
                    lapse(run)

        handle = self._timer.call_later(seconds, fire)
        run.limit = handle


def _command(run: _Run) -> Command:
    order = run.deployment.order
    return Command(
        instance_id=run.target.instance_id,
        event=run.event.name,
        deployment_id=run.deployment.id,
        deployment_creator=order.creator,
        application=order.group.application.name,
        group=order.group.name,
        group_id=order.group.id,
        revision=order.bundle.revision,
        bundle_type=order.bundle.type,
        file_exists_behavior=order.file_exists_behavior,
    )
