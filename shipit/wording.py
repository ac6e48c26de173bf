"""Say durations, moments, counts and names in words, the same everywhere. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime


def duration(seconds: float) -> str:
    """Return a duration in two units at most: `3.1 s`, `42 s`, `5 min 3 s`, `1 h 2 min`, `2 d 3 h`."""
    if round(seconds, 1) < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    for unit, name, low, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit:
            rest = whole % unit // low
            return f"{whole // unit} {name} {rest} {small}" if rest else f"{whole // unit} {name}"
    return f"{whole} s"


def moment(at: datetime) -> str:
    """Return a moment to the minute: `2026-11-20 12:00 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Return the count with its noun: `1 group`, `1,203 groups`."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def share(part: int, whole: int, noun: str) -> str:
    """Return the part of a whole that counts in this noun: `2 of 5 groups`, `1 of 1 group`."""
    return f"{part:,} of {plural(whole, noun)}"


def listing(names: Sequence[str], most: int = 5) -> str:
    """Return names as a phrase, so many at most: `a, b, c and 12 more`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")
