"""Files are written whole, where they are not there or nobody changed them, and otherwise not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipit.dashboards import Written, write
from shipit.errors import UsageError

TEXTS = {"dashboards/a.json": "{}\n", "alerting/b.yaml": "apiVersion: 1\n"}


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    done = write(tmp_path / "new" / "grafana", TEXTS, force=False)
    assert done == Written(written=tuple(TEXTS), same=())
    assert (tmp_path / "new/grafana/alerting/b.yaml").read_text() == "apiVersion: 1\n"


def test_what_is_there_just_so_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path, TEXTS, force=False)
    before = (tmp_path / "alerting/b.yaml").stat().st_mtime_ns
    assert write(tmp_path, TEXTS, force=False) == Written(written=(), same=tuple(TEXTS))
    assert (tmp_path / "alerting/b.yaml").stat().st_mtime_ns == before


def test_one_file_that_differs_stops_all_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "alerting").mkdir()
    (tmp_path / "alerting/b.yaml").write_text("mine")
    with pytest.raises(UsageError, match=r"1 file .* nothing was written: alerting/b\.yaml") as refused:
        write(tmp_path, TEXTS, force=False)
    assert "--force" in refused.value.hint
    assert not (tmp_path / "dashboards").exists()
    assert (tmp_path / "alerting/b.yaml").read_text() == "mine"


def test_force_writes_over_what_differs_and_leaves_other_files(tmp_path: Path) -> None:
    (tmp_path / "alerting").mkdir()
    (tmp_path / "alerting/b.yaml").write_bytes(b"\xff mine")
    (tmp_path / "alerting/theirs.yaml").write_text("theirs")
    assert write(tmp_path, TEXTS, force=True).written == tuple(TEXTS)
    assert (tmp_path / "alerting/b.yaml").read_text() == TEXTS["alerting/b.yaml"]
    assert (tmp_path / "alerting/theirs.yaml").read_text() == "theirs"


@pytest.mark.parametrize("force", [False, True])
def test_a_file_where_a_folder_must_be_is_an_error_that_names_it(tmp_path: Path, force: bool) -> None:
    (tmp_path / "alerting").write_text("a file")
    with pytest.raises(UsageError, match="alerting"):
        write(tmp_path, TEXTS, force=force)
