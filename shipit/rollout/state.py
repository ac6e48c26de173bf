"""Where each group of a rollout stands, what a tick saw, and what is to be done: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shipit.errors import AwsLoggedOut, ShipitError
from shipit.models import (
    Allowance,
    Deployment,
    DeploymentStatus,
    Examination,
    Overview,
    Phase,
    RolloutPlan,
    Try,
)


class OnBusy(StrEnum):
    """Say what to do with a group that somebody else's deployment holds."""

    WAIT = "wait"
    STOP = "stop"
    SKIP = "skip"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Say how much may go wrong, and what is done then.

    When more groups or instances failed than allowed, no new group starts; None allows any number. `retries` bounds
    the further deployments of a group whose instances went away in the middle. `look_every` is the seconds between
    two looks at the targets of one group, `wait_for_members` those that an emptied group is given to fill again.
    """

    failed_groups: Allowance | None = Allowance()
    failed_instances: Allowance | None = None
    on_busy: OnBusy = OnBusy.WAIT
    retries: int = 2
    look_every: float = 15.0
    wait_for_members: float = 300.0


class Errand(StrEnum):
    """Name what is under way for a group: never two things at once."""

    FIND = "find"  # a deployment whose creation was asked for, and not answered
    START = "start"
    STOP = "stop"
    LOOK = "look"  # at the targets of a deployment that runs
    EXAMINE = "examine"  # at those of one that has ended


@dataclass(frozen=True, kw_only=True)
class GroupState:
    """Say where one group stands.

    `deployments` are those that this rollout created, the oldest first; the last is the one that counts. `tries` are
    their times, for people. `tried` counts the tries, of which a process that died may have lost the ids, `spared`
    those at outdated instances that found none: they cost nobody a turn, and none of the retries. `ended_as`
    is what CodeDeploy called the last one's end; `moved`: it called one of them Succeeded, so that launched instances
    get this build. `members` are the instances that it may wait for, `present` those in service when that was looked
    at last. `quiet_since`: nothing was learnt of it since, None where nobody can tell. `outdated_only` lets the next
    try reach only instances that do not run the build yet. `unsure`: the answer to a creation was lost, so that we
    look for it before anything else. `doomed`: all that the deployment waits for is gone; `stopping`: we asked to
    stop it, so that Stopped is no verdict; `stop_taken`: CodeDeploy agreed, or never will. `empty_since`: a try waits
    for instances.
    """

    group: str
    instances: int
    wave: int = 0
    expected: float | None = None
    phase: Phase = Phase.WAITING
    errand: Errand | None = None
    deployments: tuple[str, ...] = ()
    tries: tuple[Try, ...] = ()
    tried: int = 0
    spared: int = 0
    overview: Overview = Overview()
    members: frozenset[str] = frozenset()
    present: frozenset[str] | None = None
    started_at: datetime | None = None
    quiet_since: datetime | None = None
    ended_at: datetime | None = None
    not_before: datetime | None = None
    empty_since: datetime | None = None
    ended_as: DeploymentStatus | None = None
    moved: bool = False
    error_code: str = ""
    error_message: str = ""
    holder: str = ""
    holder_stopped: bool = False
    outdated_only: bool = False
    unsure: bool = False
    doomed: bool = False
    stopping: bool = False
    stop_taken: bool = False
    examination: Examination = Examination()

    @property
    def deployment_id(self) -> str:
        """Return the deployment that counts; empty before the first was created."""
        return self.deployments[-1] if self.deployments else ""

    @property
    def attempt(self) -> int:
        """Count the tries, the next one included while it waits."""
        return self.tried + (self.phase is Phase.WAITING)

    @property
    def lost(self) -> frozenset[str]:
        """Return the instances that it may wait for in vain, as far as that was looked at."""
        return self.members - self.present if self.present is not None else frozenset()


@dataclass(frozen=True, kw_only=True)
class RolloutState:
    """Say where the rollout stands: its groups in the order in which they start, and the wave that may start.

    `halted` says why no new group starts; with `closed` no group is tried again either. `resume_at` holds all
    starts while the account takes no more deployments.
    """

    groups: Mapping[str, GroupState]
    policy: Policy = Policy()
    wave: int = 0
    halted: str = ""
    closed: bool = False
    resume_at: datetime | None = None

    @property
    def running(self) -> tuple[str, ...]:
        """Return the ids of our deployments that have not ended."""
        return tuple(g.deployment_id for g in self.groups.values() if g.phase is Phase.RUNNING)

    @property
    def holders(self) -> tuple[str, ...]:
        """Return the ids of others' deployments that groups wait for."""
        return tuple(g.holder for g in self.groups.values() if g.holder and g.phase is Phase.WAITING)

    @property
    def resting(self) -> bool:
        """Tell whether nothing more will happen in this wave."""
        return not any(self.moves(g) for g in self.groups.values())

    def moves(self, group: GroupState) -> bool:
        """Tell whether something will yet happen to the group without another wave."""
        if group.phase is Phase.WAITING and group.errand is None and not group.unsure:
            return self.may_start(group)
        return not group.phase.ended

    def may_start(self, group: GroupState) -> bool:
        """Tell whether a waiting group is to be started at all, now or when its time comes."""
        if self.closed or group.wave > self.wave:
            return False
        return not self.halted or bool(group.deployments)

    def count(self, phase: Phase) -> int:
        """Count the groups in this phase."""
        return sum(g.phase is phase for g in self.groups.values())


