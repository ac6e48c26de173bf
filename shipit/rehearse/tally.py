"""Say what became of each task that was sent, queue by queue, and whether that is good. Pure.

Where two readings are possible, the worse one counts: no task is ever reported better than it is.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

from shipit.rehearse.journal import FAILURE, SUCCESS, Ran
from shipit.rehearse.traffic import Sent
from shipit.wording import plural


@dataclass(frozen=True, kw_only=True)
class Kill:
    """Tell that a worker of a queue was killed without a word: when, in seconds since 1970."""

    queue: str
    at: float


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Say in seconds how long a task may wait that a worker gave back (`drained`), or after a kill.

    `polled` is how long a poll may be out: what comes within that time of a kill may be given to the dead worker.
    """

    drained: float
    redelivered: float = 10.0
    polled: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """Count the tasks of one queue, or of all.

    lost           sent, and never ended
    failed         ended by raising, never well
    done           ended well, once or more
    stranded       ended well, but given out to a worker that was stopped, and kept from all others for too long
    twice          ended well more than once; `twice_killed` of them around a kill
    redelivered    given out more than once, `late` of them too long after the kill of a worker
    queued         given out once, and waited as long as a stranded one: there was more to do than workers did
    wait           seconds from the sending to the start: half of the tasks at most `p50`, all at most `longest`
    redelivery     the longest time in seconds from a kill to the start elsewhere
    """

    queue: str
    sent: int = 0
    done: int = 0
    lost: int = 0
    failed: int = 0
    stranded: int = 0
    twice: int = 0
    twice_killed: int = 0
    redelivered: int = 0
    late: int = 0
    queued: int = 0
    p50: float = math.nan
    longest: float = math.nan
    redelivery: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Hold a row for each queue, by name, and their sum; `problems` says in a line each what is not good."""

    rows: tuple[Row, ...]
    total: Row
    problems: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Fate:
    """What became of one task; `wait` and `redelivery` in seconds, NaN where there was none."""

    done: bool = False
    lost: bool = False
    failed: bool = False
    stranded: bool = False
    twice: bool = False
    twice_killed: bool = False
    redelivered: bool = False
    late: bool = False
    queued: bool = False
    wait: float = math.nan
    redelivery: float = math.nan


def tally(sent: Iterable[Sent], ran: Iterable[Ran], kills: Iterable[Kill], limits: Limits) -> Tally:
    """Account for all tasks that were sent by what workers printed; tasks of others are left out of it."""
    ends: dict[str, list[Ran]] = defaultdict(list)
    for one in ran:
        ends[one.id].append(one)
    killed: dict[str, list[float]] = defaultdict(list)
    for kill in kills:
        killed[kill.queue].append(kill.at)
    fates: dict[str, list[_Fate]] = defaultdict(list)
    for task in sent:
        fates[task.queue].append(_fate(task, ends.get(task.id, ()), killed[task.queue], limits))
    total = _row("all", [fate for found in fates.values() for fate in found])
    rows = tuple(_row(queue, fates[queue]) for queue in sorted(fates))
    return Tally(rows=rows, total=total, problems=tuple(_problems(total, limits)))


def _fate(sent: Sent, ends: Sequence[Ran], kills: Sequence[float], limits: Limits) -> _Fate:
    good = sorted((one for one in ends if one.state == SUCCESS), key=lambda one: one.ended_at)
    redelivered = max((one.received for one in ends), default=0) > 1
    if not good:
        failed = any(one.state == FAILURE for one in ends)
        return _Fate(lost=not failed, failed=failed, redelivered=redelivered)
    first, last = good[0], good[-1]
    wait = max(0.0, first.started_at - sent.at)
    before = [at for at in kills if sent.at - limits.polled <= at <= first.started_at]
    redelivery = first.started_at - min(before) if redelivered and before else math.nan
    # What was given out once waited for its turn; where nobody tells how often, it may have been stranded.
    kept = wait > limits.drained and first.received != 1
    return _Fate(
        done=True,
        twice=len(good) > 1,
        twice_killed=len(good) > 1 and any(sent.at <= at <= last.ended_at for at in kills),
        redelivered=redelivered or len(good) > 1,
        # A kill explains a wait only if it came before the task was overdue.
        stranded=kept and not any(at <= sent.at + limits.drained for at in before),
        late=redelivery > limits.redelivered,
        queued=wait > limits.drained and first.received == 1,
        wait=wait,
        redelivery=redelivery,
    )


def _row(queue: str, fates: Sequence[_Fate]) -> Row:
    counted = {f.name for f in fields(_Fate)} - {"wait", "redelivery"}
    counts: Mapping[str, int] = {name: sum(getattr(fate, name) for fate in fates) for name in counted}
    waits = sorted(fate.wait for fate in fates if fate.done)
    again = [fate.redelivery for fate in fates if not math.isnan(fate.redelivery)]
    return Row(
        queue=queue,
        sent=len(fates),
        p50=waits[(len(waits) - 1) // 2] if waits else math.nan,
        longest=waits[-1] if waits else math.nan,
        redelivery=max(again, default=math.nan),
        **counts,
    )


def _problems(total: Row, limits: Limits) -> Iterable[str]:
    if total.lost:
        yield f"{plural(total.lost, 'task')} lost: sent, and never ended"
    if twice := total.twice - total.twice_killed:
        yield f"{plural(twice, 'task')} completed twice, though no worker of theirs was killed"
    if total.stranded:
        yield (
            f"{plural(total.stranded, 'task')} stranded: a worker that was stopped kept them from all others "
            f"for more than {limits.drained:g} s{_crowded(total)}"
        )
    if total.late:
        late = f"{plural(total.late, 'task')} given out anew more than {limits.redelivered:g} s after a kill"
        yield f"{late}{_crowded(total)}"
    if total.failed:
        yield f"{plural(total.failed, 'task')} raised: see what the workers say, and the arguments in [rehearse]"


def _crowded(total: Row) -> str:
    """Say where a wait may have another cause; it counts all the same, for nobody can tell."""
    if not total.queued:
        return ""
    return f" (or waited behind others, as {plural(total.queued, 'task')} did that long: send fewer, [rehearse] rate)"
