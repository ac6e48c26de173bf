"""Read what one lifecycle event shows: whether the agent reported its failure, and what its script did."""

from __future__ import annotations

import re

from shipit.models import EventStatus, LifecycleEvent, Target, TargetStatus

#: Scripts of these events come from the revision installed before, not from the new bundle, and
#: ignoreApplicationStopFailures forgives them (reference codedeploy.md, §1 and §3).
OF_OLD_REVISION = frozenset({"ApplicationStop", "BeforeBlockTraffic", "AfterBlockTraffic"})
MOVING = (TargetStatus.PENDING, TargetStatus.IN_PROGRESS, TargetStatus.READY)

#: Seconds after which CodeDeploy itself gives an event up (reference codedeploy.md, §2).
_HOUR = 3600.0
#: What CodeDeploy says of an event that no agent fetched within five minutes.
_NOT_RECEIVED = "not able to receive the lifecycle event"
#: What the embedded sandbox says of an event that ran into the hour; AWS's own words for it are not known.
_NOT_ENDED = "did not end within its time limit"
_CODES = ("ScriptFailed", "ScriptMissing", "ScriptNotExecutable", "ScriptTimedOut")
_EXIT = re.compile(r"exit code (\d+)")
_SIGTERM = "143"  # 128 + 15: what a script ends with that a shutdown asked to go


def deciding(target: Target) -> LifecycleEvent | None:
    """Return the event whose failure ended the target; a forgiven one did not."""
    event = target.failed_event
    if event is None:
        return None
    at = max(n for n, e in enumerate(target.events) if e is event)
    went_on = target.status in MOVING or any(ran(e) for e in target.events[at + 1 :])
    return None if event.name in OF_OLD_REVISION and went_on else event


def ran(event: LifecycleEvent) -> bool:
    """Tell whether the event ever began on the instance."""
    return event.status in (EventStatus.IN_PROGRESS, EventStatus.SUCCEEDED, EventStatus.FAILED)


def of_script(event: LifecycleEvent) -> bool:
    """Tell whether a script's failure was reported: only an agent on a living instance does that."""
    return bool(event.script) or event.error_code in _CODES


def not_received(event: LifecycleEvent) -> bool:
    """Tell whether nobody fetched the event's command within five minutes."""
    return _NOT_RECEIVED in event.message


def ran_into_the_hour(event: LifecycleEvent) -> bool:
    """Tell whether CodeDeploy gave the event up, an hour after its start."""
    if event.started_at and event.ended_at and (event.ended_at - event.started_at).total_seconds() >= _HOUR:
        return True
    return _NOT_ENDED in event.message


def lapsed(event: LifecycleEvent) -> bool:
    """Tell whether CodeDeploy ended the event by itself, without a word of an agent: so do dead instances."""
    if of_script(event):
        return False
    return not_received(event) or ran_into_the_hour(event) or not event.message


def exit_code(event: LifecycleEvent) -> str:
    """Return the script's exit code; empty where the agent named none, as for a script that a signal ended."""
    found = _EXIT.search(event.message)
    return found[1] if found else ""


def was_asked_to_end(event: LifecycleEvent) -> bool:
    """Tell whether SIGTERM ended the script: what a shutdown sends. SIGKILL does not count: memory may be short."""
    return event.error_code == "ScriptFailed" and exit_code(event) == _SIGTERM


def headline(event: LifecycleEvent) -> str:
    """Say how the event failed: `AfterInstall, exit 1: scripts/after_install.sh`."""
    if not of_script(event):
        if ran_into_the_hour(event):
            return f"{event.name}, not ended after CodeDeploy's hour"
        return f"{event.name} failed: {event.message or event.error_code or 'no reason given'}"
    code = exit_code(event)
    how = {
        "ScriptTimedOut": "timed out",
        "ScriptMissing": "script missing in the bundle",
        "ScriptNotExecutable": "script not executable",
    }.get(event.error_code, f"exit {code}" if code else "script failed")
    return f"{event.name}, {how}" + (f": {event.script}" if event.script else "")
