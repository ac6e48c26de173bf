"""Sizes are read as people write them, and nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipit.errors import UsageError
from shipit.settings import load
from shipit.sizes import parse_size


@pytest.mark.parametrize(("text", "size"), [("10MB", 10**7), ("10 GB", 10**10), ("1.5TB", 15 * 10**11)])
def test_a_size_is_in_decimal_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "10", "10GiB", "10gb", "-1GB", "GB", 10, None])
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("value", "said"),
    [('"10"', "write 500MB or 10GB"), ('"9MB"', "greater than or equal to 10000000"), ("true", "size")],
)
def test_a_wrong_limit_of_a_query_is_one_line_with_its_key(tmp_path: Path, value: str, said: str) -> None:
    (tmp_path / "shipit.toml").write_text(
        f'application = "a"\nbucket = "b"\n[reports]\nscan-limit = {value}\n[env.x]\n'
    )
    with pytest.raises(UsageError) as caught:
        load("x", start=tmp_path)
    assert "reports.scan-limit" in caught.value.message
    assert said in caught.value.message
