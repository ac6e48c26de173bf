"""The Install event: copy what `files:` names below the instance's root, as the CodeDeploy agent does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from shipit.appspec import FileMapping


class InstallError(Exception):
    """Say why Install failed, in one line."""


@dataclass(frozen=True, kw_only=True)
class Installer:
    """Install one archive below `root`; `record` remembers what was written, for the next Install to delete.

    Not atomic, like the agent's: the last Install's files are gone before a collision is even looked for
    (reference codedeploy.md, section 3).
    """

    archive: Path
    root: Path
    record: Path
    file_exists_behavior: str

    def install(self, files: Iterable[FileMapping]) -> None:
        """Delete what the last Install wrote, plan all copies, then copy.

        Files keep their mode, folders do not; a symlink to a folder becomes a full copy. Raises InstallError
        for a missing source, a destination outside of `root`, and a collision under DISALLOW.
        """
        self._delete_last()
        copies = [copy for mapping in files for copy in self._plan(mapping)]
        written: list[str] = []
        try:
            for source, destination in copies:
                written += self._copy(source, destination)
        finally:
            self.record.write_text("".join(f"{path}\n" for path in written), encoding="utf-8")

    def _delete_last(self) -> None:
        if not self.record.exists():
            return
        # Backwards, so that a folder comes after what was written into it.
        for line in reversed(self.record.read_text(encoding="utf-8").splitlines()):
            path = Path(line)
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()):
                    path.rmdir()
            else:
                path.unlink(missing_ok=True)

    def _plan(self, mapping: FileMapping) -> Iterator[tuple[Path, Path]]:
        source = self.archive / mapping.source
        destination = self._below_root(mapping.destination)
        if source.is_dir():
            yield source, destination
            yield from self._plan_folder(source, destination)
        elif source.exists() or source.is_symlink():
            yield source.parent, destination
            yield from self._plan_file(source, destination / source.name)
        else:
            raise InstallError(f"No such file or directory - {mapping.source}")

    def _plan_folder(self, source: Path, destination: Path) -> Iterator[tuple[Path, Path]]:
        for entry in sorted(source.iterdir()):
            target = destination / entry.name
            if entry.is_dir():
                yield entry, target
                yield from self._plan_folder(entry, target)
            else:
                yield from self._plan_file(entry, target)

    def _plan_file(self, source: Path, destination: Path) -> Iterator[tuple[Path, Path]]:
        if destination.exists() or destination.is_symlink():
            if self.file_exists_behavior == "RETAIN":
                return
            if self.file_exists_behavior != "OVERWRITE":
                raise InstallError(
                    "The deployment failed because a specified file already exists at this location: "
                    + self._inside(destination)
                )
        yield source, destination

    def _below_root(self, destination: str) -> Path:
        absolute = PurePosixPath(os.path.normpath("/" + destination))
        path = self.root / absolute.relative_to(absolute.root)
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise InstallError(f"{destination}: leads outside of the instance's file system")
        return path

    def _inside(self, path: Path) -> str:
        """Return a path as the instance sees it."""
        return f"/{path.relative_to(self.root)}"

    def _copy(self, source: Path, destination: Path) -> list[str]:
        """Copy one file or make one folder; return the paths that are new, outermost first."""
        if source.is_dir():
            return [str(path) for path in _make_folders(destination)]
        if destination.is_symlink():
            destination.unlink()
        elif destination.is_dir():
            raise InstallError(f"Is a directory - {self._inside(destination)}")
        shutil.copy2(source, destination, follow_symlinks=False)
        return [str(destination)]


def _make_folders(folder: Path) -> list[Path]:
    missing: list[Path] = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    missing.reverse()
    for path in missing:
        path.mkdir()
    return missing
