"""What the metadata service says -> whether this instance leaves, why, by when, and how long a drain may take. Pure.

Times are seconds of a clock that no step of the machine's moves.
"""

from __future__ import annotations

import json
import time
from calendar import timegm
from dataclasses import dataclass

SPOT, SCALE_IN, REBALANCE = "spot", "scale-in", "rebalance"

#: What the metadata service says of an instance that Auto Scaling takes away (Auto Scaling User Guide, "Retrieve the
#: target lifecycle state").
TAKEN_AWAY = frozenset(("Terminated", "Warmed:Terminated"))

#: Seconds. EC2 promises two minutes (EC2 User Guide, "Spot Instance interruption notices"): a notice that seems to
#: give more is one that a wrong clock reads.
_NOTICE = 120.0
#: Seconds that a notice is taken to give which cannot be read.
_UNREADABLE = 30.0
#: The part of the time that is kept to give messages back, and the least of it in seconds: measured, it takes 1.3 s.
_COLD_PART, _COLD_LEAST = 0.25, 3.0


@dataclass(frozen=True)
class Seen:
    """Hold one look at the metadata service: each is None where it could not be had, empty where there is nothing.

    `spot` is the text of spot/instance-action, `target` that of autoscaling/target-lifecycle-state, `rebalance` that
    of events/recommendations/rebalance. `wall` is the time in epoch seconds, by the service's clock.
    """

    spot: str | None
    target: str | None
    rebalance: str | None
    wall: float


@dataclass(frozen=True)
class Leaving:
    """Say why the instance leaves, and when it ends; None where nobody says when. `notice` is the text behind it."""

    why: str
    ends_at: float | None = None
    notice: str = ""


def decide(before: Leaving | None, seen: Seen, now: float, *, heed_rebalance: bool) -> Leaving | None:
    """Return whether the instance leaves, by what was known before and what is seen now.

    A spot notice goes before all, since it alone has an end. What cannot be seen stays as it was: a metadata service
    that fails never calls a drain off, nor starts one.
    """
    if seen.spot:
        # Its time is read once: a clock that is set meanwhile moves neither the notice nor its end.
        if before and before.why == SPOT and before.notice == seen.spot:
            return before
        return Leaving(SPOT, now + seconds_left(seen.spot, seen.wall), seen.spot)
    if seen.spot is None and before and before.why == SPOT:
        return before
    if seen.target in TAKEN_AWAY:
        return Leaving(SCALE_IN)
    if seen.target is None and before and before.why == SCALE_IN:
        return before
    if heed_rebalance and (seen.rebalance or (seen.rebalance is None and before and before.why == REBALANCE)):
        return Leaving(REBALANCE)
    return None


def seconds_left(notice: str, wall: float) -> float:
    """Return how long after `wall` the instance ends by the text of a spot notice."""
    try:
        ends = timegm(time.strptime(json.loads(notice)["time"], "%Y-%m-%dT%H:%M:%SZ"))
    except (ValueError, KeyError, TypeError):
        return _UNREADABLE
    return min(max(ends - wall, 0.0), _NOTICE)


@dataclass(frozen=True)
class Stages:
    """Say for how long, in seconds, each stage of a drain lasts at most; see drain.py."""

    wait: float
    grace: float
    cold: float


def stages(leaving: Leaving, now: float, *, margin: float, usual: Stages) -> Stages:
    """Return the stages that end `margin` seconds before the instance does; as `usual` where it has time.

    The last that may be cut is the time to give messages back, then that to let polls come in: a message that is
    stranded waits for its visibility timeout, while a task that is ended begins anew elsewhere at once. Where nothing
    but the margin is left, messages are given back in it.
    """
    if leaving.ends_at is None:
        return usual
    until = max(leaving.ends_at - now, 0.0)
    left = max(until - margin, 0.0)
    cold = min(usual.cold, max(left * _COLD_PART, min(until, _COLD_LEAST)))
    wait = min(usual.wait, max(left - cold, 0.0))
    return Stages(wait, min(usual.grace, max(left - cold - wait, 0.0)), cold)
