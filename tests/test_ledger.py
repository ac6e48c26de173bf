"""The ledger knows, from any machine, what was rolled out, and carries words to whoever drives it."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import NOON
from hypothesis import given
from hypothesis import strategies as st
from locking import FakeS3
from objects import Objects
from records import entry, record

from shipit.errors import AwsUnavailable, DamagedError, UsageError
from shipit.history import rows
from shipit.ledger import Ledger, LostRecord, Scribe, new_id
from shipit.models import Outcome, Phase, Proof, Revision, RolloutRecord, WaveEntry

RECORD = record(id="20261120-120000-ab12", groups={"a": entry(deployments=("d-A",)), "b": entry()})


def test_a_record_is_read_back_as_it_was_written_whatever_is_in_it() -> None:
    full = replace(
        RECORD,
        waves=(WaveEntry(started_at=NOON, ended_at=NOON + timedelta(seconds=3), verified_at=NOON),),
        proof=Proof(states={"current": 3}, counted=3, converged=True, query_id="q", at=NOON),
        groups={
            **RECORD.groups,
            "c": entry(before="v1", before_revision=Revision(bucket="b", key="k", version_id="1", etag="e")),
        },
        outcome=Outcome.ROLLED_BACK,
        undone_by="r-2",
    )
    ledger = Ledger(Objects(), "test")
    ledger.open(full)
    assert ledger.latest() == ledger.read(full.id) == full


def test_an_environment_does_not_see_the_rollouts_of_another() -> None:
    store = Objects()
    Ledger(store, "production").open(RECORD)
    assert Ledger(store, "test").latest() is None
    assert Ledger(store, "test").recent() == ()


def test_an_unknown_id_is_the_users_error() -> None:
    with pytest.raises(UsageError, match="no-such"):
        Ledger(Objects(), "test").read("no-such")


@pytest.mark.parametrize("value", [{"id": "x"}, [], "text", {"groups": 3}])
def test_a_damaged_record_is_named(value: object) -> None:
    store = Objects()
    store.put_json("rollouts/test/x.json", value)
    with pytest.raises(DamagedError, match=r"rollouts/test/x\.json"):
        Ledger(store, "test").read("x")


def test_the_newest_records_come_first_and_neither_orders_nor_damage_are_among_them() -> None:
    store = Objects()
    ledger = Ledger(store, "test")
    for day in range(1, 6):
        ledger.open(replace(RECORD, id=f"2026112{day}-120000-ab12"))
    ledger.order("20261125-120000-ab12", stop="me")
    ledger.open(replace(RECORD, id="20261126-120000-ab12"))
    store.put_json("rollouts/test/20261126-120000-ab12.json", {"damaged": True})
    assert [r.id[:8] for r in ledger.recent(3)] == ["20261125", "20261124"]
    assert len(ledger.recent(50)) == 5


def test_a_record_from_before_tries_were_noted_is_read() -> None:
    store = Objects()
    ledger = Ledger(store, "test")
    ledger.open(replace(RECORD, groups={"a": entry()}))
    del store.values[f"rollouts/test/{RECORD.id}.json"]["groups"]["a"]["tries"]
    found = ledger.read(RECORD.id)
    assert found.groups["a"].tries == ()
    assert found.groups["a"].deployments == ("d-1",)


def test_ids_sort_by_time_and_differ_within_a_second() -> None:
    assert new_id(NOON).startswith("20261120-120000-")
    assert len({new_id(NOON) for _ in range(50)}) > 45


def test_two_words_at_once_are_both_kept() -> None:
    ledger = Ledger(FakeS3(), "test")  # type: ignore[arg-type]  # orders need conditional writes alone
    words = [{"stop": "me"}, {"promoted": 2}]
    threads = [threading.Thread(target=lambda w=w: ledger.order("r", **w)) for w in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = FakeS3.read_json(ledger._store, "rollouts/test/r.orders.json")  # type: ignore[arg-type]  # see above
    assert found is not None
    assert found.value == {"stop": "me", "promoted": 2}


def test_the_scribe_writes_first_and_last_whatever_came_between() -> None:
    store = Objects()
    ledger = Ledger(store, "test")
    scribe = Scribe(ledger, RECORD, warn=lambda text: None, every=0.01)
    scribe.start()
    assert ledger.latest() == RECORD
    for count in range(20):
        scribe.keep(replace(RECORD, why=str(count)))
    last = replace(RECORD, outcome=Outcome.CONVERGED)
    scribe.keep(last)
    scribe.close()
    assert ledger.read(RECORD.id) == last


def test_a_scribe_that_cannot_write_says_so_once_and_catches_up() -> None:
    store = Objects()
    ledger = Ledger(store, "test")
    heard: list[str] = []
    scribe = Scribe(ledger, RECORD, warn=heard.append, every=0.01)
    scribe.start()
    store.failing = 3
    last = replace(RECORD, why="later")
    scribe.keep(last)
    written = threading.Event()
    for _ in range(1000):
        if store.values[f"rollouts/test/{RECORD.id}.json"]["why"] == "later":
            written.set()
            break
        threading.Event().wait(0.01)
    scribe.close()
    assert written.is_set()
    assert len(heard) == 1


def test_a_scribe_whose_last_word_is_refused_says_so() -> None:
    store = Objects()
    scribe = Scribe(Ledger(store, "test"), RECORD, warn=lambda text: None, every=60)
    scribe.start()
    store.failing = 1000
    scribe.keep(replace(RECORD, why="later"))
    with pytest.raises(AwsUnavailable):
        scribe.close()


def test_a_scribe_that_leaves_writes_nothing_more() -> None:
    store = Objects()
    ledger = Ledger(store, "test")
    scribe = Scribe(ledger, RECORD, warn=lambda text: None, every=0.01)
    scribe.start()
    theirs = replace(RECORD, by="ben", outcome=Outcome.CONVERGED)
    scribe.keep(replace(RECORD, why="later"))
    scribe.leave()
    ledger.write(theirs)
    scribe.close(patience=60.0)
    assert ledger.read(RECORD.id) == theirs


def test_a_last_word_waits_for_an_s3_that_is_out_of_reach_for_a_while() -> None:
    store = Objects()
    ledger = Ledger(store, "test")
    scribe = Scribe(ledger, RECORD, warn=lambda text: None, every=0.01)
    scribe.start()
    store.failing = 6
    last = replace(RECORD, outcome=Outcome.CONVERGED)
    scribe.keep(last)
    scribe.close(patience=60.0)
    assert store.failing == 0
    assert ledger.read(RECORD.id) == last


def test_orders_reach_the_scribe() -> None:
    store = Objects()
    ledger = Ledger(store, "test")
    scribe = Scribe(ledger, RECORD, warn=lambda text: None, every=0.01)
    scribe.start()
    ledger.order(RECORD.id, stop="ada")
    for _ in range(1000):
        if scribe.orders:
            break
        threading.Event().wait(0.01)
    scribe.close()
    assert scribe.orders == {"stop": "ada"}


@given(st.sampled_from(list(Phase)), st.sampled_from(list(Outcome)), st.text(max_size=20), st.booleans())
def test_any_record_survives_the_way_to_s3_and_back(phase: Phase, outcome: Outcome, why: str, started: bool) -> None:
    at = NOON if started else None
    made: RolloutRecord = replace(
        RECORD, why=why, outcome=outcome, ended_at=at, groups={"a": entry(phase=phase, started_at=at, ended_at=at)}
    )
    ledger = Ledger(Objects(), "test")
    ledger.open(made)
    assert ledger.read(made.id) == made


@given(st.permutations(["20261120-120000-a", "20261120-115900-b", "20261120-130000-c", "20261119-000000-d"]))
def test_what_came_after_what_is_known_whatever_the_clocks_said(ids: list[str]) -> None:
    # A clock was set back; and of those who wait for the lock the last to come may be the first to get it.
    ledger = Ledger(Objects(), "test")
    for rollout_id in ids:
        ledger.open(replace(RECORD, id=rollout_id))
    ledger.write(replace(ledger.read(ids[0]), outcome=Outcome.ROLLED_BACK))
    assert [found.id for found in ledger.back()] == [r.id for r in ledger.recent()] == ids[::-1]
    assert [row["id"] for row in rows(ledger.recent()[::-1])] == ids[::-1]


def test_a_rollout_that_is_carried_on_keeps_its_place() -> None:
    ledger = Ledger(Objects(), "test")
    ledger.open(replace(RECORD, id="20261120-120000-a"))
    once = ledger.open(replace(RECORD, id="20261120-110000-b"))
    assert ledger.open(once) == once
    assert [found.id for found in ledger.back()] == ["20261120-110000-b", "20261120-120000-a"]


def test_the_way_back_begins_with_the_last_rollout_and_reads_no_more_than_it_is_asked_for() -> None:
    objects = Objects()
    ledger = Ledger(objects, "production")
    made = [record(id=f"20261120-12000{n}-ab12") for n in range(3)]
    for each in made:
        ledger.open(each)
    ledger.order(made[1].id, stop="ann")
    # One that was written by a process that died before it began is not the last.
    ledger.write(record(id="20261120-120009-ab12"))
    assert [found.id for found in ledger.back()] == [each.id for each in reversed(made)]
    back = ledger.back()
    assert next(back).id == made[2].id
    objects.failing = 1
    with pytest.raises(AwsUnavailable):
        next(back)
    assert list(Ledger(Objects(), "production").back()) == []


def test_the_way_back_never_begins_with_an_older_rollout_where_the_last_is_lost() -> None:
    objects = Objects()
    ledger = Ledger(objects, "production")
    ledger.open(record(id="20261120-120000-ab12"))
    ledger.open(record(id="20261120-120001-ab12"))
    key = "rollouts/production/20261120-120001-ab12.json"
    del objects.values[key]
    first, second = ledger.back()
    assert first == LostRecord(id="20261120-120001-ab12", why=f"{key} is lost")
    assert second.id == "20261120-120000-ab12"


@pytest.mark.parametrize("value", [{"id": "x"}, [], "text", {"groups": 3}, DamagedError("it is no JSON")])
def test_the_way_back_tells_of_a_damaged_record_in_its_place(value: object) -> None:
    objects = Objects()
    ledger = Ledger(objects, "production")
    made = [record(id=f"20261120-12000{n}-ab12") for n in range(3)]
    for each in made:
        ledger.open(each)
    objects.values[f"rollouts/production/{made[1].id}.json"] = value
    newest, lost, oldest = ledger.back()
    assert (newest.id, oldest.id) == (made[2].id, made[0].id)
    assert isinstance(lost, LostRecord)
    assert lost.id == made[1].id
    assert "JSON" in lost.why or f"{made[1].id}.json is damaged" in lost.why


@pytest.mark.parametrize("value", [None, {}, [], {"id": 3}, {"id": ""}, DamagedError("it is no JSON")])
def test_without_its_pointer_the_last_rollout_is_the_newest_on_record(value: object) -> None:
    objects = Objects()
    ledger = Ledger(objects, "production")
    for number in range(3):
        ledger.open(record(id=f"20261120-12000{number}-ab12"))
    ledger.order("20261120-120002-ab12", stop="ann")
    objects.values["rollouts/production/latest.json"] = value
    assert ledger.latest_id() == "20261120-120002-ab12"
