"""Of two builds the newer one is told by ancestry, else by date, else by version; and both sides agree on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

import pytest
from fakes import NOON
from hypothesis import given
from hypothesis import strategies as st

from shipit.models import Build
from shipit.order import Comparison, Evidence, Order, compare, version_key


@dataclass
class FakeAncestry:
    """A repository that answers by a table of (older, newer), and nothing where the table says nothing."""

    known: Mapping[tuple[str, str], bool | None] = field(default_factory=dict)

    def is_ancestor(self, older: str, newer: str) -> bool | None:
        return self.known.get((older, newer))


LINE = FakeAncestry({("a", "b"): True, ("b", "a"): False})
DIVERGED = FakeAncestry({("a", "b"): False, ("b", "a"): False})
NOTHING = FakeAncestry()


def build(version: str, sha: str, seconds: float = 0) -> Build:
    return Build(version=version, sha=sha, digest="d", committed_at=NOON + timedelta(seconds=seconds))


def test_ancestry_decides_against_dates_and_versions() -> None:
    old, new = build("v9", "a", 60), build("v1", "b", 0)
    assert (compare(new, old, LINE).order, compare(new, old, LINE).by) == (Order.NEWER, Evidence.ANCESTRY)
    assert (compare(old, new, LINE).order, compare(old, new, LINE).by) == (Order.OLDER, Evidence.ANCESTRY)


@pytest.mark.parametrize("ancestry", [DIVERGED, NOTHING])
def test_where_git_knows_no_line_the_date_of_the_commit_decides_against_the_version(ancestry: FakeAncestry) -> None:
    old, new = build("v9", "a", 0), build("v1", "b", 1)
    assert (compare(new, old, ancestry).order, compare(new, old, ancestry).by) == (Order.NEWER, Evidence.DATE)
    assert compare(old, new, ancestry).order is Order.OLDER


def test_the_sentence_tells_diverged_branches_from_commits_that_git_does_not_know() -> None:
    old, new = build("v1", "a"), build("v2", "b", 1)
    assert compare(old, new, DIVERGED).sentence == (
        "v1 is older than v2 by commit date: 2026-11-20 12:00:00 UTC against 2026-11-20 12:00:01 UTC "
        "(their branches have diverged)"
    )
    assert "git here does not know both commits" in compare(old, new, NOTHING).sentence
    half = FakeAncestry({("a", "b"): False})
    assert "git here does not know both commits" in compare(old, new, half).sentence


def test_of_one_second_the_version_decides() -> None:
    found = compare(build("v1.10", "b"), build("v1.9", "a"), NOTHING)
    assert (found.order, found.by) == (Order.NEWER, Evidence.VERSION)


def test_two_builds_of_one_commit_are_not_older_than_each_other() -> None:
    clean, dirty = build("2026.11.20-120000-ga", "a"), build("2026.11.20-120000-ga-dirty-1234", "a")
    assert compare(dirty, clean, NOTHING).order is compare(clean, dirty, NOTHING).order is Order.SAME


def test_a_build_is_the_same_as_itself_whatever_git_says() -> None:
    found = compare(build("v1", "a"), build("v1", "b", 5), LINE)
    assert found.order is Order.SAME
    assert found.sentence == "v1 and v1 are of the same age: they are one build"


def test_a_build_without_a_commit_is_not_asked_of_git() -> None:
    class Refusing:
        def is_ancestor(self, older: str, newer: str) -> bool | None:
            raise AssertionError("git was asked for an empty name")

    assert compare(build("v2", "", 1), build("v1", "a"), Refusing()).by is Evidence.DATE
    assert compare(build("v2", ""), build("v1", ""), Refusing()).by is Evidence.VERSION


def test_versions_sort_as_people_count() -> None:
    rising = ["v1", "v1.2", "v1.9", "v1.10-rc1", "v1.10-rc2", "v1.10", "v2-rc1", "v2", "v2.0"]
    assert all(version_key(low) < version_key(high) for low, high in pairwise(rising))


BUILDS = st.builds(
    build,
    st.text(alphabet="0123v.-rcg", min_size=1, max_size=8),
    st.sampled_from(["", "a", "b", "c"]),
    st.integers(0, 2),
)
TABLES = st.dictionaries(
    st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), st.sampled_from([True, False, None])
)
OPPOSITE = {Order.SAME: Order.SAME, Order.NEWER: Order.OLDER, Order.OLDER: Order.NEWER}


@given(BUILDS, BUILDS, TABLES)
def test_both_sides_agree_whatever_the_repository_says(
    one: Build, other: Build, table: dict[tuple[str, str], bool | None]
) -> None:
    there: Comparison = compare(one, other, FakeAncestry(table))
    back = compare(other, one, FakeAncestry(table))
    assert back.order is OPPOSITE[there.order]
    assert back.by is there.by


@given(st.lists(st.text(alphabet="0123v.-rcg", max_size=8), min_size=2, max_size=2, unique=True))
def test_two_versions_never_sort_as_one(versions: list[str]) -> None:
    assert version_key(versions[0]) != version_key(versions[1])
