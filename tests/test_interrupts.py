"""A signal that comes in the middle of something is heeded at its end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest

from shipit.interrupts import held_back, last_words


def _receive(number: signal.Signals, then: Callable[[str], object]) -> None:
    with held_back():
        signal.raise_signal(number)
        then("the rest of the block")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_heeded_at_the_end_of_the_block(number: signal.Signals) -> None:
    before = signal.signal(number, lambda *_: pytest.fail("heeded in the middle"))
    done: list[str] = []
    try:
        with pytest.raises(KeyboardInterrupt):
            _receive(number, done.append)
        assert done
        assert callable(signal.getsignal(number))
    finally:
        signal.signal(number, before)


def test_a_block_that_fails_by_itself_fails_for_its_own_reason() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError):
        _receive(signal.SIGINT, lambda text: 1 / 0)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with held_back():
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_is_left_alone() -> None:
    ended = []

    def run() -> None:
        with held_back():
            ended.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert ended == [before]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_last_words_are_said_whatever_signals_come(number: signal.Signals) -> None:
    before = signal.signal(number, lambda *_: pytest.fail("heeded"))
    meanwhile = threading.Event()
    said = []

    def say() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, number)
        meanwhile.wait(0.05)
        said.append("it is over")

    try:
        assert last_words(say, seconds=60)
        assert said
    finally:
        signal.signal(number, before)


def test_last_words_that_fail_say_why() -> None:
    with pytest.raises(ZeroDivisionError):
        last_words(lambda: 1 / 0, seconds=60)


def test_nobody_waits_for_ever_for_last_words() -> None:
    release = threading.Event()
    assert not last_words(release.wait, seconds=0.01)
    release.set()
