"""Draw a rollout as one HTML page that needs nothing else: no other file, no script, no network. Pure.

Not to be confused with what instances report of themselves (`shipit.verify`): this is the paper that
a rollout leaves.

    markup.py     elements, in which all text is escaped
    style.py      the page's CSS: light and dark, and for paper
    looks.py      how each phase and outcome looks, in colour, sign and word
    timeline.py   when each group ran, wave by wave
    sections.py   the head, the failures, the proof, the table of groups
"""

from __future__ import annotations

from datetime import datetime

from shipit.models import RolloutRecord
from shipit.report.looks import clock
from shipit.report.markup import Html, el
from shipit.report.sections import failures, groups_table, head, proof
from shipit.report.style import CSS
from shipit.report.timeline import timeline
from shipit.wording import moment

__all__ = ["render"]

#: Nothing may be fetched and nothing run, whatever a log tail holds.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render(record: RolloutRecord, *, now: datetime) -> str:
    """Return the page of a rollout, as of `now`: what ran when, what failed and why, what was verified."""
    body = el(
        "main",
        head(record, now),
        failures(record),
        timeline(record, now),
        proof(record),
        groups_table(record),
        el("footer", f"Drawn by shipit on {moment(now)}. All times are UTC; it began at {clock(record.started_at)}."),
    )
    page = el(
        "html",
        el(
            "head",
            el("meta", charset="utf-8"),
            el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            el("meta", name="viewport", content="width=device-width, initial-scale=1"),
            el("title", f"{record.build} to {record.env}: {record.outcome} ({record.id})"),
            el("style", Html(CSS)),
        ),
        el("body", body),
        lang="en",
    )
    return f"<!doctype html>\n{page}\n"
