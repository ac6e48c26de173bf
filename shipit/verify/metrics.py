"""Turn a verdict into the numbers that an alarm watches. Pure.

Each is published at every look, zeros too: an alarm on a number that stopped coming would stay as it was. There are
fourteen of an environment, not fourteen of a group: CloudWatch bills each by the month.
"""

from __future__ import annotations

from shipit.models import Metric, NodeState, Verification

NAMESPACE = "shipit/fleet"


def metrics(found: Verification, *, whole: bool = True) -> tuple[Metric, ...]:
    """Return the counts of a look.

    `instances` by `env` and `state`; by `env` alone `counted`, those that must be current, `not_current`, those of
    them that are not, `drift`, those that report another build, and `converged`, 1 or 0: it is 0 as well where no
    instance is there, where nothing was read, and where the look was not at the `whole` fleet.
    """
    env = {"env": found.env}
    current = found.count(NodeState.CURRENT)
    return (
        *(
            Metric(name="instances", dimensions={**env, "state": state.value}, value=found.count(state))
            for state in NodeState
        ),
        Metric(name="counted", dimensions=env, value=found.counted),
        Metric(name="not_current", dimensions=env, value=found.counted - current),
        Metric(name="drift", dimensions=env, value=sum(node.state.is_drift for node in found.nodes)),
        Metric(name="converged", dimensions=env, value=int(found.converged and whole)),
    )
