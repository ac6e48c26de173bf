"""A new sandbox's instances are spread over its groups, all of them, small and large."""

from hypothesis import given
from hypothesis import strategies as st

from shipit.sandbox.seed import sizes


@given(st.integers(0, 3000), st.integers(1, 500))
def test_every_instance_has_a_group_and_every_group_its_share(instances: int, queues: int) -> None:
    spread = sizes(instances, queues)
    assert len(spread) == queues
    assert sum(spread) == instances
    assert min(spread) >= (1 if instances >= queues else 0)


def test_groups_differ_in_size() -> None:
    assert len(set(sizes(200, 50))) > 3


def test_even_groups_differ_by_one_instance_at_most() -> None:
    assert sizes(10, 5, even=True) == [2, 2, 2, 2, 2]
    assert sizes(8, 5, even=True) == [2, 2, 2, 1, 1]
    assert sizes(2, 5, even=True) == [1, 1, 0, 0, 0]
