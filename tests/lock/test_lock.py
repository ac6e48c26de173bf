"""One rollout per environment at a time: one of two takers wins, waits end, nothing is held for ever."""

import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from daemons import Sandbox, small
from locking import KEY, FakeS3, Machine, believes

from shipit.aws.s3 import Bucket
from shipit.errors import BusyError
from shipit.lock import Claim, Lock, Store
from shipit.wiring import SystemClock


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
