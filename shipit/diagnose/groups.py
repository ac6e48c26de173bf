"""Explain why a group failed and what to type next, from its deployment's end and what became of its targets."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence

from shipit.diagnose.evidence import OF_OLD_REVISION
from shipit.diagnose.likeness import explains, of_target, telling, title, without_accidents
from shipit.events import GroupDiagnosed, GroupEnded
from shipit.models import Cause, Examination, FailureNote, Judged, Phase
from shipit.wording import plural

#: As many instances are named in a command; as many groups. Above it a command for all is shorter, and does the same.
_MOST_INSTANCES, _MOST_GROUPS = 10, 12
_TAIL = 2048


def explain(end: GroupEnded, examination: Examination, *, build: str) -> GroupDiagnosed:
    """Return the cause, the next step and the targets that show it: what blames the build first, then the most."""
    count = Counter(of_target(j) for j in examination.judged)

    def rank(judged: Judged) -> tuple[int, int, str, str]:
        tier = 0 if judged.cause.blames_build else 1 if judged.cause.gone else 2
        return tier, -count[of_target(judged)], of_target(judged), judged.target.instance_id

    judged = tuple(sorted(examination.judged, key=rank))
    command = again(build, [end.group])
    worst = judged[0] if judged and explains(judged[0]) else None
    if worst:
        likeness = of_target(worst)
        alike = [j.target.instance_id for j in judged if of_target(j) == likeness]
        cause, next_step = _cause(worst, judged, end), after(worst, alike, command)
    else:
        cause, next_step = _by_code(end, command)
        likeness = without_accidents(cause, end.group)
    return GroupDiagnosed(
        group=end.group,
        deployment_id=end.deployment_id,
        cause=cause,
        next_step=next_step,
        judged=judged,
        likeness=likeness,
        build=build,
    )


def note(failure: GroupDiagnosed) -> FailureNote:
    """Return what the rollout's record keeps of a failed group."""
    event = telling(failure.judged[0]) if failure.judged else None
    return FailureNote(
        cause=failure.cause,
        next_step=failure.next_step,
        instances=tuple(j.target.instance_id for j in failure.judged),
        event=event.name if event else "",
        script=event.script if event else "",
        log_tail=event.log_tail[-_TAIL:] if event else "",
    )


def again(build: str, groups: Sequence[str]) -> str:
    """Return the command that deploys the build to these groups; it leaves alone those that run it."""
    named = f" --only {shlex.quote(','.join(groups))}" if len(groups) <= _MOST_GROUPS else ""
    return f"inv deploy --build {shlex.quote(build)}{named}"


def _cause(worst: Judged, judged: Sequence[Judged], end: GroupEnded) -> str:
    if not worst.cause.gone:
        return title(worst)
    total = end.overview.total or len(judged)
    lost = [(sum(j.cause is c for j in judged), c) for c in (Cause.RECLAIMED, Cause.SCALED_IN)]
    said = " and ".join(f"{count} {cause}" for count, cause in lost if count)
    many = plural(total, "instance")
    return f"of {many} {said} while the build was brought to them; nothing speaks against the build"


def after(worst: Judged, instances: Sequence[str], again: str) -> str:
    """Say what to type after the failure that these instances share, of which `worst` is the sample."""
    event = telling(worst)
    match worst.cause:
        case Cause.RECLAIMED | Cause.SCALED_IN:
            return again
        case Cause.AGENT_DEAD:
            named, more = " ".join(instances[:_MOST_INSTANCES]), len(instances) - _MOST_INSTANCES
            return (
                "restart the agent: aws ssm send-command --document-name AWS-RunShellScript "
                "--parameters commands='systemctl restart codedeploy-agent' "
                f"--instance-ids {named}{f' (and {more} more)' if more > 0 else ''}; or on the instance: sudo "
                "systemctl restart codedeploy-agent. Where it stays dead, check there its log in "
                "/var/log/aws/codedeploy-agent, the instance's role, clock, disk and way to AWS. "
                f"Then {again}"
            )
        case _ if event is None:
            return f"read the CodeDeploy agent's log on {worst.target.instance_id}, then {again}"
        case _ if event.name in OF_OLD_REVISION and event.script:
            return (
                "this script is the installed revision's, not the new build's, so no new build can mend it; "
                f"{again} --ignore-stop-failures goes on where it fails"
            )
        case Cause.TIMED_OUT if event.script:
            return f"mend {event.script}, or raise its timeout in appspec.yml; commit, then inv deploy"
        case Cause.TIMED_OUT:
            return f"see on {worst.target.instance_id} what {event.name} waits for, then {again}"
        case _ if event.script:
            return f"mend {event.script}, commit, then inv deploy"
    # DownloadBundle and Install never name a script nor show a log (reference codedeploy.md, §1).
    return f"read the CodeDeploy agent's log on {worst.target.instance_id}, then {again}"


def _by_code(end: GroupEnded, again: str) -> tuple[str, str]:
    """Explain by what CodeDeploy says of the whole deployment, as no target shows a cause."""
    said = end.error_message.removeprefix(f"{end.group}: ")
    match end.error_code:
        case "BUSY":
            return said, f"wait for it to end, then {again}"
        case "REFUSED":
            return f"could not be started: {said}", f"mend what AWS refused (docs/iam.md), then {again}"
        case "NOT_CREATED":
            return f"could not be started: {said}", again
        case "NO_INSTANCES":
            return "no instance was in service", f"scale the group out, then {again}"
        case "HEALTH_CONSTRAINTS" if not end.overview.failed:
            # HalfAtATime of one instance: minimum 1, no slot (reference codedeploy.md, §1).
            return (
                "nothing was tried: the deployment config leaves no instance to begin with",
                f"set a rollout.deployment-config that can work with so few instances, then {again}",
            )
    if end.phase is Phase.STOPPED:
        return said or "stopped by hand", again
    if end.phase is Phase.PARTIAL:
        left = end.overview.failed + end.overview.skipped
        return f"CodeDeploy calls it succeeded, yet {left} of {end.overview.total} instances were left behind", again
    return said or f"ended as {end.phase}: {end.error_code or 'no reason given'}", again
