"""The lock by hand: who has it, freeze an environment, free it."""

from __future__ import annotations

from shipit.errors import UsageError
from shipit.lock import Claim, Holding
from shipit.models import RolloutRecord
from shipit.wiring import Tool
from shipit.wiring.person import author


def status(tool: Tool) -> None:
    """Show who has the lock."""
    holding = tool.lock.holder()
    if holding is None:
        tool.display.value("lock", {"locked": False, "env": tool.settings.env})
        return
    tool.display.value(
        "lock",
        {
            "locked": True,
            "env": tool.settings.env,
            "by": holding.by,
            "host": holding.host,
            "since": holding.since.isoformat(timespec="seconds"),
            "rollout": holding.rollout,
            "build": holding.build,
            "why": holding.why,
            "by hand": holding.manual,
            "expired": holding.expired,
        },
    )


def acquire(tool: Tool, message: str) -> None:
    """Lock the environment until somebody frees it; raises BusyError where it is locked."""
    if not message:
        raise UsageError("say why: -m 'freeze until Monday'", hint="whoever is kept out reads it")
    tool.lock.acquire(Claim(by=author(), why=message, manual=True))
    tool.display.text(f"{tool.settings.env} is locked: {message}; inv lock.release frees it")


def release(tool: Tool) -> None:
    """Free the lock, whoever has it."""
    was = tool.lock.break_()
    tool.display.text(f"freed; it was {was}" if was else "it was not locked")


def drives(holding: Holding | None, record: RolloutRecord) -> bool:
    """Tell whether a living process holds the lock for this rollout, or for the one that it takes back."""
    if holding is None or holding.expired or holding.manual:
        return False
    return holding.rollout in (record.id, record.undoes or record.id)
