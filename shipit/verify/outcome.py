"""Say what a verdict ends a command with. Pure."""

from __future__ import annotations

from shipit.errors import DriftError, StillRunning
from shipit.models import NodeState, Verification
from shipit.wording import share


def outcome(found: Verification) -> None:
    """Return only where the fleet is converged on what is expected of it.

    Raises DriftError for drift, for instances unseen and for a check that checked nothing; StillRunning where all
    that are not current are on their way: starting, or drifted in a group that a running deployment brings the
    expected build. A wait that has ended changes nothing in that.
    """
    counted, starting = found.counted, found.count(NodeState.STARTING)
    if not counted:
        raise DriftError(
            "no instance is in service: nothing was checked", hint="scale a group out, or check `tags` and --only"
        )
    if not found.cost.scanned and starting < counted:
        raise DriftError(
            f"Athena read no report at all, and {counted} instances should have written some",
            hint="check `bucket`, `prefix`, `database` and `table` in [reports], and the instances' right to write",
        )
    moving = {view.group for view in found.groups if view.moving}
    drifted = [n for n in found.nodes if n.state.is_drift]
    coming = sum(n.group in moving for n in drifted)
    unseen = sum(n.state.is_unseen for n in found.nodes)
    if len(drifted) > coming or unseen:
        kinds = ((len(drifted), "drifted"), (unseen, "unseen"), (starting, "starting"))
        told = ", ".join(f"{count} {how}" for count, how in kinds if count)
        builds = {view.expected for view in found.groups} or {found.build}
        what = found.build if len(builds) == 1 else "what is expected of them"
        raise DriftError(
            f"{counted - found.count(NodeState.CURRENT)} of {counted} instances are not proved to run {what}: {told}",
            hint="each of them is listed with the command to type next",
        )
    if starting or coming:
        told = " and ".join(
            f"{share(count, counted, 'instance')} {'is' if count == 1 else 'are'} still {how}"
            for count, how in ((starting, "starting"), (coming, "being deployed to"))
            if count
        )
        raise StillRunning(told, hint="inv verify-versions --wait 10m goes on looking")
