"""The sandbox's time: order, speed, cancelling, and a thread that survives bad callbacks."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.sandbox.clock import Clock, ManualClock


@pytest.fixture
def fast() -> Iterator[Clock]:
    clock = Clock(factor=3600)
    yield clock
    clock.close()


def test_an_hour_passes_in_a_second_at_factor_3600(fast: Clock) -> None:
    began, rang = fast.now(), threading.Event()
    fast.call_later(3600, rang.set)
    assert rang.wait(10)
    assert fast.now() - began >= 3600


def test_a_nearer_callback_overtakes_one_that_the_thread_already_waits_for(fast: Clock) -> None:
    rang = threading.Event()
    fast.call_later(36_000_000, lambda: None)
    fast.call_later(60, rang.set)
    assert rang.wait(10)


def test_a_callback_that_raises_does_not_stop_the_clock(fast: Clock) -> None:
    def fail() -> None:
        raise RuntimeError("on purpose")

    rang = threading.Event()
    fast.call_later(0, fail)
    fast.call_later(0, rang.set)
    assert rang.wait(10)


def test_a_clock_may_be_closed_from_its_own_thread() -> None:
    clock, closed = Clock(), threading.Event()

    def close() -> None:
        clock.close()
        closed.set()

    clock.call_later(0, close)
    assert closed.wait(10)


def test_sleep_takes_the_sandbox_s_seconds(fast: Clock) -> None:
    began = fast.now()
    fast.sleep(100)
    assert fast.now() - began >= 100


@pytest.mark.parametrize("factor", [0, -1])
def test_a_clock_that_stands_or_runs_backwards_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Clock(factor)


def test_callbacks_of_one_moment_run_in_the_order_they_were_asked_for() -> None:
    clock, ran = ManualClock(), list[int]()
    for number in range(5):
        clock.call_later(1, lambda number=number: ran.append(number))
    clock.advance(1)
    assert ran == [0, 1, 2, 3, 4]


def test_a_callback_sees_its_own_time_and_may_ask_for_more() -> None:
    clock, seen = ManualClock(0), list[float]()

    def tick() -> None:
        seen.append(clock.now())
        clock.call_later(10, tick)

    clock.call_later(10, tick)
    clock.advance(35)
    assert (seen, clock.now()) == ([10, 20, 30], 35)


@given(st.lists(st.tuples(st.floats(0, 1000), st.booleans()), max_size=600))
def test_what_is_cancelled_never_runs_and_all_else_does_in_order(entries: list[tuple[float, bool]]) -> None:
    clock, ran = ManualClock(0), list[float]()
    handles = [clock.call_later(at, lambda at=at: ran.append(at)) for at, _ in entries]
    for handle, (_, cancelled) in zip(handles, entries, strict=True):
        if cancelled:
            handle.cancel()
            handle.cancel()
    clock.run()
    assert ran == sorted(at for at, cancelled in entries if not cancelled)
    for handle in handles:
        handle.cancel()
    assert clock.call_later(1, lambda: None) is not None
