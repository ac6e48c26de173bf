"""Say single events in a sentence, and the fleet's standing in a line."""

from __future__ import annotations

from shipit.display.board import Board
from shipit.display.text import Line, clean, duration, plural, size
from shipit.events import (
    BuildFinished,
    BuildStep,
    Event,
    GroupEnded,
    GroupStarted,
    Notice,
    Published,
    RolloutStarted,
    Throttled,
    UploadProgress,
)
from shipit.models import Overview, Phase

_STAGES = {"command": "running", "collect": "collecting files", "pack": "packing", "done": "build done"}
TONES = {
    Phase.WAITING: "dim",
    Phase.RUNNING: "",
    Phase.SUCCEEDED: "good",
    Phase.PARTIAL: "warn",
    Phase.FAILED: "bad",
    Phase.STOPPED: "warn",
}
#: Phases in the order that a reader asks for them.
ORDER = (Phase.SUCCEEDED, Phase.FAILED, Phase.PARTIAL, Phase.STOPPED, Phase.RUNNING, Phase.WAITING)


def sentence(event: Event) -> Line | None:
    """Return the line that tells the event alone, nothing for events that need more or less than a line."""
    match event:
        case BuildStep(stage=stage, detail=detail):
            said = _STAGES.get(stage, stage)
            return Line(clean(f"{said}: {detail}" if detail else said), "dim")
        case BuildFinished(build=build):
            packed = f"{plural(event.files, 'file')}, {size(build.size)}, {duration(event.seconds)}"
            return Line(clean(f"built {build.version}: {packed}, {event.path}"), "good")
        case UploadProgress(version=version, sent=sent, total=total):
            return Line(clean(f"uploading {version}: {size(sent)} of {size(total)}"), "dim")
        case Published(build=build, location=location, already=already):
            how = "was already published" if already else "published"
            return Line(clean(f"{build.version} {how}: {location}"), "good")
        case RolloutStarted(plan=plan):
            groups = plan.to_deploy
            reach = f"{plural(len(groups), 'group')}, {plural(sum(g.group.in_service for g in groups), 'instance')}"
            return Line(clean(f"rollout {plan.id} of {plan.published.build.version} to {plan.env}: {reach}"), "head")
        case GroupStarted(group=group, deployment_id=deployment, instances=instances):
            return Line(clean(f"{group}: started {deployment} on {plural(instances, 'instance')}"))
        case GroupEnded():
            return Line(clean(_ended(event)), TONES[event.phase])
        case Throttled(operation=operation, rate=rate):
            return Line(clean(f"AWS throttled {operation}: slowed to {rate:.1f} calls a second"), "warn")
        case Notice(text=text, warning=warning):
            return Line(clean(f"warning: {text}" if warning else text), "warn" if warning else "")
        case _:
            return None


def _ended(event: GroupEnded) -> str:
    where = f" ({event.deployment_id})" if event.deployment_id else ""
    said = f"{event.group}: {event.phase} in {duration(event.seconds)}, {counts(event.overview)}{where}"
    reason = event.error_message or event.error_code
    return f"{said}: {reason}" if reason else said


def counts(overview: Overview) -> str:
    """Say how many instances of a deployment succeeded, and what became of the others."""
    total = plural(overview.total, "instance")
    if overview.succeeded == overview.total:
        return total
    others = (("failed", overview.failed), ("skipped", overview.skipped), ("pending", overview.pending))
    rest = ", ".join(f"{count:,} {word}" for word, count in others if count)
    return f"{overview.succeeded:,} of {total}" + (f", {rest}" if rest else "")


def by_phase(board: Board) -> str:
    """Say how many groups are in each phase: `48 succeeded, 2 failed`."""
    found = board.phases()
    return ", ".join(f"{found[p]:,} {p}" for p in ORDER if found[p]) or "no group"


def fleet(board: Board) -> str:
    """Say where the whole rollout stands, in a line."""
    done, bad, total = board.instances()
    ended = sum(row.phase.ended for row in board.rows.values())
    failed = f", {bad:,} of them failed or skipped" if bad else ""
    return (
        f"{ended:,} of {plural(len(board.rows), 'group')} ended ({by_phase(board)}); "
        f"{done:,} of {plural(total, 'instance')} done{failed}"
    )
