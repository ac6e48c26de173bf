"""Compare what instances report with who is in the fleet, and each group with the build that it is expected to run.

    expect.py    Which build each group is expected to run, from the records of past rollouts (pure).
    judge.py     Each instance gets exactly one state (pure).
    steps.py     What to type, or to look at, for one instance (pure).
    wait.py      Look until the fleet has converged, at a cadence that costs little.
    metrics.py   The numbers that an alarm watches (pure).
    outcome.py   What a verdict ends a command with (pure).

Membership comes from Auto Scaling, for Athena cannot tell a terminated instance from a silent one (reference
athena.md, "What decides the design"). Doubt never counts as success: what is not proved current is something else.
"""

from shipit.verify.expect import Expected, expect
from shipit.verify.judge import Expectation, judge
from shipit.verify.metrics import NAMESPACE, metrics
from shipit.verify.outcome import outcome
from shipit.verify.wait import FleetSource, ReportSource, verify

__all__ = [
    "NAMESPACE",
    "Expectation",
    "Expected",
    "FleetSource",
    "ReportSource",
    "expect",
    "judge",
    "metrics",
    "outcome",
    "verify",
]
