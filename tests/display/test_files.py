"""Files of the verdict: proved to be writable before anything is asked, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from display.samples import verification

from shipit.display.files import VerdictFiles
from shipit.errors import AwsUnavailable, DriftError, ShipitError, UsageError


def test_both_files_are_written_over_what_was_there_and_nothing_is_left_beside_them(tmp_path: Path) -> None:
    junit, markdown = tmp_path / "junit.xml", tmp_path / "page.md"
    junit.write_text("old")
    files = VerdictFiles("prod", junit=str(junit), markdown=str(markdown))
    assert junit.read_text() == "old"
    files.write(verification(), DriftError("2 of 300 are not"))
    files.discard()
    assert 'name="i-003"' in junit.read_text()
    said = markdown.read_text()
    assert said.startswith("## partial: sandbox on v2\n")
    assert "2.3 MB, $0.00005, 3.1 s, query q" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["junit.xml", "page.md"]


def test_a_command_that_came_to_no_verdict_leaves_no_old_one(tmp_path: Path) -> None:
    junit, markdown = tmp_path / "junit.xml", tmp_path / "page.md"
    files = VerdictFiles("prod", junit=str(junit), markdown=str(markdown))
    files.write(None, AwsUnavailable("Athena is away"))
    assert 'errors="1"' in junit.read_text()
    assert "Athena is away" in junit.read_text()
    assert markdown.read_text().startswith("## failed\n")
    assert "Athena is away" in markdown.read_text()


def test_what_is_given_up_leaves_everything_as_it_was(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text("old")
    VerdictFiles("prod", junit=str(junit), markdown=str(tmp_path / "page.md")).discard()
    assert [p.name for p in tmp_path.iterdir()] == ["junit.xml"]
    assert junit.read_text() == "old"


def test_a_link_is_written_through_and_the_modes_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, plain = tmp_path / "real" / "junit.xml", tmp_path / "plain"
    plain.touch()
    (tmp_path / "link.xml").symlink_to(target)
    files = VerdictFiles("prod", junit=str(tmp_path / "link.xml"))
    files.write(verification(), None)
    assert (tmp_path / "link.xml").is_symlink()
    assert target.stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("where", ["nowhere/junit.xml", "file/junit.xml", "."])
def test_a_path_that_cannot_be_written_is_refused_at_once_by_its_flag(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"^--junit "):
        VerdictFiles("prod", markdown=str(tmp_path / "page.md"), junit=str(tmp_path / where))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_one_file_for_both_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="both name"):
        VerdictFiles("prod", junit=f"{tmp_path}/x", markdown=f"{tmp_path}/./x")


def test_a_device_is_written_to_and_not_replaced() -> None:
    files = VerdictFiles("prod", junit=os.devnull)
    files.write(verification(), None)
    assert not Path(os.devnull).is_file()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_is_an_error_and_no_verdict() -> None:
    with pytest.raises(ShipitError, match="/dev/full was not written"):
        VerdictFiles("prod", markdown="/dev/full").write(verification(), None)
