"""A setting is what the environment says, else instance.env, else the bundle, else what is built in."""

from __future__ import annotations

from pathlib import Path

import pytest
from shipit_instance.facts import BUILT_IN, Settings, read_env


def test_the_first_that_has_a_value_decides() -> None:
    found = Settings({"SHIPIT_ASG": ""}, {"SHIPIT_ASG": "a", "SHIPIT_DRAIN_HOOK": "mine"}, {"SHIPIT_ASG": "b"})
    assert found.text("SHIPIT_ASG") == "a"
    assert found.text("SHIPIT_DRAIN_HOOK") == "mine"
    assert found.over({"SHIPIT_ASG": "c"}).text("SHIPIT_ASG") == "c"
    assert found.text("SHIPIT_NOTHING") == ""


@pytest.mark.parametrize("wrong", ["soon", "-1", "nan", "inf", "5 s", ""])
def test_a_number_that_is_none_is_passed_over(wrong: str) -> None:
    assert Settings({"SHIPIT_WATCH_POLL": wrong}, {"SHIPIT_WATCH_POLL": "7"}).seconds("SHIPIT_WATCH_POLL") == 7.0
    assert Settings({"SHIPIT_WATCH_POLL": wrong}).seconds("SHIPIT_WATCH_POLL") == 5.0


def test_nothing_is_a_number_too() -> None:
    assert Settings({"SHIPIT_SPOT_MARGIN": "0"}).seconds("SHIPIT_SPOT_MARGIN") == 0.0


def test_a_file_of_facts_is_read_as_systemd_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "instance.env"
    file.write_bytes(b"# a comment\n\nA=1\nB = \"two words\"\nC='x=y'\n#D=4\nno pair\nE=\xff\n")
    assert read_env(str(file)) == {"A": "1", "B": "two words", "C": "x=y", "E": "\ufffd"}
    assert read_env(str(tmp_path / "missing")) == {}


def test_the_page_has_each_setting_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs/watcher.md").read_text(encoding="utf-8")
    rows = dict(line.split("|")[1:3] for line in page.splitlines() if line.startswith("| `SHIPIT_"))
    told = {name.strip(" `"): default.strip(" `") for name, default in rows.items()}
    stages = told.pop("SHIPIT_DRAIN_WAIT`, `_GRACE`, `_COLD").split(", ")
    told |= dict(zip(("SHIPIT_DRAIN_WAIT", "SHIPIT_DRAIN_GRACE", "SHIPIT_DRAIN_COLD"), stages, strict=True))
    assert told == BUILT_IN
