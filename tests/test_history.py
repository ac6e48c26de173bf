"""Past rollouts tell where a rollback goes, and what was brought when by whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import entry, record

from shipit.history import previous_good, rows
from shipit.models import Outcome, Phase, RolloutRecord


def found(records: list[RolloutRecord], running: str) -> str:
    record = previous_good(records, running)
    return record.id if record else ""


def test_a_rollback_goes_to_the_newest_good_build_that_is_not_the_running_one() -> None:
    records = [record("v1", minute=1), record("v2", minute=2), record("v3", minute=3), record("v3", minute=4)]
    assert found(records, "v3") == found(records[::-1], "v3") == "r2"


@pytest.mark.parametrize("outcome", [o for o in Outcome if not o.good])
def test_a_build_that_did_not_end_good_is_passed_over(outcome: Outcome) -> None:
    records = [record("v1", minute=1), record("v2", minute=2, outcome=outcome), record("v3", minute=3)]
    assert found(records, "v3") == "r1"


def test_a_build_that_was_undone_is_not_gone_back_to() -> None:
    records = [
        record("v1", minute=1),
        record("v2", minute=2),
        record("v3", minute=3, undone_by="r4"),
        record("v2", minute=4, undoes="r3"),
    ]
    assert found(records, "v2") == "r1"


def test_nor_is_it_where_an_earlier_rollout_of_it_was_good() -> None:
    records = [
        record("v1", minute=1),
        record("v3", minute=2),
        record("v3", minute=3, undone_by="r4"),
        record("v2", minute=4, undoes="r3"),
    ]
    assert found(records, "v2") == "r1"
    assert found([*records[:2], record("v3", minute=3, outcome=Outcome.ROLLED_BACK), records[3]], "v2") == "r1"


def test_that_a_rollback_names_what_it_undoes_is_enough_where_the_other_record_was_not_written() -> None:
    records = [record("v1", minute=1), record("v3", minute=3), record("v2", minute=4, undoes="r3")]
    assert found(records, "v2") == "r1"


def test_a_build_that_was_undone_and_then_brought_for_good_counts_again() -> None:
    records = [record("v3", minute=3, undone_by="r4"), record("v3", minute=5), record("v4", minute=6)]
    assert found(records, "v4") == "r5"


def test_a_trial_on_some_groups_gives_way_to_a_rollout_of_the_whole_fleet() -> None:
    trial = record("v2", minute=2, excluded=("reports",))
    assert found([record("v1", minute=1), trial, record("v3", minute=3)], "v3") == "r1"
    assert found([trial, record("v3", minute=3)], "v3") == "r2"
    mixed = record("v2", minute=2, restart=True, groups={"email": entry(), "reports": entry(build="v1")})
    assert found([record("v1", minute=1), mixed, record("v3", minute=3)], "v3") == "r1"


def test_where_nothing_was_good_there_is_nowhere_to_go() -> None:
    assert previous_good([], "v1") is None
    assert previous_good([record("v1")], "v1") is None
    assert previous_good([record("v1", undone_by="r9")], "v2") is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["v1", "v2", "v3"]),
            st.integers(0, 9),
            st.sampled_from(list(Outcome)),
            st.sampled_from(["", "r9"]),
            st.sampled_from([(), ("x",)]),
        )
    ),
    st.sampled_from(["v1", "v2", "v3"]),
)
def test_whatever_the_history_the_answer_is_good_and_of_another_build(
    history: list[tuple[str, int, Outcome, str, tuple[str, ...]]], running: str
) -> None:
    records = [record(b, minute=m, outcome=o, undone_by=u, excluded=x) for b, m, o, u, x in history]
    answer = previous_good(records, running)
    able = [r for r in records if r.outcome.good and not r.undone_by and r.build != running]
    if answer is None:
        assert all(
            any(u.build == r.build and (u.undone_by or u.outcome is Outcome.ROLLED_BACK) for u in records)
            for r in able
        )
    else:
        assert answer in able


def test_the_rows_say_who_brought_what_when_and_how_it_ended_newest_first() -> None:
    groups = {
        "a": entry(),
        "b": entry(phase=Phase.EMPTY),
        "c": entry(phase=Phase.FAILED),
        "d": entry(phase=Phase.PARTIAL),
    }
    shown = rows([record("v1", minute=1), record("v2", minute=62, outcome=Outcome.FAILED, groups=groups)])
    assert shown[0] == {
        "id": "r62",
        "when": "2026-11-20 13:02 UTC",
        "by": "ann@laptop",
        "build": "v2",
        "outcome": "failed",
        "groups": "2 of 4",
        "duration": "1 min 30 s",
        "note": "",
    }
    assert (shown[1]["id"], shown[1]["groups"]) == ("r1", "1 of 1")


def test_a_rollback_says_what_it_undoes_and_that_one_says_by_what() -> None:
    undone = record("v3", minute=1, undone_by="r2", why="the new importer")
    shown = rows([undone, record("v2", minute=2, undoes="r1", excluded=("x", "y"))])
    assert [r["note"] for r in shown] == ["undoes r1; left out 2", "undone by r2; the new importer"]


def test_a_rollout_that_runs_has_no_duration_yet() -> None:
    shown = rows([record(outcome=Outcome.RUNNING, groups={"a": entry(None, Phase.RUNNING)})])[0]
    assert (shown["duration"], shown["groups"], shown["outcome"]) == ("-", "0 of 1", "running")
