"""Of two deploys that meet at the lock at the same instant, one runs and the other says who was faster."""

from __future__ import annotations

from pathlib import Path

from racing import Racer


def test_of_two_deploys_at_the_same_instant_exactly_one_runs(tmp_path: Path) -> None:
    racer = Racer(tmp_path)
    try:
        races = list(racer.races(3))
    finally:
        racer.close()
    assert [str(race) for race in races if race.wrong] == []
    assert len(races) == 3
