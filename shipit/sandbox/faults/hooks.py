"""The ways in which a hook goes wrong: a script around the real one, or what a scripted instance answers."""

from __future__ import annotations

from dataclasses import dataclass

from shipit.models import EventStatus
from shipit.sandbox.agents import Outcome, script_failure
from shipit.sandbox.faults.catalogue import CHILD, EXIT, FLOOD, HANG, SLOW

#: Seconds that a hook has which names no timeout (reference codedeploy.md, section 2), of the sandbox's clock.
_LONGEST = 3600.0

_LINE = "flood: " + "x" * 92
_SCRIPT = "scripts/hook.sh"


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Say how a hook goes wrong: `seconds` of `slow`, exit `status` of `exit` and `flood`."""

    how: str
    seconds: float = 0.0
    status: int = 1

    @property
    def wrapper(self) -> tuple[str, ...]:
        """Return the words that start the real script, or something in its place; its path comes behind them."""
        end = f"exit {self.status}" if self.status else 'exec "$1"'
        scripts = {
            HANG: "exec sleep 86400",
            EXIT: f"echo 'the sandbox was told to let this hook fail' >&2; exit {self.status}",
            FLOOD: f"yes '{_LINE}' | head -c 10000000; {end}",
            # What a start script does that forgets to redirect a daemon's streams: it ends, the pipe stays open.
            CHILD: 'sleep 86400 & exec "$1"',
            SLOW: f'sleep {self.seconds}; exec "$1"',
        }
        return ("/bin/sh", "-c", scripts[self.how], "trouble")

    @property
    def scripted(self) -> tuple[float, Outcome | None]:
        """Return after how many seconds of the clock a scripted instance answers what; None is never.

        Not for `slow`, after which it does what it would have done.
        """
        if self.how == HANG:
            return 0.0, None
        if self.how == CHILD:
            message = f"Script at specified location: {_SCRIPT} failed to close STDOUT"
            broken = Outcome(
                status=EventStatus.FAILED, error_code="UnknownError", script=_SCRIPT, message=message, log_tail=""
            )
            return _LONGEST - 1, broken
        if self.status == 0:
            return 1.0, Outcome(status=EventStatus.SUCCEEDED)
        told = (
            f"[stdout]{_LINE}\n" * 18 if self.how == FLOOD else "[stderr]the sandbox was told to let this hook fail\n"
        )
        message = f"Script at specified location: {_SCRIPT} failed with exit code {self.status}"
        return 1.0, script_failure(_SCRIPT, told, message)
