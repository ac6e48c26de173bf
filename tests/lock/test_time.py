"""Who is known to be gone, and that whoever checked has time left."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from locking import KEY, FakeS3, Machine, believes, until

from shipit.errors import AwsError, BusyError
from shipit.lock import Claim, Held, Process, ThisHost


def test_a_process_of_this_machine_is_alive_until_it_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        here, there = ThisHost(), seen(child.pid)
        assert not here.has_ended(here.me())
        assert not here.has_ended(there)
        assert not here.has_ended(changed(there, start=""))
        assert here.has_ended(changed(there, start="1"))
        child.kill()
        # Before its parent has collected it, and after.
        until(lambda: here.has_ended(there))
        child.wait()
        assert here.has_ended(there)


@pytest.mark.parametrize("other", [{"host": "elsewhere"}, {"machine": "another boot"}, {"machine": ""}])
def test_a_process_of_another_machine_boot_or_container_is_never_known_to_be_gone(other: dict[str, str]) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    there = seen(gone.pid)
    gone.wait()
    assert ThisHost().has_ended(there)
    assert not ThisHost().has_ended(changed(there, **other))


def seen(pid: int) -> Process:
    """Return a process of this machine as it would name itself."""
    start = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    me = ThisHost().me()
    return Process(host=me.host, machine=me.machine, pid=pid, start=start)


def changed(process: Process, **fields: str) -> Process:
    return Process(**{**vars(process), **fields})


# Any interleaving, and any moment.

#: Short, and no whole number: what S3's whole seconds, and requests that take their time, may spoil is within reach.
TTL = 4.5


@pytest.mark.parametrize("renewed", [False, True])
@pytest.mark.parametrize("slow", [0.0, 0.5, 1.25, 2.5])
@pytest.mark.parametrize("start", [0.0, 0.25, 0.5, 0.75])
def test_what_is_begun_upon_a_check_has_a_quarter_of_the_ttl_before_another_can_take_the_lock(
    start: float, slow: float, renewed: bool
) -> None:
    s3 = FakeS3(passed=start, faults=["ok", slow] if renewed else [slow])
    held = Machine(s3).lock(TTL).acquire(Claim(by="ada"))
    if renewed:
        held.renew()
    s3.faults = ["before"] * 100
    sure, looks = s3.passed - slow, Machine(s3, name="runner").lock(TTL)
    while not (seen := looks.holder()) or not seen.expired:
        if believes(held):
            sure = s3.passed
        s3.passed += 0.25
    assert s3.passed - sure >= TTL / 4
    assert not believes(held)


MOVES = st.tuples(
    st.sampled_from(["take", "take", "renew", "release", "die", "step"]),
    st.integers(0, 2),
    st.sampled_from([0.0, 0.25, 0.75, 1.25, 2.75, 3.25, 5.5]),
)
FAULTS = st.lists(
    st.sampled_from(["ok", "ok", "before", "after", "refused", "conflict", 0.5, 1.25, 2.5]), max_size=12
)


@given(moves=st.lists(MOVES, min_size=10, max_size=40), faults=FAULTS, shared=st.booleans())
@settings(max_examples=400, deadline=None)
def test_in_no_interleaving_two_have_the_lock_and_who_checked_has_time_left(
    moves: list[tuple[str, int, float]], faults: list[str | float], shared: bool
) -> None:
    s3 = FakeS3(faults=list(faults))
    gone: set[int] = set()
    machines = [
        Machine(s3, name="one" if shared else f"host-{n}", machine="boot", pid=n, gone=gone) for n in range(3)
    ]
    having: dict[int, Held] = {}
    sure: dict[int, float] = {}
    for move, who, seconds in moves:
        s3.passed += seconds
        if move == "step":
            machines[who].wrong += timedelta(days=100)
        elif move == "take" and who not in sure:
            try:
                having[who] = machines[who].lock(TTL).acquire(Claim(by=str(who)))
            except (BusyError, AwsError):
                continue
            # From when it was written on it is another's.
            assert all(s3.objects[KEY][2] - checked >= TTL / 4 for checked in sure.values())
        elif who in having and move == "renew":
            having[who].renew()
        elif who in having and move == "release":
            having.pop(who).release()
        elif who in having and move == "die":
            # A process that has died is gone for good; the next of this party has another pid.
            having.pop(who)
            gone.add(machines[who].pid)
            machines[who].pid += 3
        # Who missed renewals asks S3 now; the faults are kept for the moves.
        pending, s3.faults = s3.faults, []
        believing = [n for n, held in having.items() if believes(held)]
        s3.faults = pending
        assert len(believing) <= 1
        sure = dict.fromkeys(believing, s3.passed)
