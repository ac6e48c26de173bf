"""Judge the targets of a deployment that did not succeed: is the instance gone, or is something broken?

Doubt never excuses a build: an instance counts as gone only where EC2 says so, or where neither EC2 nor its Auto
Scaling group knows it any more; and a script's failure that an agent reported happened while the instance lived.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shipit.diagnose.evidence import (
    MOVING,
    deciding,
    headline,
    lapsed,
    not_received,
    of_script,
    ran,
    ran_into_the_hour,
    was_asked_to_end,
)
from shipit.models import (
    Cause,
    EventStatus,
    Examination,
    Instance,
    InstanceFacts,
    Judged,
    LifecycleEvent,
    Target,
    TargetStatus,
)

#: EC2 took a spot instance back: terminated, stopped (EC2's API reference, StateReason).
_RECLAIMED = frozenset({"Server.SpotInstanceTermination", "Server.SpotInstanceShutdown"})
#: The instance was shut down by its own operating system (ibid.): perhaps by a script of the build.
_BY_ITSELF = "Client.InstanceInitiatedShutdown"
#: States in which an Auto Scaling group has let an instance go, hooks and all (Auto Scaling's lifecycle).
_LET_GO = ("Terminating:Proceed", "Terminated")

_Verdict = tuple[Cause, str]


def judge(
    targets: Sequence[Target], members: Mapping[str, Instance], facts: Mapping[str, InstanceFacts]
) -> Examination:
    """Return one verdict for each target that did not succeed, and how many of `members` are in service.

    `members` are those of the group's Auto Scaling group, `facts` what EC2 knows of the targets, both by instance
    id and read after the targets. Where both are empty nothing was read: then no instance is called gone.
    """
    read = bool(members or facts)
    judged = []
    for target in targets:
        if target.status is not TargetStatus.SUCCEEDED:
            member, fact = members.get(target.instance_id), facts.get(target.instance_id)
            cause, detail = _judge(target, member, fact, read)
            judged.append(Judged(target=target, cause=cause, detail=detail))
    return Examination(judged=tuple(judged), in_service=sum(m.in_service for m in members.values()))


def _judge(target: Target, member: Instance | None, fact: InstanceFacts | None, read: bool) -> _Verdict:
    failed, death = deciding(target), _death(target, member, fact, read)
    if failed and of_script(failed):
        return _script(failed, fact, death)
    if death:
        if failed and not lapsed(failed):
            return Cause.UNKNOWN, f"{headline(failed)}, before it went: {death[1]}"
        return death
    cause, detail = _living(target, failed)
    if member and member.state.startswith("Terminating") and _nothing_left_to_say(target, cause, failed):
        return Cause.SCALED_IN, f"its Auto Scaling group is ending it: {member.state}"
    return cause, detail


def _death(target: Target, member: Instance | None, fact: InstanceFacts | None, read: bool) -> _Verdict | None:
    """Say how the instance went, nothing where it lives or where nobody knows otherwise."""
    if fact is not None:
        if fact.alive:
            return None
        if fact.reason_code in _RECLAIMED:
            return Cause.RECLAIMED, f"EC2 took it back: {fact.reason_code}"
        if fact.reason_code == _BY_ITSELF and any(ran(e) for e in target.events):
            return Cause.UNKNOWN, f"it shut itself down while the build was brought to it: {_BY_ITSELF}"
        why = fact.reason_code or fact.reason or "EC2 gives no reason"
        return Cause.SCALED_IN, f"it is {fact.state}: {why}; its Auto Scaling group {_of_member(member)}"
    if member is not None:
        if member.state in _LET_GO:
            return Cause.SCALED_IN, f"EC2 knows it no more; its Auto Scaling group {_of_member(member)}"
        return None
    if not read:
        return None
    return Cause.SCALED_IN, (
        "gone, by all signs: neither EC2 nor its Auto Scaling group knows it any more, "
        "so who ended it, and whether it was reclaimed, cannot be told"
    )


def _of_member(member: Instance | None) -> str:
    return f"has it as {member.state}" if member else "has it no more"


def _script(failed: LifecycleEvent, fact: InstanceFacts | None, death: _Verdict | None) -> _Verdict:
    """Blame the script, unless EC2 says that the instance ended and the script was asked to end with it."""
    # EC2 does not tell the time of death, but the dead report nothing: what failed, failed before.
    if death and death[0].gone and fact is not None and was_asked_to_end(failed):
        return death[0], f"{death[1]}; its shutdown ended {failed.script or failed.name} (SIGTERM)"
    cause = Cause.TIMED_OUT if failed.error_code == "ScriptTimedOut" else Cause.SCRIPT_FAILED
    said = failed.message or headline(failed)
    return cause, f"{said}; that was before it went: {death[1]}" if death else said


def _living(target: Target, failed: LifecycleEvent | None) -> _Verdict:
    """Judge a target whose instance lives, or is not known not to, and of which no script's failure is known."""
    if failed is not None:
        if not_received(failed):
            return Cause.AGENT_DEAD, f"nobody fetched {failed.name} within 5 minutes"
        if ran_into_the_hour(failed):
            return Cause.TIMED_OUT, f"{failed.name} began and did not end within CodeDeploy's hour"
        return Cause.UNKNOWN, headline(failed)
    if target.status in MOVING:
        running = next((e.name for e in target.events if e.status is EventStatus.IN_PROGRESS), "")
        return Cause.RUNNING, f"{running} runs" if running else "waits for its turn or its next event"
    if target.status is TargetStatus.SKIPPED:
        return Cause.SKIPPED, "its deployment ended before its turn"
    if target.status is TargetStatus.FAILED and target.events and not any(ran(e) for e in target.events):
        return Cause.AGENT_DEAD, "it failed, and no lifecycle event ever ran on it"
    return Cause.UNKNOWN, f"CodeDeploy has it as {target.status}, and no event shows why"


def _nothing_left_to_say(target: Target, cause: Cause, failed: LifecycleEvent | None) -> bool:
    """Tell whether an instance on its way out may be taken for gone: no event runs on it, and none was reported."""
    if any(
        e.status is EventStatus.IN_PROGRESS or (e.status is EventStatus.FAILED and of_script(e))
        for e in target.events
    ):
        return False
    return cause in (Cause.AGENT_DEAD, Cause.SKIPPED, Cause.RUNNING) or (cause is Cause.UNKNOWN and failed is None)
