"""One rollout per environment at a time: one of two takers wins, a loss is noticed, nothing is held for ever."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from daemons import Sandbox, small
from hypothesis import given, settings
from hypothesis import strategies as st
from locking import KEY, FakeS3, Machine, believes

from shipit.aws.s3 import Bucket
from shipit.errors import AwsError, BusyError, LockLost, ShipitError
from shipit.lock import Claim, Held, Lock, Process, Store, ThisHost
from shipit.wiring import SystemClock


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3()


@pytest.fixture
def laptop(s3: FakeS3) -> Machine:
    return Machine(s3)


@pytest.fixture
def ci(s3: FakeS3) -> Machine:
    return Machine(s3, name="runner", machine="boot-2", pid=2)


def winners(store: Store, env: str, takers: int) -> int:
    """Let so many threads take the lock of `env` at the same instant; return how many have it."""
    gate, won, lost = threading.Barrier(takers), [], []

    def take(number: int) -> None:
        lock = Lock(store, env, clock=SystemClock())
        gate.wait()
        try:
            won.append(lock.acquire(Claim(by=f"taker {number}")))
        except BusyError as error:
            lost.append(error.message)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(takers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) + len(lost) == takers
    assert all(f"{env} is locked by taker" in message for message in lost)
    return len(won)


# Who gets it.


def test_of_two_takers_at_the_same_instant_exactly_one_wins_each_time(s3: FakeS3) -> None:
    assert Counter(winners(s3, f"env-{n}", 2) for n in range(100)) == {1: 100}


def test_of_two_takers_of_an_expired_lock_exactly_one_wins_each_time(s3: FakeS3, ci: Machine) -> None:
    for n in range(100):
        Lock(s3, f"env-{n}", clock=ci, host=ci).acquire(Claim(by="gone"))
    s3.passed += 122
    assert Counter(winners(s3, f"env-{n}", 2) for n in range(100)) == {1: 100}


def test_the_sandboxes_s3_lets_exactly_one_of_two_win_as_well(tmp_path: Path) -> None:
    sandbox = Sandbox(small(tmp_path))
    sandbox.ensure()
    try:
        client = sandbox.client("s3")
        bucket = Bucket(client, sandbox.config.bucket)
        assert Counter(winners(bucket, f"env-{n}", 2) for n in range(15)) == {1: 15}
        lock = Lock(bucket, "env-0", clock=SystemClock())
        assert lock.break_()
        with lock.acquire(Claim(by="next")) as held:
            held.renew()
            held.check()
            found = lock.holder()
            assert found
            assert (found.by, found.expired) == ("next", False)
        assert lock.holder() is None
        lost = lose_answers(client, 3)
        held = lock.acquire(Claim(by="unlucky"))
        held.renew()
        held.check()
        held.release()
        assert lock.holder() is None
        assert lost == ["200", "412"] * 3
    finally:
        sandbox.stop()


def lose_answers(client: Any, count: int) -> list[str]:
    """Let botocore send each of the next writes twice, as if the first answer had been lost; return all answers."""
    answers: list[str] = []

    def again(response: Any, attempts: int, **_: object) -> float | None:
        answers.append(str(response[0].status_code))
        return 0.0 if attempts == 1 and len(answers) < 2 * count else None

    client.meta.events.register_first("needs-retry.s3.PutObject", again)
    return answers


def test_a_lock_is_free_again_after_its_rollout_and_its_object_stays(s3: FakeS3, laptop: Machine) -> None:
    with laptop.take() as held:
        held.check()
    assert laptop.lock().holder() is None
    assert s3.value["state"] == "free"
    assert believes(laptop.take())


def test_environments_do_not_stand_in_each_others_way(s3: FakeS3, laptop: Machine) -> None:
    laptop.take()
    Lock(s3, "production", clock=laptop, host=laptop).acquire(Claim(by="ada"))
    assert set(s3.objects) == {KEY, "locks/production.json"}


def test_who_is_refused_hears_who_has_it_and_what_to_type(laptop: Machine, ci: Machine) -> None:
    laptop.take(build="v2", why="the digest bug", rollout="20261120-120000-ab12")
    with pytest.raises(BusyError) as refused:
        ci.take()
    assert refused.value.exit_code == 4
    assert refused.value.message == (
        "test is locked by ada@laptop since 2026-11-20 12:00:00 UTC: "
        'rollout 20261120-120000-ab12, build v2, "the digest bug"'
    )
    for word in ("inv watch 20261120-120000-ab12", "--lock-wait", "expires in 2 min", "inv lock.release"):
        assert word in refused.value.hint


def test_the_host_is_named_where_who_does_not_name_it(laptop: Machine, ci: Machine) -> None:
    ci.take(by="https://ci.example/runs/1")
    with pytest.raises(BusyError, match=r"by https://ci\.example/runs/1 on runner since"):
        laptop.take()


def test_the_holder_is_shown_with_all_that_it_said(s3: FakeS3, laptop: Machine, ci: Machine) -> None:
    laptop.take(build="v2", why="because", rollout="r")
    s3.passed += 30
    found = ci.lock().holder()
    assert found
    assert (found.by, found.build, found.why, found.rollout) == ("ada@laptop", "v2", "because", "r")
    assert (found.host, found.ttl, found.age, found.expired, found.manual) == ("laptop", 120, 30, False, False)


# Waiting.


def test_a_rollouts_lock_is_waited_for(laptop: Machine, ci: Machine) -> None:
    held, lines = laptop.take(), list[str]()
    ci.on_sleep = lambda count: held.release() if count == 3 else None
    assert believes(ci.lock().acquire(Claim(by="ci"), wait=600, listen=lines.append))
    assert len(ci.sleeps) == 4
    assert lines == [
        "waiting for the lock, 10 min at most: test is locked by ada@laptop since 2026-11-20 12:00:00 UTC"
    ]


def test_a_wait_ends_in_time_and_says_so_each_minute(laptop: Machine, ci: Machine) -> None:
    held, lines = laptop.take(), list[str]()
    ci.on_sleep = lambda count: held.renew()
    with pytest.raises(BusyError, match="ada@laptop"):
        ci.lock().acquire(Claim(by="ci"), wait=127, listen=lines.append)
    assert sum(ci.sleeps) == 127
    assert [line.split(" at most")[0] for line in lines] == [
        "waiting for the lock, 2 min",
        "waiting for the lock, 67 s",
        "waiting for the lock, 7 s",
    ]


def test_a_wait_tells_when_another_got_the_lock_first(laptop: Machine, ci: Machine) -> None:
    first, lines = laptop.take(), list[str]()

    def change_hands(count: int) -> None:
        if count == 1:
            first.release()
            laptop.take(by="bob@laptop")

    ci.on_sleep = change_hands
    with pytest.raises(BusyError, match="bob@laptop"):
        ci.lock().acquire(Claim(by="ci"), wait=20, listen=lines.append)
    assert ["bob@laptop" in line for line in lines] == [False, True]


def test_a_wait_outlasts_a_holder_that_died_elsewhere(laptop: Machine, ci: Machine) -> None:
    laptop.take()
    lines: list[str] = []
    ci.lock().acquire(Claim(by="ci"), wait=600, listen=lines.append)
    assert 120 <= sum(ci.sleeps) <= 130
    assert "over from one who is gone" in lines[-1]


def test_a_manual_lock_is_never_waited_out_and_does_not_expire(s3: FakeS3, laptop: Machine, ci: Machine) -> None:
    laptop.take(manual=True, why="freeze")
    laptop.gone.add(1)
    s3.passed += 10**7
    for machine in (laptop, ci):
        with pytest.raises(BusyError, match=r'locked by hand by ada@laptop since .*"freeze"') as refused:
            machine.lock().acquire(Claim(by="ci"), wait=600)
        assert machine.sleeps == []
        assert "--lock-wait" not in refused.value.hint


def test_a_wait_ends_at_once_when_the_lock_becomes_a_manual_one(laptop: Machine, ci: Machine) -> None:
    held = laptop.take()

    def freeze(count: int) -> None:
        held.release()
        laptop.take(manual=True)

    ci.on_sleep = freeze
    with pytest.raises(BusyError, match="by hand"):
        ci.lock().acquire(Claim(by="ci"), wait=600)
    assert len(ci.sleeps) == 1


# Expiry and takeover.


def test_a_lock_that_is_renewed_lasts_and_one_that_is_not_expires(s3: FakeS3, laptop: Machine, ci: Machine) -> None:
    held = laptop.take()
    for _ in range(20):
        s3.passed += 30
        held.renew()
        with pytest.raises(BusyError):
            ci.take()
    s3.passed += 122
    assert believes(ci.take())
    assert not believes(held)


@pytest.mark.parametrize("wrong", [timedelta(days=-400), timedelta(days=400)])
def test_a_clock_that_steps_changes_nothing(s3: FakeS3, laptop: Machine, ci: Machine, wrong: timedelta) -> None:
    held = laptop.take()
    s3.passed += 60
    laptop.wrong = ci.wrong = wrong
    assert believes(held)
    with pytest.raises(BusyError):
        ci.take()
    s3.passed += 62
    assert believes(ci.take())


def test_the_time_that_a_lock_lasts_is_its_holders(s3: FakeS3, laptop: Machine, ci: Machine) -> None:
    laptop.lock(ttl=1000).acquire(Claim(by="ada"))
    s3.passed += 900
    with pytest.raises(BusyError):
        ci.lock(ttl=1).acquire(Claim(by="ci"))


def test_a_holder_that_died_on_this_machine_is_not_waited_for(s3: FakeS3, laptop: Machine) -> None:
    laptop.take()
    with pytest.raises(BusyError):
        laptop.take()
    laptop.gone.add(1)
    found = laptop.lock().holder()
    assert found
    assert found.expired
    assert believes(laptop.take(by="next"))
    assert s3.passed < 1


def test_of_a_process_on_another_machine_only_the_time_tells(laptop: Machine, ci: Machine) -> None:
    laptop.take()
    ci.gone.add(1)
    with pytest.raises(BusyError):
        ci.take()


# Answers that are lost, and an S3 that fails.


def test_a_taker_whose_answer_was_lost_has_the_lock(s3: FakeS3, laptop: Machine) -> None:
    s3.faults = ["refused"]
    held = laptop.take()
    held.renew()
    assert believes(held)
    assert s3.writes == 2
    held.release()
    s3.faults = ["refused"]
    assert believes(laptop.take())


def test_a_renewal_whose_answer_was_lost_is_one(s3: FakeS3, laptop: Machine) -> None:
    held = laptop.take()
    for _ in range(10):
        s3.passed += 30
        s3.faults = ["refused"]
        held.renew()
    assert s3.writes == 11
    assert believes(held)


def test_a_renewal_that_got_through_though_it_failed_is_built_upon(s3: FakeS3, laptop: Machine) -> None:
    held = laptop.take()
    s3.faults = ["after"]
    held.renew()
    s3.passed += 80
    held.renew()
    s3.passed += 80
    assert believes(held)
    s3.faults = ["after"]
    held.renew()
    held.release()
    assert laptop.lock().holder() is None


def test_a_release_whose_answer_was_lost_frees_and_is_not_done_twice(
    s3: FakeS3, laptop: Machine, ci: Machine
) -> None:
    held = laptop.take()
    s3.faults = ["refused"]
    held.release()
    other = ci.take()
    held.release()
    assert believes(other)


def test_a_taker_hears_that_s3_is_down(s3: FakeS3, laptop: Machine) -> None:
    s3.faults = ["before"]
    with pytest.raises(AwsError, match="S3 is down"):
        laptop.take()
    s3.down = True
    with pytest.raises(AwsError, match="S3 is down"):
        laptop.take()


def test_a_release_while_s3_is_down_is_silent_and_the_lock_expires(s3: FakeS3, laptop: Machine, ci: Machine) -> None:
    with laptop.take():
        s3.down = True
    s3.down = False
    with pytest.raises(BusyError):
        ci.take()
    s3.passed += 122
    assert believes(ci.take())


def test_an_s3_that_refuses_everything_ends_in_words_and_not_in_a_loop(s3: FakeS3, laptop: Machine) -> None:
    s3.faults = ["conflict"] * 1000
    with pytest.raises(BusyError, match="too fast"):
        laptop.take()
    s3.faults = []
    held = laptop.take()
    s3.faults = ["conflict"] * 1000
    with pytest.raises(BusyError, match="too fast"):
        laptop.lock().break_()
    held.renew()
    assert believes(held)
    s3.passed += 100
    with pytest.raises(LockLost, match="S3 refuses every write"):
        held.check()


# Losing it.


def test_renewals_that_fail_are_no_loss_until_the_lock_may_soon_be_anothers(s3: FakeS3, laptop: Machine) -> None:
    held = laptop.take()
    s3.down = True
    for _ in range(2):
        s3.passed += 44
        held.renew()
        held.check()
    s3.passed += 3
    with pytest.raises(LockLost, match=r"could not be renewed for 91 s \(S3 is down\)") as lost:
        held.check()
    assert lost.value.exit_code == 4
    s3.down = False
    assert believes(held)


def test_a_machine_that_slept_and_found_its_lock_untouched_goes_on(s3: FakeS3, laptop: Machine) -> None:
    held = laptop.take()
    s3.passed += 3600
    held.check()
    s3.passed += 80
    held.check()


def test_a_lock_that_was_taken_over_is_lost_and_stays_the_others(s3: FakeS3, laptop: Machine, ci: Machine) -> None:
    held = laptop.take()
    s3.passed += 122
    other = ci.take(by="https://ci.example/runs/1")
    with pytest.raises(LockLost, match=r"taken over by https://ci\.example/runs/1"):
        held.check()
    written = s3.writes
    held.renew()
    held.release()
    held.release()
    assert s3.writes == written
    assert believes(other)


def test_a_release_that_finds_another_holder_touches_nothing(s3: FakeS3, laptop: Machine, ci: Machine) -> None:
    held = laptop.take()
    s3.passed += 122
    other = ci.take()
    written = s3.writes
    held.release()
    assert s3.writes == written
    assert believes(other)


def test_a_lock_that_was_freed_by_force_is_noticed_at_the_next_renewal(laptop: Machine, ci: Machine) -> None:
    held = laptop.take(build="v2")
    was = ci.lock().break_()
    assert was
    assert (was.by, was.build) == ("ada@laptop", "v2")
    held.renew()
    with pytest.raises(LockLost, match="freed on runner"):
        held.check()
    assert ci.lock().break_() is None


def test_a_lock_whose_object_was_deleted_is_lost(s3: FakeS3, laptop: Machine) -> None:
    held = laptop.take()
    del s3.objects[KEY]
    held.renew()
    with pytest.raises(LockLost, match="deleted or overwritten"):
        held.check()
    held.release()
    assert KEY not in s3.objects


def test_a_manual_lock_is_freed_by_force_from_anywhere(laptop: Machine, ci: Machine) -> None:
    held = laptop.take(manual=True, why="freeze")
    held.check()
    was = ci.lock().break_()
    assert was
    assert (was.manual, was.ttl) == (True, None)
    ci.take()


def test_freeing_follows_a_holder_that_renews_at_the_same_moment(s3: FakeS3, laptop: Machine, ci: Machine) -> None:
    laptop.take()
    s3.faults = ["conflict"]
    assert ci.lock().break_()
    assert ci.lock().holder() is None


def test_after_its_release_nothing_may_be_started(laptop: Machine) -> None:
    held = laptop.take()
    held.release()
    with pytest.raises(LockLost, match="given up"):
        held.check()


@pytest.mark.parametrize(
    "damage", [None, 7, {}, {"schema": 2, "state": "held"}, {"schema": 1, "state": "held", "by": "x"}]
)
def test_a_damaged_object_is_named_and_can_be_freed(s3: FakeS3, laptop: Machine, damage: object) -> None:
    s3.put(damage)
    with pytest.raises(ShipitError, match=r"locks/test\.json") as refused:
        laptop.take()
    assert "inv lock.release" in refused.value.hint
    assert laptop.lock().break_()
    assert believes(laptop.take())


# The thread.


def test_the_lock_is_renewed_by_itself_until_it_is_released(s3: FakeS3, laptop: Machine) -> None:
    lock = Lock(s3, "test", clock=laptop, ttl=0.04, host=laptop)
    with lock.acquire(Claim(by="ada")):
        until(lambda: s3.writes > 3)
    until(lambda: not renewing())
    assert s3.value["state"] == "free"


def test_trouble_neither_ends_nor_speaks_from_the_thread(laptop: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    class Broken(FakeS3):
        broken = False
        tries = 0

        def write_json(self, key: str, value: object, *, replaces: str | None) -> str | None:
            self.tries += 1
            if self.broken:
                raise RuntimeError("not what S3 raises")
            return super().write_json(key, value, replaces=replaces)

    s3 = Broken()
    with Lock(s3, "test", clock=laptop, ttl=0.04, host=laptop).acquire(Claim(by="ada")) as held:
        s3.broken = True
        until(lambda: s3.tries > 4)
        with pytest.raises(LockLost, match="not what S3 raises"):
            held.check()
        s3.broken = False
        until(lambda: believes(held))
    assert s3.value["state"] == "free"
    assert capfd.readouterr() == ("", "")


def test_a_manual_lock_has_no_thread(laptop: Machine) -> None:
    with laptop.take(manual=True):
        assert not renewing()
    assert laptop.lock().holder() is None


def renewing() -> bool:
    return any(thread.name == "lock" for thread in threading.enumerate())


def until(so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# This machine.


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
