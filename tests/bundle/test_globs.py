"""Globs mean what the settings page says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.bundle import Globs


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("**", "a/b/c.py", True),
        ("*.py", "a.py", True),
        ("*.py", "a/b.py", False),
        ("**/*.py", "b.py", True),
        ("**/*.py", "a/b/c.py", True),
        ("a/**/c.py", "a/c.py", True),
        ("a/**/c.py", "a/x/y/c.py", True),
        ("a/**/c.py", "ac.py", False),
        ("docs", "docs/a/b.md", True),
        ("docs/", "docs/a.md", True),
        ("docs/**", "docs/a.md", True),
        ("docs", "docs2/a.md", False),
        ("./docs", "docs/a.md", True),
        ("a?.py", "ab.py", True),
        ("a?b", "a/b", False),
        ("[a-c].py", "b.py", True),
        ("[!a-c].py", "b.py", False),
        ("[!a-c].py", "d.py", True),
        ("a+b.(py)", "a+b.(py)", True),
        ("a.py", "aXpy", False),
        ("[", "[", True),
    ],
)
def test_a_glob_matches_from_the_top_and_a_folder_means_all_below(glob: str, path: str, expected: bool) -> None:
    assert Globs([glob]).match(path) is expected


def test_no_glob_matches_nothing() -> None:
    assert not Globs([]).match("a")


def test_folders_are_those_above_the_first_wildcard() -> None:
    assert Globs(["dist/**", "build/lib/*.so", "vendor"]).folders() == ["build/lib", "dist", "vendor"]
    assert Globs(["**/*.so"]).folders() == ["."]


@given(st.text("ab/*?[]!-.\\", max_size=12), st.text("ab/.", max_size=12))
def test_any_text_is_a_glob(glob: str, path: str) -> None:
    try:
        Globs([glob]).match(path)
    except Exception as error:
        raise AssertionError((glob, path)) from error
