"""What an instance has on its PATH speaks of that instance alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from shipit.sandbox.instance.programs import write_journalctl


@pytest.mark.parametrize(("lines", "shown"), [("2", "two\nthree\n"), ("9", "one\ntwo\nthree\n")])
def test_journalctl_shows_the_last_lines_of_a_unit(lines: str, shown: str, tmp_path: Path) -> None:
    journal = tmp_path / "a journal"
    journal.mkdir()
    (journal / "worker@b.service.log").write_text("one\ntwo\nthree\n")
    assert ask(tmp_path, journal, "worker@b.service", lines) == shown


def test_journalctl_has_nothing_of_a_unit_that_never_printed(tmp_path: Path) -> None:
    assert ask(tmp_path, tmp_path, "other.service", "20") == ""


def ask(folder: Path, journal: Path, unit: str, lines: str) -> str:
    write_journalctl(folder, journal)
    words = ["--unit", unit, "--lines", lines, "--no-pager", "--output", "cat"]
    return subprocess.run([folder / "journalctl", *words], capture_output=True, text=True, check=True).stdout
