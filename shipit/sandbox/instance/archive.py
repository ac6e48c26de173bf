"""Unpack a bundle as the CodeDeploy agent does, and refuse what would land outside of it."""

from __future__ import annotations

import io
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath


class BadBundle(Exception):
    """Say why a bundle cannot be unpacked, in one line."""


def unpack(bundle: bytes, bundle_type: str, into: Path) -> None:
    """Unpack a `tgz`, `tar` or `zip` into the new folder `into`, modes and symlinks kept.

    A single top-level folder that holds a file named like `*appspec*` is stripped (reference codedeploy.md,
    section 3). Raises BadBundle, and leaves nothing, where the bundle is corrupt, of another type, or has an
    entry that escapes; the real agent trusts `tar` and `unzip` with the latter.
    """
    into.mkdir(parents=True)
    try:
        if bundle_type == "zip":
            _unzip(bundle, into)
        elif bundle_type in ("tar", "tgz"):
            _untar(bundle, "r:gz" if bundle_type == "tgz" else "r:", into)
        else:
            raise BadBundle(f"bundle type {bundle_type!r} is not one of tar, tgz, zip")
        _strip_single_folder(into)
    except Exception as error:
        shutil.rmtree(into)
        if isinstance(error, BadBundle):
            raise
        raise BadBundle(f"cannot unpack the {bundle_type}: {error}") from error


def _untar(bundle: bytes, mode: str, into: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(bundle), mode=mode) as archive:  # type: ignore[call-overload]  # mode is a str
        for member in archive:
            if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
                raise BadBundle(f"{member.name}: neither a file, a folder nor a link")
            if member.issym() or member.islnk():
                _check_link(member.name, member.linkname, hard=member.islnk())
            # The filter refuses a path that escapes, also one that does so through a symlink.
            archive.extract(member, into, filter=_keep_modes)


def _keep_modes(member: tarfile.TarInfo, into: str) -> tarfile.TarInfo:
    """Check as tarfile's own filter does, but keep the mode bits that it would drop."""
    return tarfile.tar_filter(member, into).replace(mode=member.mode, deep=False)


def _unzip(bundle: bytes, into: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        for info in archive.infolist():
            _check_path(info.filename)
            mode = info.external_attr >> 16
            path = into / info.filename
            _check_no_link_above(path, into)
            if info.is_dir():
                path.mkdir(parents=True, exist_ok=True)
            elif stat.S_ISLNK(mode):
                target = archive.read(info).decode()
                _check_link(info.filename, target)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(target)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(info))
                path.chmod(stat.S_IMODE(mode) or 0o644)


def _check_path(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise BadBundle(f"{name}: leads outside of the bundle")


def _check_link(name: str, target: str, *, hard: bool = False) -> None:
    """Refuse a link whose target leaves the bundle; a hard link's target counts from the top."""
    depth = 0 if hard else len(PurePosixPath(name).parent.parts)
    for part in PurePosixPath(target).parts:
        depth += -1 if part == ".." else 1
        if depth < 0 or part == "/":
            raise BadBundle(f"{name}: links to {target}, outside of the bundle")


def _check_no_link_above(path: Path, top: Path) -> None:
    for folder in path.relative_to(top).parents:
        if (top / folder).is_symlink():
            raise BadBundle(f"{path.relative_to(top)}: would be written through the symlink {folder}")


def _strip_single_folder(into: Path) -> None:
    entries = list(into.iterdir())
    if len(entries) != 1 or entries[0].is_symlink() or not any(entries[0].glob("*appspec*")):
        return
    # Renamed first: the folder may hold an entry of its own name.
    wrapper = entries[0].rename(into / ".shipit-strip")
    for entry in wrapper.iterdir():
        entry.rename(into / entry.name)
    wrapper.rmdir()
