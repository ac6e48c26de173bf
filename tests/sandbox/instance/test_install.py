"""Install deletes what it wrote last time, then copies; it is not atomic, as the agent's is not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from shipit.appspec import FileMapping
from shipit.sandbox.instance.install import Installer, InstallError


@pytest.fixture
def installer(tmp_path: Path) -> Installer:
    (tmp_path / "archive").mkdir()
    (tmp_path / "root").mkdir()
    return make(tmp_path)


def make(tmp_path: Path, behavior: str = "DISALLOW") -> Installer:
    return Installer(
        archive=tmp_path / "archive",
        root=tmp_path / "root",
        record=tmp_path / "record",
        file_exists_behavior=behavior,
    )


def everything(destination: str = "/opt/app") -> list[FileMapping]:
    return [FileMapping(source="", destination=destination)]


def test_a_whole_bundle_is_copied_with_its_modes(installer: Installer) -> None:
    (installer.archive / "bin").mkdir()
    (installer.archive / "bin" / "run").write_text("x")
    (installer.archive / "bin" / "run").chmod(0o750)
    installer.install(everything())
    assert stat.S_IMODE((installer.root / "opt/app/bin/run").stat().st_mode) == 0o750


def test_a_single_file_goes_into_the_destination(installer: Installer) -> None:
    (installer.archive / "a.conf").write_text("x")
    installer.install([FileMapping(source="a.conf", destination="/etc/app")])
    assert (installer.root / "etc/app/a.conf").read_text() == "x"


def test_the_next_install_deletes_what_the_last_one_wrote_and_no_more(installer: Installer) -> None:
    (installer.archive / "old").mkdir()
    (installer.archive / "old" / "a").write_text("1")
    installer.install(everything())
    (installer.root / "opt/app/written-by-others").write_text("2")
    (installer.archive / "old" / "a").unlink()
    (installer.archive / "old").rmdir()
    (installer.archive / "new").write_text("3")
    installer.install(everything())
    assert sorted(os.listdir(installer.root / "opt/app")) == ["new", "written-by-others"]


def test_a_collision_is_refused_and_the_last_install_is_gone_already(installer: Installer, tmp_path: Path) -> None:
    (installer.archive / "a").write_text("1")
    installer.install(everything())
    (installer.archive / "b").write_text("2")
    (installer.root / "opt/app/b").write_text("theirs")
    with pytest.raises(InstallError, match="already exists at this location: /opt/app/b"):
        installer.install(everything())
    assert os.listdir(installer.root / "opt/app") == ["b"]
    assert (installer.root / "opt/app/b").read_text() == "theirs"


@pytest.mark.parametrize(("behavior", "content"), [("OVERWRITE", "ours"), ("RETAIN", "theirs")])
def test_a_collision_is_settled_as_asked(behavior: str, content: str, installer: Installer, tmp_path: Path) -> None:
    (installer.archive / "a").write_text("ours")
    (installer.root / "opt/app").mkdir(parents=True)
    (installer.root / "opt/app/a").write_text("theirs")
    make(tmp_path, behavior).install(everything())
    assert (installer.root / "opt/app/a").read_text() == content


def test_overwriting_a_symlink_replaces_the_link_not_its_target(installer: Installer, tmp_path: Path) -> None:
    (installer.archive / "a").write_text("ours")
    (installer.root / "opt/app").mkdir(parents=True)
    (installer.root / "opt/target").write_text("theirs")
    (installer.root / "opt/app/a").symlink_to("../target")
    make(tmp_path, "OVERWRITE").install(everything())
    assert (installer.root / "opt/target").read_text() == "theirs"
    assert not (installer.root / "opt/app/a").is_symlink()


def test_a_symlink_to_a_folder_becomes_a_copy_and_one_to_a_file_stays(installer: Installer) -> None:
    (installer.archive / "real").mkdir()
    (installer.archive / "real" / "x").write_text("x")
    (installer.archive / "folder").symlink_to("real")
    (installer.archive / "file").symlink_to("real/x")
    installer.install(everything())
    assert not (installer.root / "opt/app/folder").is_symlink()
    assert (installer.root / "opt/app/folder/x").read_text() == "x"
    assert os.readlink(installer.root / "opt/app/file") == "real/x"


def test_a_missing_source_is_named(installer: Installer) -> None:
    with pytest.raises(InstallError, match=r"No such file or directory - dist/app"):
        installer.install([FileMapping(source="dist/app", destination="/opt")])


def test_a_destination_cannot_climb_out_of_the_root(installer: Installer) -> None:
    (installer.archive / "a").write_text("x")
    installer.install(everything("/../../opt/../app"))
    assert (installer.root / "app/a").is_file()


def test_a_destination_behind_a_symlink_to_outside_is_refused(installer: Installer, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (installer.root / "opt").symlink_to(tmp_path / "outside")
    (installer.archive / "a").write_text("x")
    with pytest.raises(InstallError, match="outside of the instance"):
        installer.install(everything())
    assert os.listdir(tmp_path / "outside") == []


def test_what_a_failed_install_copied_is_deleted_by_the_next(installer: Installer, tmp_path: Path) -> None:
    (installer.archive / "a").write_text("x")
    (installer.archive / "z").write_text("x")
    (installer.root / "opt/app/z").mkdir(parents=True)
    overwriting = make(tmp_path, "OVERWRITE")
    with pytest.raises(InstallError, match="Is a directory - /opt/app/z"):
        overwriting.install(everything())
    (installer.archive / "a").unlink()
    (installer.root / "opt/app/z").rmdir()
    overwriting.install(everything())
    assert os.listdir(installer.root / "opt/app") == ["z"]
