"""What the metadata service says decides whether an instance leaves, why, and how long a drain may take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shipit_instance.leaving import REBALANCE, SCALE_IN, SPOT, Leaving, Seen, Stages, decide, seconds_left, stages

WALL = 1_795_354_000.0  # 2026-11-22T13:26:40Z
NOTICE = '{"action": "terminate", "time": "2026-11-22T13:28:40Z"}'
USUAL = Stages(wait=11.5, grace=60.0, cold=20.0)


def seen(
    spot: str | None = "", target: str | None = "InService", rebalance: str | None = "", wall: float = WALL
) -> Seen:
    return Seen(spot, target, rebalance, wall)


def decided(before: Leaving | None, now_seen: Seen, now: float = 50.0, *, heed: bool = False) -> Leaving | None:
    return decide(before, now_seen, now, heed_rebalance=heed)


def test_nothing_special_is_no_leaving() -> None:
    assert decided(None, seen()) is None
    assert decided(None, seen(target="")) is None, "not in a group"


def test_a_notice_ends_the_instance_at_its_time() -> None:
    assert decided(None, seen(NOTICE)) == Leaving(SPOT, 170.0, NOTICE)


def test_the_end_stays_where_it_was_when_the_clock_is_set() -> None:
    first = decided(None, seen(NOTICE))
    assert decided(first, seen(NOTICE, wall=WALL + 3600), now=55.0) is first
    assert decided(first, seen(NOTICE, wall=WALL - 3600), now=55.0) is first


def test_another_notice_is_another_end() -> None:
    sooner = NOTICE.replace("28:40", "27:40")
    assert decided(Leaving(SPOT, 170.0, NOTICE), seen(sooner)) == Leaving(SPOT, 110.0, sooner)


@pytest.mark.parametrize(
    ("wall", "left"), [(WALL, 120.0), (WALL + 100, 20.0), (WALL + 500, 0.0), (WALL - 86_400, 120.0)]
)
def test_a_clock_that_is_wrong_makes_a_notice_neither_long_nor_negative(wall: float, left: float) -> None:
    assert seconds_left(NOTICE, wall) == left


@pytest.mark.parametrize("text", ["{}", "soon", "[]", '{"time": null}', '{"time": "2026-11-22"}', "null", '""'])
def test_a_notice_that_cannot_be_read_is_heeded_all_the_same(text: str) -> None:
    assert decided(None, seen(text)) == Leaving(SPOT, 80.0, text)


@pytest.mark.parametrize("target", ["Terminated", "Warmed:Terminated"])
def test_a_scale_in_has_no_end_of_its_own(target: str) -> None:
    assert decided(None, seen(target=target)) == Leaving(SCALE_IN)


@pytest.mark.parametrize("target", ["Standby", "Detached", "Warmed:Stopped", "InService"])
def test_other_states_of_the_group_are_no_scale_in(target: str) -> None:
    assert decided(None, seen(target=target)) is None


def test_a_notice_overtakes_a_scale_in_and_not_the_other_way() -> None:
    assert decided(Leaving(SCALE_IN), seen(NOTICE, "Terminated")) == Leaving(SPOT, 170.0, NOTICE)
    spot = Leaving(SPOT, 170.0, NOTICE)
    assert decided(spot, seen(NOTICE, "Terminated")) is spot


def test_a_recommendation_is_heeded_only_where_the_setting_says_so() -> None:
    recommended = seen(rebalance='{"noticeTime": "2026-11-22T13:26:00Z"}')
    assert decided(None, recommended) is None
    assert decided(None, recommended, heed=True) == Leaving(REBALANCE)
    assert decided(Leaving(REBALANCE), seen(target="Terminated"), heed=True) == Leaving(SCALE_IN)


@pytest.mark.parametrize("before", [None, Leaving(SPOT, 170.0, NOTICE), Leaving(SCALE_IN), Leaving(REBALANCE)])
def test_what_cannot_be_seen_stays_as_it_was(before: Leaving | None) -> None:
    assert decided(before, seen(None, None, None), heed=True) == before


@pytest.mark.parametrize("before", [Leaving(SPOT, 170.0, NOTICE), Leaving(SCALE_IN), Leaving(REBALANCE)])
def test_a_reason_that_is_gone_for_sure_is_gone(before: Leaving) -> None:
    assert decided(before, seen(), heed=True) is None


def test_without_an_end_a_drain_takes_what_it_usually_may() -> None:
    assert stages(Leaving(SCALE_IN), 0.0, margin=10, usual=USUAL) == USUAL


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (120, Stages(11.5, 60.0, 20.0)),  # all of it fits
        (60, Stages(11.5, 26.0, 12.5)),  # tasks get what is left
        (20, Stages(7.0, 0.0, 3.0)),  # no time for tasks: stop polling, then give back
        (12, Stages(0.0, 0.0, 3.0)),
        (5, Stages(0.0, 0.0, 3.0)),  # the margin is all there is
        (2, Stages(0.0, 0.0, 2.0)),
        (0, Stages(0.0, 0.0, 0.0)),
    ],
)
def test_a_drain_ends_before_the_instance_and_keeps_time_to_give_messages_back(left: float, expected: Stages) -> None:
    assert stages(Leaving(SPOT, 1000.0 + left), 1000.0, margin=10, usual=USUAL) == expected


TIMES = st.floats(0, 500)


@given(TIMES, TIMES, st.builds(Stages, TIMES, TIMES, TIMES), TIMES)
def test_no_drain_outlasts_its_end_or_what_it_usually_may(
    left: float, margin: float, usual: Stages, now: float
) -> None:
    found = stages(Leaving(SPOT, now + left), now, margin=margin, usual=usual)
    assert 0 <= found.wait <= usual.wait
    assert 0 <= found.grace <= usual.grace
    assert 0 <= found.cold <= usual.cold
    assert found.wait + found.grace + found.cold <= max(left - margin, min(left, 3.0)) + 1e-6
    assert found.cold >= min(usual.cold, left, 3.0) - 1e-6


WORDS = st.sampled_from([None, "", NOTICE, "x", "Terminated", "InService"])


@given(st.lists(st.builds(Seen, WORDS, WORDS, WORDS, st.floats(0, 4e9)), max_size=8), st.booleans())
def test_whatever_is_seen_an_end_never_moves_away_under_the_same_notice(looks: list[Seen], heed: bool) -> None:
    leaving: Leaving | None = None
    for now, look in enumerate(looks):
        after = decide(leaving, look, float(now), heed_rebalance=heed)
        if leaving and after and leaving.notice and after.notice == leaving.notice:
            assert after.ends_at == leaving.ends_at
        leaving = after
