"""A rollout starts every group once, tells every change once, and never reports better than it is."""

import time
from collections import Counter
from collections.abc import Callable

import pytest
from fakes import NOON, FakeClock, FakeDeployer, deployment, group, published
from hypothesis import given
from hypothesis import strategies as st

from shipit.errors import AwsError, AwsUnavailable, GroupBusy, Interrupted
from shipit.events import Event, GroupEnded, GroupStarted, Notice, RolloutFinished
from shipit.models import Action, Overview, Phase, PlannedGroup, RolloutPlan
from shipit.rollout import GroupState, Observed, RolloutResult, RolloutState, advance, begin, roll_out


def plan_of(*names: str) -> RolloutPlan:
    groups = tuple(PlannedGroup(group=group(n), action=Action.DEPLOY, reason="") for n in names)
    return RolloutPlan(id="r-1", env="test", published=published(), groups=groups, deployment_config="AllAtOnce")


class Settling(FakeClock):
    """A clock whose sleep gives the creating threads a moment, so that looks and creations interleave."""

    def sleep(self, seconds: float) -> None:
        time.sleep(0.002)
        super().sleep(seconds)


def run(
    plan: RolloutPlan,
    deployer: FakeDeployer,
    *,
    on_sleep: Callable[[int], None] = lambda count: None,
    timeout: float = 3600,
    started: dict[str, str] | None = None,
) -> tuple[RolloutResult, list[Event]]:
    events: list[Event] = []
    result = roll_out(
        plan,
        deployer,
        clock=Settling(on_sleep),
        listen=events.append,
        poll=2,
        timeout=timeout,
        description="shipit r-1",
        started=started,
    )
    return result, events


def test_all_groups_are_created_once_and_end() -> None:
    deployer = FakeDeployer()
    result, events = run(plan_of("a", "b", "c"), deployer)
    assert deployer.created == Counter(a=1, b=1, c=1)
    assert result.count(Phase.SUCCEEDED) == 3
    assert [type(e) for e in events].count(GroupEnded) == 3
    assert isinstance(events[-1], RolloutFinished)


def test_a_failed_group_does_not_stop_the_others_and_keeps_its_reason() -> None:
    failed = deployment("b", "v2", "Failed", error_code="HEALTH_CONSTRAINTS", error_message="too many")
    result, _ = run(plan_of("a", "b"), FakeDeployer(outcome={"b": failed}))
    assert {n: g.phase for n, g in result.groups.items()} == {"a": Phase.SUCCEEDED, "b": Phase.FAILED}
    assert result.groups["b"].error_message == "too many"


def test_a_success_with_skipped_targets_is_partial() -> None:
    hidden = deployment("a", "v2", overview=Overview(succeeded=1, skipped=1))
    result, _ = run(plan_of("a"), FakeDeployer(outcome={"a": hidden}))
    assert result.groups["a"].phase is Phase.PARTIAL


def test_a_group_that_cannot_be_created_fails_and_says_why() -> None:
    result, events = run(plan_of("a", "b"), FakeDeployer(refuse={"a": AwsError("denied")}))
    assert result.groups["a"].phase is Phase.FAILED
    assert [e.error_message for e in events if isinstance(e, GroupEnded) and e.group == "a"] == ["denied"]
    assert result.groups["b"].phase is Phase.SUCCEEDED


def test_a_group_held_by_our_own_lost_creation_is_adopted() -> None:
    deployer = FakeDeployer(refuse={"a": GroupBusy("a", "d-A")})
    deployer.held["d-A"] = deployment("a", "v2", description="shipit r-1")
    result, events = run(plan_of("a"), deployer)
    assert result.groups["a"].phase is Phase.SUCCEEDED
    assert [e.deployment_id for e in events if isinstance(e, GroupStarted)] == ["d-A"]


