"""A build's name comes from git alone, the same on any machine."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.errors import UsageError
from shipit.version import VERSION, GitFacts, version_of

FACTS = GitFacts(sha="1a2b3c4d5e6f", committed_at=1_790_000_000)


def test_a_commit_is_named_by_its_date_in_utc_and_its_sha() -> None:
    assert version_of(FACTS) == "2026.09.21-141320-g1a2b3c4d5"


def test_an_annotated_tag_is_the_version() -> None:
    assert version_of(replace(FACTS, tag="v1.4.0")) == "v1.4.0"


def test_a_dirty_tree_shows_in_the_name() -> None:
    assert version_of(replace(FACTS, dirty_digest="deadbeefcafe")).endswith("-dirty-deadbeef")


@pytest.mark.parametrize("tag", ["release/1", "v 1", "-v1", "x" * 200, "v1.2+3", "v1:2"])
def test_a_tag_that_cannot_be_a_folder_and_a_unit_is_refused(tag: str) -> None:
    with pytest.raises(UsageError, match="cannot name a build"):
        version_of(replace(FACTS, tag=tag))


def test_a_dirty_tree_does_not_make_a_name_longer_than_names_may_be() -> None:
    with pytest.raises(UsageError, match="cannot name a build"):
        version_of(replace(FACTS, tag="v" * 120, dirty_digest="deadbeefcafe"))


@given(st.integers(0, 4_000_000_000), st.integers(0, 4_000_000_000))
def test_names_sort_as_their_commits_were_made(a: int, b: int) -> None:
    older, newer = sorted([a, b])
    names = [version_of(replace(FACTS, committed_at=t)) for t in (older, newer)]
    assert names == sorted(names)
    assert all(VERSION.fullmatch(n) for n in names)
