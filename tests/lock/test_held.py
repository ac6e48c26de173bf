"""A lock that is held: answers that are lost, its loss, its end, and the thread that renews it."""

import threading

import pytest
from locking import KEY, FakeS3, Machine, believes, until

from shipit.errors import AwsError, BusyError, LockLost, ShipitError
from shipit.lock import Claim, Lock


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


# This machine.
