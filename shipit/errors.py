"""The error tree, one exit code per class.

ShipitError (1)
├── DamagedError (1)        an object of ours in S3 holds something else: what it said is lost
├── UsageError (2)          a flag, a setting or a file of the user's is wrong
├── DriftError (3)          the fleet is mixed, or part of it is unseen
├── BusyError (4)           a lock or a deployment of somebody else is in the way
│   ├── GroupBusy (4)       …in one group: names the deployment that holds it
│   ├── AccountFull (4)     …in the account: it takes no more deployments at once
│   └── LockLost (4)        our lock is, or may be, somebody else's by now
├── PreflightError (5)      refused before anything was changed
├── StillRunning (6)        our patience ended, the work did not
├── AwsError (7)            AWS refused
│   ├── GroupsRefused (7)   …the deployments of all groups that failed: no build is to blame
│   ├── AwsLoggedOut (7)    the credentials are missing or have expired: nothing was carried out
│   └── AwsUnavailable (7)  AWS is out of reach: it may pass, and the call may have been carried out
│       └── AwsThrottled (7)  AWS refused for the rate alone: nothing was carried out
└── Interrupted (130)       Ctrl-C
"""

from __future__ import annotations


class ShipitError(Exception):
    """Say what went wrong, where, and what to do next; exit 1 (failed)."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep `message` (what and where) and `hint` (what to do next), one line each."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class DamagedError(ShipitError):
    """Report an object of ours in S3 that holds something else, so that what it said is lost; exit 1."""


class UsageError(ShipitError):
    """Refuse a flag, a setting or a file that is wrong; exit 2."""

    exit_code = 2


class DriftError(ShipitError):
    """Report a fleet that is mixed or partly unseen; exit 3."""

    exit_code = 3


class BusyError(ShipitError):
    """Report a lock or a running deployment of somebody else; exit 4."""

    exit_code = 4


class GroupBusy(BusyError):
    """Report that a group has an active deployment, `holder_id`; exit 4."""

    def __init__(self, group: str, holder_id: str) -> None:
        """Name the group and the deployment in its way."""
        super().__init__(
            f"{group}: deployment {holder_id} is still running there",
            hint="wait for it to end, then deploy again: groups that are current are left alone",
        )
        self.group = group
        self.holder_id = holder_id


class AccountFull(BusyError):
    """Report that the account takes no more deployments at once; exit 4."""


class LockLost(BusyError):
    """Report that a lock we held was taken or freed by somebody else, or could not be renewed in time; exit 4."""


class PreflightError(ShipitError):
    """Refuse before anything was changed; exit 5."""

    exit_code = 5


class StillRunning(ShipitError):
    """Report that the wait ended before the work did; exit 6. It is not a failure."""

    exit_code = 6


class AwsError(ShipitError):
    """Report that AWS refused; exit 7."""

    exit_code = 7


class AwsLoggedOut(AwsError):
    """Report that the credentials are missing or have expired; exit 7. Nothing was carried out."""


class GroupsRefused(AwsError):
    """Report a rollout that is over, and of which AWS refused every deployment that is missing; exit 7."""


class AwsUnavailable(AwsError):
    """Report that AWS is out of reach after all retries; exit 7. A later try may succeed."""


class AwsThrottled(AwsUnavailable):
    """Report that AWS refused a call for the rate alone; exit 7. Nothing was carried out."""


class Interrupted(ShipitError):
    """Report Ctrl-C, and what goes on without us; exit 130."""

    exit_code = 130
