"""Say what to type for one instance that is not current: a command, and behind it, as a shell has it, why. Pure."""

from __future__ import annotations

from shlex import quote

from shipit.models import Group, GroupView, Instance, NodeState


def next_step(state: NodeState, group: Group, instance: Instance, view: GroupView, *, env: str, ahead: bool) -> str:
    """Return the next command for an instance in this state, with a remark; empty where there is nothing to do.

    It names `env`: who types it, off a CI job's page perhaps, may have another default. `ahead`: the instance's clock
    is ahead of ours.
    """
    there, queue = f"--env {quote(env)}", quote(group.queue)
    shell = f"aws ssm start-session --target {instance.id}"
    waits = f"inv verify-versions {there} --build {view.expected} --only {queue} --wait 10m"
    match state:
        case NodeState.STARTING:
            return waits
        case NodeState.OUTDATED | NodeState.RESTART_NEEDED | NodeState.UNKNOWN_BUILD if view.moving:
            return f"{waits} # {view.moving} is bringing it"
        case NodeState.OUTDATED | NodeState.RESTART_NEEDED | NodeState.UNKNOWN_BUILD:
            if view.codedeploy != view.expected:
                return f"inv deploy {there} --build {view.expected} --only {queue}"
            # A deploy would leave the group alone, for by CodeDeploy it runs the build: a restart brings that again.
            return f"inv restart {there} --only {queue}"
        case NodeState.WRONG_DIGEST:
            return (
                f"aws autoscaling terminate-instance-in-auto-scaling-group --instance-id {instance.id} "
                "--no-should-decrement-desired-capacity # files of the build were changed on it"
            )
        case NodeState.STALE if ahead:
            return f"{shell} # set its clock: it is ahead of ours"
        case NodeState.STALE | NodeState.SILENT:
            return f"{shell} # look at its worker, reports and clock"
        case _:
            return ""