@dataclass(frozen=True, kw_only=True)
class Find:
    """Look whether the group's try number `attempt` was created, though nobody heard of it. Changes nothing."""

    group: str
    attempt: int


@dataclass(frozen=True, kw_only=True)
class Start:
    """Create a deployment: the group's try number `attempt`."""

    group: str
    attempt: int
    outdated_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Stop a deployment that is in the group's way: its own, or somebody else's."""

    group: str
    deployment_id: str


@dataclass(frozen=True, kw_only=True)
class Examine:
    """Look at the targets of the group's deployment, which `ended` or runs, and at its instances."""

    group: str
    deployment_id: str
    ended: bool


Command = Find | Start | Stop | Examine


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Hold what one tick saw.

    By group: deployments created or found, `absent` ones that were looked for, creations refused (`withdrawn`: not
    even tried), stops answered (None where accepted), examinations or why there is none, members present. By id:
    deployments read.
    """

    created: Mapping[str, str] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    refused: Mapping[str, ShipitError] = field(default_factory=dict)
    withdrawn: frozenset[str] = frozenset()
    stopped: Mapping[str, ShipitError | None] = field(default_factory=dict)
    examined: Mapping[str, Examination | ShipitError] = field(default_factory=dict)
    deployments: Mapping[str, Deployment] = field(default_factory=dict)
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def logged_out(self) -> AwsLoggedOut | None:
        """Return that the credentials have expired, where one call brought it home: every other will, too."""
        answers = (*self.refused.values(), *self.stopped.values(), *self.examined.values())
        return next((answer for answer in answers if isinstance(answer, AwsLoggedOut)), None)

    def __or__(self, later: Observed) -> Observed:
        """Return both as one; what is of `later` counts where they differ."""
        return Observed(
            created={**self.created, **later.created},
            absent=self.absent | later.absent,
            refused={**self.refused, **later.refused},
            withdrawn=self.withdrawn | later.withdrawn,
            stopped={**self.stopped, **later.stopped},
            examined={**self.examined, **later.examined},
            deployments={**self.deployments, **later.deployments},
            members={**self.members, **later.members},
        )


def begin(plan: RolloutPlan, policy: Policy) -> RolloutState:
    """Return the state before anything was created: wave by wave, the longest first."""
    groups = {
        p.group.name: GroupState(
            group=p.group.name,
            instances=p.group.in_service,
            wave=number,
            expected=p.expected,
            members=frozenset(i.id for i in p.group.instances if i.in_service),
            holder=p.holder.id if p.holder else "",
        )
        for number, wave in enumerate(plan.waves)
        for p in wave
    }
    return RolloutState(groups=groups, policy=policy)
