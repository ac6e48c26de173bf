"""Go back to an older build: by name, or to the last one that was good."""

from __future__ import annotations

from dataclasses import replace

from shipit.errors import UsageError
from shipit.events import Notice
from shipit.flows.deploy import Wish, by_flags, launch, locked
from shipit.flows.prepare import prepare, refuse, refuse_busy
from shipit.history import previous_good
from shipit.models import RolloutPlan
from shipit.wiring import Tool
from shipit.wiring.person import confirm

#: Past rollouts among which the last good one is looked for.
_PAST = 50


def rollback(tool: Tool, wish: Wish) -> None:
    """Bring the fleet back to a build, by default the last good one; it is shown and confirmed first."""
    if tool.settings.rollout.on_failure == "rollback":
        # To take it back would bring the build that is left to the groups that have left it.
        wish = replace(wish, on_failure="stop")
    tool = by_flags(tool, wish)
    build = wish.build or _previous_good(tool)
    published = tool.builds.get(build)
    made = prepare(tool, published, only=wish.only, allow_older=True)
    _show(tool, made)
    if not made.to_deploy:
        refuse(made)
        refuse_busy(made)
        asks = f"inv verify-versions --build {build} asks their instances"
        tool.display(Notice(text=f"no group is to go back: CodeDeploy has them on {build}; {asks}"))
        return
    confirm(f"{tool.settings.env} goes back to {build}.", tool.settings.env, yes=wish.yes)
    with locked(tool, wish, build=build, rollout=made.id) as held:
        made = prepare(tool, published, only=wish.only, allow_older=True, rollout=made.id)
        refuse(made)
        latest = tool.ledger.latest()
        left = latest.id if latest is not None and latest.build != build and not wish.only else ""
        launch(tool, made, held, replace(wish, why=wish.why or f"rollback to {build}"), undoes=left)


def _show(tool: Tool, made: RolloutPlan) -> None:
    tool.display.plan(made)
    text = (
        "hooks of the build that is left (ApplicationStop) may run once more; where they fail, that is ignored: "
        "--no-ignore-stop-failures heeds them"
    )
    tool.display(Notice(text=text))


def _previous_good(tool: Tool) -> str:
    latest = tool.ledger.latest()
    if latest is None:
        raise UsageError(f"nothing was deployed to {tool.settings.env} yet", hint="start with inv deploy")
    found = previous_good(tool.ledger.recent(_PAST), latest.build)
    if found is None:
        raise UsageError(
            f"no earlier good build of {tool.settings.env} is on record",
            hint="name one: inv rollback --build V; inv history lists what was deployed",
        )
    when = f"{found.started_at:%Y-%m-%d %H:%M} UTC"
    tool.display(Notice(text=f"the last good build before {latest.build}: {found.build}, of {when} by {found.by}"))
    return found.build
