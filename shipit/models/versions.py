"""Which build ran where, over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class BuildRun:
    """Say that one deployment brought a build to instances of an Auto Scaling group (a row of `history.sql`).

    `until` is when the last of those that ended did, None where none has; `unended` counts those of which no end is
    known: they run it still, or died without a word. `deployment_id` may be empty: nobody said what brought it.
    """

    asg: str
    build: str
    deployment_id: str
    instances: int
    since: datetime
    until: datetime | None
    unended: int
