"""Keep the score of a rollout from its events: what the fleet line, the live view and the summaries read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from shipit.events import (
    Event,
    GroupDiagnosed,
    GroupEnded,
    GroupProgress,
    GroupRetried,
    GroupStarted,
    RolloutFinished,
    RolloutStarted,
    Throttled,
    Tick,
    Verified,
    WavePaused,
    WaveStarted,
)
from shipit.models import Overview, Phase, RolloutPlan


@dataclass(slots=True)
class Row:
    """Follow one group of the rollout."""

    group: str
    instances: int
    phase: Phase = Phase.WAITING
    deployment_id: str = ""
    overview: Overview = field(default_factory=Overview)
    started_at: datetime | None = None
    seconds: float | None = None
    expected: float | None = None
    error: str = ""
    attempt: int = 1

    @property
    def total(self) -> int:
        """Count the instances: those of the deployment once it says how many, else those planned."""
        return self._before + self.overview.total or self.instances

    @property
    def done(self) -> int:
        """Count the instances that will not change again."""
        return self._before + self.overview.done

    @property
    def _before(self) -> int:
        """Count the instances that a later try leaves alone, for an earlier one brought them the build."""
        again = self.attempt > 1 and self.overview.total
        return max(self.instances - self.overview.total, 0) if again else 0

    def elapsed(self, now: datetime) -> float | None:
        """Return the seconds that the group has taken, nothing before its start."""
        if self.seconds is not None:
            return self.seconds
        return None if self.started_at is None else max((now - self.started_at).total_seconds(), 0.0)


class Board:
    """Follow a whole rollout. Events of a group that the plan did not name open a row for it."""

    def __init__(self) -> None:
        """Start empty."""
        self.plan: RolloutPlan | None = None
        self.started_at: datetime | None = None
        self.last_tick: datetime | None = None
        self.finished: RolloutFinished | None = None
        self.attached = False
        self.rows: dict[str, Row] = {}
        self.causes: dict[str, GroupDiagnosed] = {}
        self._alike: dict[str, list[str]] = {}
        self.wave: WaveStarted | None = None
        self.paused: WavePaused | None = None
        #: Seconds that waves waited for a word by hand: no past rollout says how long a person takes.
        self.held_up = 0.0
        self.throttles = 0
        self.throttled: Throttled | None = None

    @property
    def running(self) -> bool:
        """Tell whether a rollout has begun and not ended."""
        return self.plan is not None and self.finished is None

    def take(self, event: Event) -> None:
        """Note what the event changes."""
        match event:
            case RolloutStarted(plan=plan, at=at, attached=attached):
                self.__init__()  # type: ignore[misc]  # a second rollout starts from nothing, as the first did
                self.attached = attached
                self.plan, self.started_at, self.last_tick = plan, at, at
                self.rows = {
                    p.group.name: Row(group=p.group.name, instances=p.group.in_service, expected=p.expected)
                    for p in plan.to_deploy
                }
            case WaveStarted(at=at):
                if self.paused and self.paused.seconds is None:
                    self.held_up += max((at - self.paused.at).total_seconds(), 0.0)
                self.wave, self.paused = event, None
            case WavePaused():
                self.paused = event
            case GroupRetried():
                row = self._row(event.group, 0)
                row.phase, row.overview, row.error = Phase.WAITING, Overview(), ""
            case GroupStarted():
                row = self._row(event.group, event.instances)
                row.instances, row.deployment_id = event.instances, event.deployment_id
                row.attempt = event.attempt
                row.phase, row.started_at = Phase.RUNNING, row.started_at or event.at
                row.error = ""
            case GroupProgress():
                row = self._row(event.group, event.overview.total)
                row.deployment_id, row.overview = event.deployment_id, event.overview
                if not row.phase.ended:
                    row.phase = Phase.RUNNING
            case GroupEnded():
                row = self._row(event.group, event.overview.total)
                row.deployment_id, row.overview = event.deployment_id or row.deployment_id, event.overview
                row.phase, row.seconds = event.phase, event.seconds
                row.error = event.error_message or event.error_code
            case GroupDiagnosed():
                self.causes[event.group] = event
                self.alike(event).append(event.group)
            case Throttled():
                self.throttles += 1
                self.throttled = event
            case Tick(at=at):
                self.last_tick = at
            case Verified(verification=found):
                self.last_tick = found.at
            case RolloutFinished():
                self.finished = event
            case _:
                pass

    def _row(self, group: str, instances: int) -> Row:
        return self.rows.setdefault(group, Row(group=group, instances=instances))

    def phases(self) -> Counter[Phase]:
        """Count the groups by phase."""
        return Counter(row.phase for row in self.rows.values())

    def in_phase(self, phase: Phase) -> list[Row]:
        """Return the groups in this phase, in their order."""
        return [row for row in self.rows.values() if row.phase is phase]

    def cause(self, row: Row) -> str:
        """Say why a group ended as it did: what was found out, else what CodeDeploy said."""
        known = self.causes.get(row.group)
        return known.cause if known else row.error

    def alike(self, failure: GroupDiagnosed) -> list[str]:
        """Name the groups that failed as this one did, in the order in which that was found out."""
        return self._alike.setdefault(failure.likeness or failure.cause, [])

    def instances(self) -> tuple[int, int, int]:
        """Count the instances: done, failed or skipped, all."""
        rows = self.rows.values()
        bad = sum(r.overview.failed + r.overview.skipped for r in rows)
        return sum(r.done for r in rows), bad, sum(r.total for r in rows)
