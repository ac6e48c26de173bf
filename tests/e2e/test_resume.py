"""A deploy that is killed at any moment is carried on: no group is deployed twice, and none is forgotten."""

from __future__ import annotations

from pathlib import Path

from killing import QUEUES, kill_many


def test_a_deploy_killed_at_any_moment_is_carried_on_and_each_group_got_the_build_once(tmp_path: Path) -> None:
    deaths = kill_many(tmp_path, 20, seed=11)
    assert [str(d) for d in deaths if d.wrong] == []
    assert len(deaths) == 20
    assert {d.per_group.total() for d in deaths} == {len(QUEUES)}
    # All parts of a run were met: had each died before its record, nothing would be proved.
    assert {d.way for d in deaths} == {"resumed", "started over"}
    assert {d.last for d in deaths} >= {"group_started", "group_progress", "group_ended"}