def test_a_group_held_by_somebody_else_is_not_adopted() -> None:
    deployer = FakeDeployer(refuse={"a": GroupBusy("a", "d-X")})
    deployer.held["d-X"] = deployment("a", "v2", "InProgress", description="shipit r-2")
    result, _ = run(plan_of("a"), deployer)
    assert (result.groups["a"].phase, result.groups["a"].error_code) == (Phase.FAILED, "BUSY")


def test_a_throttled_poll_is_a_notice_and_never_a_verdict() -> None:
    deployer = FakeDeployer(failing_polls=[AwsUnavailable("throttled"), AwsUnavailable("reset")])
    result, events = run(plan_of("a"), deployer)
    assert result.groups["a"].phase is Phase.SUCCEEDED
    assert sum(isinstance(e, Notice) and e.warning for e in events) == 2


def test_the_deadline_is_not_a_failure() -> None:
    result, _ = run(plan_of("a", "b"), FakeDeployer(looks={"b": 10_000}), timeout=20)
    assert result.timed_out
    assert {n: g.phase for n, g in result.groups.items()} == {"a": Phase.SUCCEEDED, "b": Phase.RUNNING}


def test_ctrl_c_leaves_the_deployments_running_and_says_how_to_watch() -> None:
    def press(sleeps: int) -> None:
        if sleeps == 3:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        run(plan_of("a", "b"), FakeDeployer(looks={"a": 10_000, "b": 10_000}), on_sleep=press)
    assert "2 deployments go on" in caught.value.message
    assert "inv watch r-1" in caught.value.hint


def test_watching_creates_nothing() -> None:
    deployer = FakeDeployer()
    result, _ = run(plan_of("a", "b"), deployer, started={"a": "d-A", "b": "d-B"})
    assert not deployer.created
    assert result.count(Phase.SUCCEEDED) == 2


def test_a_defect_in_a_creating_thread_fails_its_group_instead_of_hanging() -> None:
    class Broken(FakeDeployer):
        def create(self, group: str, *args: object, **kwargs: object) -> str:
            raise RuntimeError("surprise")

    result, _ = run(plan_of("a"), Broken())
    assert result.groups["a"].phase is Phase.FAILED
    assert "surprise" in result.groups["a"].error_message


STATUSES = st.sampled_from(["Created", "Queued", "InProgress", "Succeeded", "Failed", "Stopped"])
SEEN = st.builds(
    lambda name, status, skipped: deployment(name, "v2", status, overview=Overview(succeeded=1, skipped=skipped)),
    st.sampled_from("abc"),
    STATUSES,
    st.integers(0, 1),
)
TICKS = st.lists(
    st.builds(
        lambda created, refused, seen: Observed(
            created={n: f"d-{n.upper()}" for n in created},
            refused={n: AwsError("no") for n in refused},
            deployments={d.id: d for d in seen},
        ),
        st.sets(st.sampled_from("abc")),
        st.sets(st.sampled_from("abc"), max_size=1),
        st.lists(SEEN, max_size=3),
    ),
    max_size=12,
)


@given(TICKS)
def test_no_history_loses_a_group_ends_one_twice_or_calls_a_partial_success_whole(ticks: list[Observed]) -> None:
    state: RolloutState = begin(plan_of("a", "b", "c"))
    ended: Counter[str] = Counter()
    started: Counter[str] = Counter()
    for tick in ticks:
        before: dict[str, GroupState] = dict(state.groups)
        state, events = advance(state, tick, NOON)
        ended.update(e.group for e in events if isinstance(e, GroupEnded))
        started.update(e.group for e in events if isinstance(e, GroupStarted))
        assert all(state.groups[n] == g for n, g in before.items() if g.phase.ended)
        for name, now in state.groups.items():
            if now.phase is Phase.SUCCEEDED:
                assert not now.overview.failed
                assert not now.overview.skipped
            assert (name in started) == bool(now.deployment_id)
    assert sorted(state.groups) == ["a", "b", "c"]
    assert all(count == 1 for counter in (ended, started) for count in counter.values())
    assert {n for n, g in state.groups.items() if g.phase.ended} == set(ended)
