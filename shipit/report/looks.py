"""How phases and outcomes look: a tone for the colour, a sign and a word for those who do not see it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from shipit.models import GroupEntry, Outcome, Phase
from shipit.report.markup import Html, el

#: Tone and sign of each phase; the tones are classes of the style.
PHASES = {
    Phase.WAITING: ("idle", "·"),
    Phase.RUNNING: ("live", "▶"),
    Phase.EXAMINING: ("live", "?"),
    Phase.SUCCEEDED: ("good", "✓"),
    Phase.PARTIAL: ("warn", "◐"),
    Phase.EMPTY: ("idle", "○"),
    Phase.SKIPPED: ("warn", "»"),
    Phase.FAILED: ("bad", "✗"),
    Phase.STOPPED: ("warn", "■"),
}
OUTCOMES = {
    Outcome.RUNNING: ("live", "▶"),
    Outcome.CONVERGED: ("good", "✓"),
    Outcome.DEPLOYED: ("good", "✓"),
    Outcome.DRIFTED: ("warn", "◐"),
    Outcome.FAILED: ("bad", "✗"),
    Outcome.REFUSED: ("bad", "✗"),
    Outcome.BUSY: ("warn", "»"),
    Outcome.STOPPED: ("warn", "■"),
    Outcome.TIMED_OUT: ("warn", "…"),
    Outcome.INTERRUPTED: ("warn", "■"),
    Outcome.ROLLED_BACK: ("bad", "↩"),
}
_ORDER = (
    Phase.SUCCEEDED,
    Phase.FAILED,
    Phase.PARTIAL,
    Phase.SKIPPED,
    Phase.STOPPED,
    Phase.EMPTY,
    Phase.EXAMINING,
    Phase.RUNNING,
    Phase.WAITING,
)


def phase_mark(phase: Phase) -> Html:
    """Return the sign and the word of a phase in its colour."""
    tone, sign = PHASES[phase]
    return el("span", f"{sign} {phase}", class_=f"tone {tone}")


def outcome_mark(outcome: Outcome) -> Html:
    """Return the sign and the word of an outcome in its colour."""
    tone, sign = OUTCOMES[outcome]
    return el("span", f"{sign} {outcome}", class_=f"badge {tone}")


def tally(entries: Iterable[GroupEntry]) -> str:
    """Count groups by phase: `47 succeeded, 3 failed`."""
    phases = [e.phase for e in entries]
    return ", ".join(f"{phases.count(p):,} {p}" for p in _ORDER if p in phases)


def clock(at: datetime) -> str:
    """Return the time of day to the second, in UTC."""
    return f"{at.astimezone(UTC):%H:%M:%S}"
