"""Say why a group failed and what to type next: pure, from its deployment's end and its targets."""

from __future__ import annotations

from collections.abc import Sequence

from shipit.events import GroupDiagnosed, GroupEnded
from shipit.models import EventStatus, LifecycleEvent, Phase, Target, TargetStatus

_WORDS = {
    "ScriptFailed": "exited with an error",
    "ScriptTimedOut": "ran into its timeout",
    "ScriptMissing": "is missing in the bundle",
    "ScriptNotExecutable": "is not executable",
}
#: Events whose scripts come from the revision installed before, not from the new bundle (codedeploy.md, §3).
_OF_OLD_REVISION = frozenset({"ApplicationStop", "BeforeBlockTraffic", "AfterBlockTraffic"})


def diagnose(end: GroupEnded, targets: Sequence[Target], *, build: str) -> GroupDiagnosed:
    """Return the cause, the next step and the targets that show it, worst first.

    Knows what CodeDeploy's own records tell; whether an instance was reclaimed is not in them.
    """
    bad = sorted(
        (t for t in targets if t.status is not TargetStatus.SUCCEEDED),
        key=lambda t: (t.failed_event is None, t.instance_id),
    )
    cause, next_step = _verdict(end, bad, build)
    return GroupDiagnosed(
        group=end.group, deployment_id=end.deployment_id, cause=cause, next_step=next_step, targets=tuple(bad)
    )


def _verdict(end: GroupEnded, bad: Sequence[Target], build: str) -> tuple[str, str]:
    again = f"inv deploy --build {build} --only {end.group}"
    failed = next((t.failed_event for t in bad if t.failed_event), None)
    if failed is not None:
        return _script(failed), _after_script(failed, again)
    match end.error_code:
        case "BUSY":
            return end.error_message, f"wait for it to end, then {again}"
        case "NOT_CREATED":
            return f"could not be started: {end.error_message}", again
        case "NO_INSTANCES":
            return "no instance was in service", f"scale the group out, then {again}"
        case "HEALTH_CONSTRAINTS" if _never_ran(bad):
            return (
                "no lifecycle event ever ran: the CodeDeploy agent is dead or cannot reach AWS",
                f"on an instance check the agent, its role, its clock and its disk, then {again}",
            )
    if end.phase is Phase.STOPPED:
        return end.error_message or "stopped by hand", again
    if end.phase is Phase.PARTIAL:
        left = end.overview.failed + end.overview.skipped
        return f"CodeDeploy calls it succeeded, yet {left} of {end.overview.total} instances were left behind", again
    return end.error_message or f"ended as {end.phase}: {end.error_code or 'no reason given'}", again


def _script(event: LifecycleEvent) -> str:
    if not event.script:
        return f"{event.name} failed: {event.message or event.error_code or 'no reason given'}"
    return f"{event.name}: {event.script} {_WORDS.get(event.error_code, 'failed')}"


def _after_script(event: LifecycleEvent, again: str) -> str:
    if event.name in _OF_OLD_REVISION:
        return (
            "this script is the installed revision's, not the new build's: set "
            f"rollout.ignore-application-stop-failures = true, then {again}"
        )
    if not event.script:
        # DownloadBundle and Install never name a script nor show a log (reference codedeploy.md, §1).
        return f"read the CodeDeploy agent's log on the instance, then {again}"
    return f"mend {event.script}, commit, then inv deploy"


def _never_ran(targets: Sequence[Target]) -> bool:
    untouched = (EventStatus.PENDING, EventStatus.SKIPPED, EventStatus.UNKNOWN)
    return bool(targets) and all(e.status in untouched for t in targets for e in t.events)
