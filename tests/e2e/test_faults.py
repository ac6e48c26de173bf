"""Under each fault a rollout ends right, with the right exit code and words: the rows that are quick."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fault_rows import Row, queues, rows
from fault_stage import Stage

QUICK = [row for row in rows(minute=3.0) if row.quick]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One sandbox for each kind of clock; a row that leaves hangs behind gets it anew for the next one."""
    made = Stage(tmp_path_factory.mktemp("faults"), queues(5), 12)
    yield made
    made.close()


@pytest.mark.parametrize("row", QUICK, ids=lambda row: row.name)
def test_a_rollout_ends_right_under(row: Row, stage: Stage) -> None:
    result = stage.play(row)
    assert not result.wrong, result.said
