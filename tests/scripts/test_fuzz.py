"""A hook that is killed anywhere and run again never mixes two builds, and never leaves the instance without one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hook_fuzz import HOOKS, Broken, fuzz, victim


def test_hooks_that_are_killed_anywhere_leave_one_build_whole(tmp_path: Path) -> None:
    with victim(tmp_path, seed=7) as one:
        tally = fuzz(one, kills=20)
    assert sum(tally.kills.values()) == 20
    assert set(tally.kills) <= set(HOOKS)


def test_in_place_a_hook_that_is_run_again_brings_a_worker_back(tmp_path: Path) -> None:
    with victim(tmp_path, seed=8, settings={"SHIPIT_MODE": "in-place"}) as one:
        one.deploy("2026.11.22-100000-gaaa")
        one.deploy("2026.11.23-100000-gbbb", kill="after_install.sh")


def test_the_look_sees_a_release_that_was_changed_and_a_worker_that_is_gone(tmp_path: Path) -> None:
    with victim(tmp_path, seed=1) as one:
        one.deploy("2026.11.22-100000-gaaa")
        one.check("nothing")
        changed = one.host.release("2026.11.22-100000-gaaa") / "worker/number.py"
        changed.unlink()
        with pytest.raises(Broken, match="not as it was built"):
            one.check("a change")
        one.units.close()
        one.moment = 0.1
        with pytest.raises(Broken, match="no worker runs"):
            one.check("an end")
