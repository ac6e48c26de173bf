"""What stands in a record for the end of a rollout: its outcome, and what the reports proved. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from shipit.errors import AwsError, BusyError, DriftError, GroupsRefused, Interrupted, ShipitError, StillRunning
from shipit.models import NodeState, Outcome, Proof, Verification


def proof_of(found: Sequence[Verification]) -> Proof:
    """Return what several looks at parts of a fleet proved together."""
    counts = {state.value: sum(f.count(state) for f in found) for state in NodeState}
    return Proof(
        states={state: count for state, count in counts.items() if count},
        counted=sum(f.counted for f in found),
        converged=all(f.converged for f in found),
        query_id=", ".join(f.cost.query_id for f in found),
        at=found[-1].at,
    )


def outcome_of(ended: ShipitError | None, *, proved: bool, stopped: bool) -> Outcome:
    """Return how a rollout ended: by what it raised, whether it was to be `proved`, whether somebody `stopped` it."""
    if ended is None:
        return Outcome.CONVERGED if proved else Outcome.DEPLOYED
    if stopped:
        return Outcome.STOPPED
    for kind, outcome in (
        (Interrupted, Outcome.INTERRUPTED),
        (StillRunning, Outcome.TIMED_OUT),
        (BusyError, Outcome.BUSY),
        (DriftError, Outcome.DRIFTED),
        (GroupsRefused, Outcome.REFUSED),
        (AwsError, Outcome.INTERRUPTED),
    ):
        if isinstance(ended, kind):
            return outcome
    return Outcome.FAILED
