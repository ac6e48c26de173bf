"""From any machine: find a rollout that another process drives, stop it, let its next wave start."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from shipit.errors import DamagedError, StillRunning, UsageError
from shipit.events import Notice
from shipit.flows import undo
from shipit.flows.deploy import Wish, locked, manner_of
from shipit.flows.locks import drives
from shipit.models import Outcome, RolloutRecord
from shipit.rollout import Mark, gather
from shipit.wiring import Tool
from shipit.wiring.person import author
from shipit.wording import plural

#: Seconds that a stop waits at least for the deployments to end and for the driver to heed it; and how much longer
#: than the life of a lock, which may be that of a driver that is gone.
_STOP_WITHIN, _PAST_LOCK = 120.0, 5.0


def stop(tool: Tool, rollout: str, *, rollback: bool, wish: Wish) -> None:
    """Let nothing more start, and stop what runs; with `rollback` take back what it brought."""
    record = find(tool, rollout)
    if record.outcome is not Outcome.RUNNING and not record.outcome.resumable:
        if not rollback or record.outcome.good:  # inv rollback takes that back, and asks first
            raise UsageError(f"rollout {record.id} is over: {record.outcome}", hint="inv rollback goes back")
    else:
        tool.ledger.order(record.id, stop=author())
        stopped = _stop_all(tool, record)
        said = f"{plural(stopped, 'deployment')} stopped, and nothing more is started"
        tool.display.text(f"rollout {record.id}: {said}")
    if rollback:
        waiting = replace(wish, lock_wait=wish.lock_wait or "2m")
        with locked(tool, waiting, build=record.build, rollout=record.id) as held:
            undo.take_back(tool, tool.ledger.read(record.id), held, manner_of(tool, waiting))


def promote(tool: Tool, rollout: str) -> None:
    """Let the next wave of a paused rollout start."""
    record = find(tool, rollout)
    if why := _not_waiting(record):
        raise UsageError(f"rollout {record.id} waits for no word: {why}", hint="inv watch shows how far it is")
    done = len(record.waves)
    tool.ledger.order(record.id, promoted=done)
    tool.display.text(f"rollout {record.id}: wave {done + 1} may start")


def _not_waiting(record: RolloutRecord) -> str:
    """Say why no wave of the rollout waits to be let through; empty where one does."""
    if record.outcome is not Outcome.RUNNING:
        return f"it is over: {record.outcome}"
    if not record.waves or record.waves[-1].ended_at is None:
        return f"its wave {len(record.waves) or 1} is not done"
    return "" if len(record.waves) < len({g.wave for g in record.groups.values()}) else "its last wave is done"


def find(tool: Tool, rollout: str) -> RolloutRecord:
    """Return the record, made anew from CodeDeploy where it is lost; raises UsageError where nothing is known."""
    rollout = rollout or tool.ledger.latest_id()
    record = on_record(tool, rollout) if rollout else None
    if record is None and rollout:
        record = gather(rollout, tool.fleet.read().groups, now=tool.clock.now())
        if record is not None:
            text = f"the record of rollout {rollout} is lost or damaged: what its deployments say counts"
            tool.display(Notice(text=text, warning=True))
    if record is None:
        what = f"no rollout {rollout!r}" if rollout else "no rollout"
        raise UsageError(f"{what} of {tool.settings.env} is known", hint="inv history lists them")
    return record


def on_record(tool: Tool, rollout: str) -> RolloutRecord | None:
    """Return the record, None where it is lost: one that is damaged is."""
    with suppress(DamagedError):
        return tool.ledger.find(rollout)
    return None


def _stop_all(tool: Tool, record: RolloutRecord) -> int:
    """Stop every deployment of the rollout until none runs, and whoever drives it has seen the order."""
    stopped: set[str] = set()
    deadline = tool.clock.now().timestamp() + max(_STOP_WITHIN, tool.settings.rollout.lock_ttl + _PAST_LOCK)
    names = list(record.groups)
    while True:
        ours = [d for d in tool.codedeploy.last_attempts(names).values() if Mark.of(record.id, d)]
        active = [d for d in ours if not d.status.ended]
        for deployment in active:
            tool.codedeploy.stop(deployment.id)
            stopped.add(deployment.id)
        driven = drives(tool.lock.holder(), record)
        now = on_record(tool, record.id) or record
        if not active and not (driven and now.outcome is Outcome.RUNNING):
            if now.outcome is Outcome.RUNNING or now.outcome.resumable:
                ended = replace(now, outcome=Outcome.STOPPED, ended_at=tool.clock.now())
                tool.ledger.write(ended)
            return len(stopped)
        if tool.clock.now().timestamp() >= deadline:
            many = plural(len(active), "deployment goes", "deployments go")
            raise StillRunning(
                f"{many} on in rollout {record.id}: hooks that run are not interrupted"
                if active
                else f"whoever drives rollout {record.id} has not heeded the order to stop yet",
                hint="the same command looks again; inv lock.status says who drives it",
            )
        tool.clock.sleep(tool.settings.rollout.poll)
