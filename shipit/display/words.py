"""Say single events in a sentence, and the fleet's standing in a line."""

from __future__ import annotations

from shipit.display.board import Board
from shipit.display.text import Line, clean, listing, size
from shipit.events import (
    BuildFinished,
    BuildStep,
    Event,
    GroupBlocked,
    GroupEnded,
    GroupRetried,
    GroupStarted,
    Notice,
    Published,
    RolloutHalted,
    RolloutStarted,
    Throttled,
    UploadProgress,
    WavePaused,
    WaveStarted,
)
from shipit.models import Overview, Phase
from shipit.wording import duration, plural

_STAGES = {"command": "running", "collect": "collecting files", "pack": "packing", "done": "build done"}
TONES = {
    Phase.WAITING: "dim",
    Phase.RUNNING: "",
    Phase.SUCCEEDED: "good",
    Phase.EXAMINING: "",
    Phase.PARTIAL: "warn",
    Phase.EMPTY: "warn",
    Phase.SKIPPED: "warn",
    Phase.FAILED: "bad",
    Phase.STOPPED: "warn",
}
#: Phases in the order that a reader asks for them.
ORDER = (
    Phase.SUCCEEDED,
    Phase.FAILED,
    Phase.PARTIAL,
    Phase.STOPPED,
    Phase.SKIPPED,
    Phase.EMPTY,
    Phase.RUNNING,
    Phase.EXAMINING,
    Phase.WAITING,
)


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
            said = f"rollout {plan.id} of {plan.published.build.version} to {plan.env}: {reach}"
            took = f"; about {duration(plan.expected)} by past ones" if plan.expected else ""
            return Line(clean(said + took), "head")
        case WaveStarted(wave=wave, of=of, groups=names):
            said = f"wave {wave} of {of}: {plural(len(names), 'group')}: {listing(names)}"
            return Line(clean(said), "head")
        case WavePaused(wave=wave, of=of, seconds=seconds):
            next_one = (
                "inv promote lets the next one start"
                if seconds is None
                else f"the next one starts in {duration(seconds)}; inv promote starts it now"
            )
            return Line(f"wave {wave} of {of} is done; {next_one}", "head")
        case GroupStarted(group=group, deployment_id=deployment, instances=instances, attempt=attempt):
            again = f", try {attempt}" if attempt > 1 else ""
            return Line(clean(f"{group}: started {deployment} on {plural(instances, 'instance')}{again}"))
        case GroupBlocked(group=group, holder_id=holder_id, holder=holder):
            return Line(clean(f"{group}: waits for somebody else's deployment: {holder or holder_id}"), "warn")
        case GroupRetried(group=group, reason=reason):
            return Line(clean(f"{group}: {reason}; it is tried again"), "warn")
        case RolloutHalted(reason=reason):
            return Line(clean(f"no new group starts: {reason}"), "bad")
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
    return ", ".join(f"{found[p]:,} {p}" for p in ORDER if found[p]) or "no group to deploy"


def fleet(board: Board) -> str:
    """Say where the whole rollout stands, in a line."""
    done, bad, total = board.instances()
    ended = sum(row.phase.ended for row in board.rows.values())
    failed = f", {bad:,} of them failed or skipped" if bad else ""
    return (
        f"{ended:,} of {plural(len(board.rows), 'group')} ended ({by_phase(board)}); "
        f"{done:,} of {plural(total, 'instance')} done{failed}"
    )
