"""Tell which failures are equal but for where they happened."""

from __future__ import annotations

import re

from shipit.diagnose.evidence import deciding, exit_code, headline, lapsed
from shipit.models import Cause, Judged, LifecycleEvent

#: What differs between equal failures: ids of instances, deployments and groups, and every word with a digit in it.
_ACCIDENTAL = re.compile(
    r"\b(?:d-[A-Z0-9]{6,}|i-[0-9a-f]{8,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b"
    r"|\w*\d\w*(?:[-.:]\w*\d\w*)*"
)

_NAMES = {
    Cause.RECLAIMED: "reclaimed by EC2",
    Cause.SCALED_IN: "scaled in, or ended by somebody",
    Cause.AGENT_DEAD: "the CodeDeploy agent fetches nothing: it is dead, or cannot reach AWS",
    Cause.SKIPPED: "skipped",
    Cause.RUNNING: "still on its way",
}


def explains(judged: Judged) -> bool:
    """Tell whether the target shows why a group failed; the others were only held back by those that do."""
    return judged.cause not in (Cause.SKIPPED, Cause.RUNNING)


def telling(judged: Judged) -> LifecycleEvent | None:
    """Return the event that shows the cause, nothing where CodeDeploy ended it without a word of why."""
    event = deciding(judged.target)
    return None if event and judged.cause is Cause.UNKNOWN and lapsed(event) else event


def title(judged: Judged) -> str:
    """Say the cause, in words that hold for every target like this one."""
    if judged.cause in _NAMES:
        return _NAMES[judged.cause]
    event = telling(judged)
    return headline(event) if event else f"failed: {judged.detail or 'nothing shows why'}"


def of_target(judged: Judged) -> str:
    """Return what equal failures of targets have in common: cause, event, script, codes, and the words."""
    if judged.cause in _NAMES:
        return judged.cause.value
    event = telling(judged)
    if event is None:
        return f"{judged.cause} | {without_accidents(judged.detail)}"
    said = without_accidents(event.message)
    return " | ".join((judged.cause, event.name, event.script, event.error_code, exit_code(event), said))


def without_accidents(text: str, *names: str) -> str:
    """Return the text with ids, numbers and these `names` as `…`."""
    for name in filter(None, names):
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "…", text)
    return _ACCIDENTAL.sub("…", text)
