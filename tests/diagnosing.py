"""Targets, instances and ends for the tests of diagnose, short to write."""

from fakes import NOON

from shipit.diagnose import explain, judge
from shipit.events import GroupDiagnosed, GroupEnded
from shipit.models import (
    EventStatus,
    Instance,
    InstanceFacts,
    Judged,
    LifecycleEvent,
    Overview,
    Phase,
    Target,
    TargetStatus,
)

END = GroupEnded(
    group="email",
    deployment_id="d-EMAIL0001",
    phase=Phase.FAILED,
    overview=Overview(failed=1, skipped=1),
    seconds=9,
    at=NOON,
    error_code="HEALTH_CONSTRAINTS",
    error_message="too many individual instances failed",
)
NOT_RECEIVED = "CodeDeploy agent was not able to receive the lifecycle event. Check the CodeDeploy agent logs"
AGAIN = "inv deploy --build v2 --only email"


def event(name: str, status: EventStatus = EventStatus.SUCCEEDED, **more: object) -> LifecycleEvent:
    return LifecycleEvent(name=name, status=status, **more)  # type: ignore[arg-type]  # fields by name


def failed(name: str, **more: object) -> LifecycleEvent:
    return event(name, EventStatus.FAILED, **more)


def skipped(name: str) -> LifecycleEvent:
    return event(name, EventStatus.SKIPPED)


def script(name: str = "AfterInstall", code: int = 1, **more: object) -> LifecycleEvent:
    said = f"Script at specified location: scripts/after.sh run as user app failed with exit code {code}"
    whole = {"script": "scripts/after.sh", "error_code": "ScriptFailed", "message": said, "log_tail": "boom", **more}
    return failed(name, **whole)


def target(name: str, *events: LifecycleEvent, status: TargetStatus = TargetStatus.FAILED) -> Target:
    return Target(instance_id=name, status=status, events=events)


def member(name: str = "i-1", state: str = "InService") -> dict[str, Instance]:
    return {name: Instance(id=name, asg="worker-email", state=state)}


def fact(state: str = "running", code: str = "", name: str = "i-1") -> dict[str, InstanceFacts]:
    return {name: InstanceFacts(id=name, state=state, reason_code=code, lifecycle="spot")}


RECLAIMED = fact("terminated", "Server.SpotInstanceTermination")
ENDED = fact("shutting-down", "Client.UserInitiatedShutdown")
HANGING = target(
    "i-1", event("ApplicationStop"), event("AfterInstall", EventStatus.IN_PROGRESS), status=TargetStatus.IN_PROGRESS
)


def verdict(
    found: Target, members: dict[str, Instance] | None = None, facts: dict[str, InstanceFacts] | None = None
) -> Judged:
    (judged,) = judge([found], members or {}, facts or {}).judged
    return judged


def explained(
    *targets: Target, end: GroupEnded = END, facts: dict[str, InstanceFacts] | None = None
) -> GroupDiagnosed:
    living = {t.instance_id: InstanceFacts(id=t.instance_id, state="running") for t in targets}
    members = {t.instance_id: Instance(id=t.instance_id, asg="worker-email") for t in targets}
    return explain(end, judge(targets, members, {**living, **(facts or {})}), build="v2")
