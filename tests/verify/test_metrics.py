"""The numbers for alarms: each state, zeros too, and nothing that was not checked counts as converged."""

from __future__ import annotations

from fakes import NOON
from hypothesis import given
from hypothesis import strategies as st

from shipit.models import Node, NodeState, QueryCost, Verification
from shipit.verify import metrics


def found(*states: NodeState, scanned: int = 500) -> Verification:
    nodes = tuple(Node(instance_id=f"i-{n}", group="g", queue="q", state=s) for n, s in enumerate(states))
    return Verification(env="prod", build="v2", nodes=nodes, cost=QueryCost(scanned=scanned), at=NOON)


def told(look: Verification, *, whole: bool = True) -> dict[str, int]:
    """Return the numbers by name, those of a state by its own."""
    numbers = metrics(look, whole=whole)
    assert all(m.dimensions["env"] == "prod" for m in numbers)
    return {m.dimensions.get("state", m.name): m.value for m in numbers}


def test_every_state_is_counted_also_those_that_nobody_is_in() -> None:
    numbers = told(found(NodeState.CURRENT, NodeState.OUTDATED, NodeState.OUTDATED, NodeState.DEPARTED))
    assert numbers.pop("current") == 1
    assert numbers.pop("outdated") == 2
    assert numbers.pop("departed") == 1
    assert numbers.pop("counted") == 3
    assert numbers.pop("not_current") == 2
    assert numbers.pop("drift") == 2
    assert numbers == {
        **dict.fromkeys(("restart-needed", "wrong-digest", "unknown-build", "stale", "silent"), 0),
        **dict.fromkeys(("starting", "leaving", "converged"), 0),
    }


def test_what_was_not_checked_never_counts_as_converged() -> None:
    assert told(found(NodeState.CURRENT))["converged"] == 1
    assert told(found())["converged"] == 0
    assert told(found(NodeState.DEPARTED))["converged"] == 0
    assert told(found(NodeState.CURRENT, scanned=0))["converged"] == 0
    assert told(found(NodeState.CURRENT), whole=False)["converged"] == 0


@given(states=st.lists(st.sampled_from(NodeState)))
def test_the_states_add_up_to_all_and_converged_is_said_only_of_a_fleet_that_is(states: list[NodeState]) -> None:
    look = found(*states)
    numbers = told(look)
    assert sum(numbers[state.value] for state in NodeState) == len(states)
    assert numbers["counted"] - numbers["not_current"] == numbers["current"]
    assert numbers["drift"] == sum(state.is_drift for state in states)
    assert numbers["converged"] == int(look.converged)
