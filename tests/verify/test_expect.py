"""What each group is expected to run, read from past rollouts: never an older word where a newer one counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from fakes import deployment, group
from hypothesis import given
from hypothesis import strategies as st
from records import entry, record

from shipit.models import Group, GroupEntry, Outcome, Phase, RolloutRecord, Wanted
from shipit.plan import running_build
from shipit.verify import Expected, expect

NAMES = ("email", "images", "reports")


def waiting(build: str, before: str = "v1") -> GroupEntry:
    return entry(None, Phase.WAITING, build=build, before=before, deployments=(), started_at=None)


def brought(build: str, *names: str) -> dict[str, GroupEntry]:
    return {name: entry(build=build) for name in names or NAMES}


def expected(*records: RolloutRecord, driven: Iterable[str] = (), groups: Iterable[Group] | None = None) -> Expected:
    """Return what the records, given oldest first, make of three groups on which CodeDeploy had no success."""
    return expect(
        reversed(records),
        [group(name) for name in NAMES] if groups is None else groups,
        driven=lambda r: r.id in driven,
        running=lambda g: running_build(g.last_success, "builds"),
    )


def builds(found: Expected) -> dict[str, str]:
    return {name: wanted.build for name, wanted in found.groups.items()}


FIRST = record("v1", minute=0, groups=brought("v1"))


def test_a_rollout_of_the_whole_fleet_counts_for_every_group_also_for_those_it_had_not_to_touch() -> None:
    whole = record("v2", minute=9, groups=brought("v2", "email"))
    found = expected(FIRST, whole)
    assert found.groups == dict.fromkeys(NAMES, Wanted(build="v2", rollout="r9"))
    assert (found.unknown, found.waiting) == ((), {})


def test_only_as_many_records_are_read_as_are_needed() -> None:
    def records() -> Iterator[RolloutRecord]:
        yield record("v2", groups=brought("v2"))
        raise AssertionError("an older record was read")

    groups = [group(name) for name in NAMES]
    assert len(expect(records(), groups, driven=lambda r: False, running=lambda g: "").groups) == 3


def test_groups_that_were_left_out_on_purpose_keep_what_an_earlier_rollout_brought() -> None:
    trial = record("v2", minute=9, groups=brought("v2", "email"), excluded=("images", "reports"))
    again = record("v3", minute=20, groups=brought("v3", "images"), excluded=("email", "reports"))
    found = expected(FIRST, trial, again)
    assert builds(found) == {"email": "v2", "images": "v3", "reports": "v1"}
    assert {n: w.rollout for n, w in found.groups.items()} == {"email": "r9", "images": "r20", "reports": "r0"}


def test_waves_of_a_running_rollout_that_have_not_started_keep_what_they_had() -> None:
    groups = {**brought("v2", "email"), "images": waiting("v2"), "reports": waiting("v2")}
    running = record("v2", minute=9, groups=groups, outcome=Outcome.RUNNING)
    found = expected(FIRST, running, driven=["r9"])
    assert builds(found) == {"email": "v2", "images": "v1", "reports": "v1"}
    assert found.waiting == {"r9": ("images", "reports")}
    # Without an older record, what the plan found there.
    assert builds(expected(running, driven=["r9"])) == {"email": "v2", "images": "v1", "reports": "v1"}


@pytest.mark.parametrize(
    "outcome",
    [Outcome.RUNNING, Outcome.FAILED, Outcome.STOPPED, Outcome.INTERRUPTED, Outcome.TIMED_OUT, Outcome.BUSY],
)
def test_a_rollout_that_nobody_leads_any_more_counts_for_all_it_was_meant_for(outcome: Outcome) -> None:
    groups = {**brought("v2", "email"), "images": waiting("v2")}
    found = expected(FIRST, record("v2", minute=9, groups=groups, outcome=outcome))
    assert builds(found) == dict.fromkeys(NAMES, "v2")


def test_an_undone_rollout_leaves_what_the_undo_brought() -> None:
    """Two groups were touched and are taken back, to different builds; the third had not been started."""
    trial = record("v2", minute=5, groups=brought("v2", "email"), excluded=("images", "reports"))
    groups = {
        "email": entry(build="v3", before="v2"),
        "images": entry(build="v3", before="v1"),
        "reports": waiting("v3"),
    }
    bad = record("v3", minute=9, groups=groups, outcome=Outcome.ROLLED_BACK, undone_by="r10")
    back = {"email": entry(build="v2"), "images": entry(build="v1")}
    undo = record("v1", minute=10, groups=back, excluded=("reports",), undoes="r9")
    found = expected(FIRST, trial, bad, undo)
    assert builds(found) == {"email": "v2", "images": "v1", "reports": "v1"}
    assert {n: w.rollout for n, w in found.groups.items()} == {"email": "r10", "images": "r10", "reports": "r0"}


def test_a_group_that_ran_the_bad_build_before_is_not_taken_back_with_the_others() -> None:
    trial = record("v2", minute=5, groups=brought("v2", "email"), excluded=("images", "reports"))
    bad = record("v2", minute=9, groups=brought("v2", "images", "reports"), undone_by="r10")
    undo = record("v1", minute=10, groups=brought("v1", "images", "reports"), undoes="r9")
    assert builds(expected(FIRST, trial, bad, undo)) == {"email": "v2", "images": "v1", "reports": "v1"}


def test_a_group_that_could_not_be_taken_back_is_expected_on_what_it_was_brought() -> None:
    bad = record("v2", minute=9, groups=brought("v2"), undone_by="r10")
    undo = record("v1", minute=10, groups=brought("v1", "images", "reports"), excluded=("email",), undoes="r9")
    assert builds(expected(FIRST, bad, undo)) == {"email": "v2", "images": "v1", "reports": "v1"}


def test_a_rollback_of_the_fleet_counts_also_for_groups_that_were_empty_or_back_already() -> None:
    bad = record("v2", minute=9, groups=brought("v2", "email", "images"), excluded=("reports",), undone_by="r10")
    rollback = record("v1", minute=10, groups=brought("v1", "email"), undoes="r9")
    found = expected(record("v0", groups=brought("v0")), bad, rollback)
    assert builds(found) == dict.fromkeys(NAMES, "v1")


def test_the_word_that_a_rollout_is_to_be_undone_undoes_nothing_by_itself() -> None:
    bad = record("v2", minute=9, groups={"email": entry(), "images": waiting("v2")}, undone_by="r10")
    assert builds(expected(FIRST, bad)) == dict.fromkeys(NAMES, "v2")


def test_a_group_that_no_rollout_was_meant_for_runs_what_codedeploy_brought_or_nothing_known() -> None:
    trial = record("v2", groups=brought("v2", "email"), excluded=("images", "reports"))
    groups = [group("email"), group("images", last_success=deployment("images", "v1")), group("reports")]
    found = expected(trial, groups=groups)
    assert found.groups == {"email": Wanted(build="v2", rollout="r0"), "images": Wanted(build="v1")}
    assert found.unknown == ("reports",)
    assert expected(groups=[group("email")]).unknown == ("email",)


ENTRIES = st.none() | st.builds(
    lambda build, started: entry(build=build) if started else waiting(build),
    st.sampled_from(["v1", "v2", "v3"]),
    st.booleans(),
)


@st.composite
def pasts(draw: st.DrawFn) -> list[RolloutRecord]:
    made: list[RolloutRecord] = []
    for number in range(draw(st.integers(1, 5))):
        groups = {n: e for n in NAMES if (e := draw(ENTRIES)) is not None}
        left = tuple(n for n in NAMES if n not in groups and draw(st.booleans()))
        undoes = made[-1].id if made and draw(st.booleans()) else ""
        outcome = draw(st.sampled_from([Outcome.CONVERGED, Outcome.FAILED, Outcome.RUNNING]))
        build = draw(st.sampled_from(["v1", "v2", "v3"]))
        made.append(record(build, minute=number, groups=groups, excluded=left, undoes=undoes, outcome=outcome))
    return made


@given(past=pasts(), driven=st.booleans())
def test_no_group_is_expected_on_less_than_the_last_rollout_that_touched_it(
    past: list[RolloutRecord], driven: bool
) -> None:
    found = expected(*past, driven=[past[-1].id] if driven else [])
    assert {*found.groups, *found.unknown} == set(NAMES)
    for name in NAMES:
        touched = [n for n, r in enumerate(past) if name in r.groups and r.groups[name].deployments]
        if not touched:
            continue
        wanted = found.groups[name]
        source = next((n for n, r in enumerate(past) if r.id == wanted.rollout), None)
        assert source is not None
        assert source >= touched[-1]
        own = past[source].groups.get(name)
        assert wanted.build == (own.build if own else past[source].build)
