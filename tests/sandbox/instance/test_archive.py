"""A bundle unpacks as the agent unpacks it, and nothing of it lands elsewhere."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from instances import tgz

from shipit.sandbox.instance.archive import BadBundle, unpack


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE, *, then: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        archive.addfile(info)
        if then:
            archive.addfile(tarfile.TarInfo(then))
    return buffer.getvalue()


def zipped(entries: dict[str, tuple[int, str]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, (mode, content) in entries.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def test_files_keep_their_modes(tmp_path: Path) -> None:
    unpack(tgz({"run": "x"}, mode=0o775), "tgz", tmp_path / "a")
    assert stat.S_IMODE((tmp_path / "a" / "run").stat().st_mode) == 0o775


def test_a_plain_tar_is_not_a_tgz(tmp_path: Path) -> None:
    plain = tgz({"a": "x"}, compression="")
    unpack(plain, "tar", tmp_path / "a")
    with pytest.raises(BadBundle, match="cannot unpack the tgz"):
        unpack(plain, "tgz", tmp_path / "b")


def test_symlinks_inside_stay_symlinks(tmp_path: Path) -> None:
    unpack(link("bin/run", "../lib/run"), "tgz", tmp_path / "a")
    assert os.readlink(tmp_path / "a" / "bin" / "run") == "../lib/run"


def test_a_zip_keeps_modes_folders_and_symlinks(tmp_path: Path) -> None:
    entries = {"d/": (0o40755, ""), "d/run": (0o100755, "x"), "l": (stat.S_IFLNK | 0o777, "d/run")}
    unpack(zipped(entries), "zip", tmp_path / "a")
    assert stat.S_IMODE((tmp_path / "a" / "d" / "run").stat().st_mode) == 0o755
    assert os.readlink(tmp_path / "a" / "l") == "d/run"


def test_a_single_folder_with_an_appspec_is_stripped(tmp_path: Path) -> None:
    unpack(tgz({"top/appspec.yml": "", "top/top/x": ""}), "tgz", tmp_path / "a")
    assert (tmp_path / "a" / "appspec.yml").is_file()
    assert (tmp_path / "a" / "top" / "x").is_file()


def test_a_single_folder_without_an_appspec_stays(tmp_path: Path) -> None:
    unpack(tgz({"top/x": ""}), "tgz", tmp_path / "a")
    assert (tmp_path / "a" / "top" / "x").is_file()


@pytest.mark.parametrize(
    "bad",
    [
        tgz({"../evil": "x"}),
        tgz({"a/../../evil": "x"}),
        link("l", "/etc/passwd"),
        link("l", "../evil"),
        link("a/l", "../../evil"),
        link("l", "../evil", tarfile.LNKTYPE),
        link("a/l", "b/../../../evil", then="a/l/x"),
        link("fifo", "", tarfile.FIFOTYPE),
        link("device", "", tarfile.CHRTYPE),
    ],
    # Named, for the bytes hold the time: test processes that name tests by them do not agree.
    ids=["up", "up-in-between", "to-root", "to-above", "to-far-above", "hard", "through-another", "fifo", "device"],
)
def test_a_tar_that_escapes_is_refused_and_leaves_nothing(bad: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadBundle):
        unpack(bad, "tgz", tmp_path / "a" / "b")
    assert list((tmp_path / "a").iterdir()) == []


@pytest.mark.parametrize(
    "entries",
    [
        {"../evil": (0o644, "x")},
        {"/evil": (0o644, "x")},
        {"l": (stat.S_IFLNK, "/etc")},
        {"l": (stat.S_IFLNK, "..")},
        {"d/x": (0o644, ""), "l": (stat.S_IFLNK, "d"), "l/x": (0o644, "written through a link")},
    ],
)
def test_a_zip_that_escapes_is_refused_and_leaves_nothing(
    entries: dict[str, tuple[int, str]], tmp_path: Path
) -> None:
    with pytest.raises(BadBundle):
        unpack(zipped(entries), "zip", tmp_path / "a" / "b")
    assert list((tmp_path / "a").iterdir()) == []


def test_an_unknown_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadBundle, match="'rar' is not one of"):
        unpack(b"", "rar", tmp_path / "a")


@given(kind=st.sampled_from(["tgz", "tar", "zip"]), at=st.integers(0, 300), value=st.integers(0, 255))
def test_a_damaged_bundle_is_one_known_error_or_still_unpacks(
    kind: str, at: int, value: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = {"appspec.yml": "version: 0.0", "a/b": "content"}
    as_zip = zipped({name: (0o644, content) for name, content in files.items()})
    damaged = bytearray({"tgz": tgz(files), "tar": tgz(files, compression=""), "zip": as_zip}[kind])
    damaged[at % len(damaged)] = value
    folder = tmp_path_factory.mktemp("damaged") / "a"
    # Whatever else it may raise fails the test.
    with contextlib.suppress(BadBundle):
        unpack(bytes(damaged), kind, folder)
        return
    assert not folder.exists()
