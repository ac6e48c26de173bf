"""Decide which files of a checkout go into the bundle, and under which names."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shipit.build.git import Git, Tracked
from shipit.build.standard import APPSPEC, SCRIPTS, standard_entries
from shipit.build.workspace import Workspace
from shipit.bundle import Entry, Globs
from shipit.errors import PreflightError, UsageError
from shipit.settings import BuildSettings

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
#: Where builds are kept: they are never part of one.
STATE = ".shipit"


@dataclass(frozen=True, kw_only=True)
class Collected:
    """List what goes into a bundle; `left_out` are untracked files that one might miss in it.

    `pointers` are files of which git-lfs has brought only its pointer.
    """

    entries: tuple[Entry, ...]
    left_out: tuple[str, ...] = ()
    pointers: tuple[str, ...] = ()

    def places(self, root: Path) -> Mapping[str, str]:
        """Return what people call each file: its path below the project's folder, else its name in the bundle."""
        return {
            e.name: e.source.relative_to(root).as_posix() if e.source.is_relative_to(root) else e.name
            for e in self.entries
        }


def collect(
    git: Git, workspace: Workspace, settings: BuildSettings, *, dirty: bool, unbuilt: bool = False
) -> Collected:
    """Choose by the settings among what git tracks and what the build commands made, and bring it here.

    To these come the standard appspec.yml and scripts, of which a project's own file of the same name wins. `dirty`
    tells that tracked files may be missing, `unbuilt` that the build commands may not have made the outputs yet.
    Raises UsageError for settings that fit nothing, PreflightError for what cannot be in a bundle.
    """
    chosen = _Choice(git, settings, unbuilt=unbuilt)
    base = workspace.bring(sorted(set(chosen.sources.values())))
    entries = []
    for name, source in chosen.sources.items():
        entry = _entry(name, base / source, chosen.tracked.get(source))
        if entry:
            entries.append(entry)
        elif not dirty:
            raise PreflightError(f"{source}: is in the commit but not on disk", hint="git restore, then build again")
    entries += [entry for entry in standard_entries() if entry.name not in chosen.sources]
    kept = {base / name for name in git.kept_by_lfs()}
    pointers = [e.name for e in entries if e.source in kept and e.read(len(_LFS_POINTER)) == _LFS_POINTER]
    return Collected(entries=tuple(entries), left_out=chosen.left_out, pointers=tuple(pointers))


class _Choice:
    """`sources` maps names in the bundle to paths below the project's folder."""

    def __init__(self, git: Git, settings: BuildSettings, *, unbuilt: bool) -> None:
        self._git = git
        self._unbuilt = unbuilt
        self._settings = settings
        self._prefix = _inside(settings.path, "build.path")
        self._exclude = Globs(settings.exclude)
        self.tracked = {file.name: file for file in git.tracked()}
        self.sources: dict[str, str] = {}
        self._take_included()
        self._take_outputs()
        self._take_own_parts()
        for source in self.sources.values():
            if source in self.tracked and self.tracked[source].is_submodule:
                raise PreflightError(
                    f"{source}: is a submodule, whose files are not in this commit",
                    hint="add it to build.exclude, or declare what a build command makes of it in build.outputs",
                )

    @property
    def left_out(self) -> tuple[str, ...]:
        """Return the files that the include globs mean but git does not know: forgotten, perhaps."""
        include, taken = Globs(self._settings.include), set(self.sources.values())
        candidates = self._git.untracked([self._prefix or "."], ignored=False)
        return tuple(
            source
            for source in candidates
            if source not in taken and not _is_state(source) and self._means(include, source)
        )

    def _take_included(self) -> None:
        include = Globs(self._settings.include)
        self._take(source for source in self.tracked if self._means(include, source))

    def _take_outputs(self) -> None:
        folders = [posixpath.join(self._prefix, folder) for folder in Globs(self._settings.outputs).folders()]
        made = [name for name in self._git.untracked(folders, ignored=True) if not _is_state(name)]
        for glob in self._settings.outputs:
            output = Globs([glob])
            matching = [source for source in (*made, *self.tracked) if self._means(output, source)]
            if not matching and not self._unbuilt:
                raise UsageError(
                    f"build.outputs: {glob!r} matches no file after the build commands",
                    hint="globs start at build.path; check what build.commands write",
                )
            if nested := next((source for source in matching if source.endswith("/")), ""):
                raise PreflightError(f"{nested}: is a git repository inside the outputs", hint="exclude it")
            self._take(matching)

    def _take_own_parts(self) -> None:
        """Take what the project has instead of standard parts, or beside them, where it keeps these elsewhere."""
        appspec = _inside(self._settings.appspec, "build.appspec")
        if appspec in self.tracked:
            self.sources.setdefault(APPSPEC, appspec)
        elif "appspec" in self._settings.model_fields_set and APPSPEC not in self.sources:
            raise UsageError(
                f"build.appspec: {appspec} is not in the commit",
                hint="`git add` it, or leave the setting out: a standard one comes with shipit",
            )
        folder = _inside(self._settings.scripts, "build.scripts")
        for source in self.tracked:
            if source.startswith(f"{folder}/"):
                self.sources.setdefault(f"{SCRIPTS}/{source[len(folder) + 1 :]}", source)

    def _take(self, sources: Iterable[str]) -> None:
        for source in sources:
            self.sources[self._name(source)] = source

    def _means(self, globs: Globs, source: str) -> bool:
        if self._prefix and not source.startswith(f"{self._prefix}/"):
            return False
        name = self._name(source)
        return globs.match(name.rstrip("/")) and not self._exclude.match(name.rstrip("/"))

    def _name(self, source: str) -> str:
        return source[len(self._prefix) + 1 :] if self._prefix else source


def _entry(name: str, source: Path, tracked: Tracked | None) -> Entry | None:
    """Return the entry, None where there is no such file; git's word on its mode counts, where git tracks it."""
    try:
        facts = source.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    link = os.readlink(source) if stat.S_ISLNK(facts.st_mode) else ""
    if tracked and tracked.is_link and not link:
        raise PreflightError(
            f"{source}: git keeps a symlink here, the disk a file", hint="set core.symlinks, restore it"
        )
    executable = tracked.executable if tracked else bool(facts.st_mode & stat.S_IXUSR)
    return Entry(name=name, source=source, executable=executable and not link, link=link)


def _inside(path: str, setting: str) -> str:
    """Return the path below the project's folder, empty for the folder itself."""
    normal = posixpath.normpath(path)
    if normal.startswith(("/", "..")):
        raise UsageError(f"{setting}: {path!r} leads out of the project's folder", hint="name a folder in it")
    return "" if normal == "." else normal


def _is_state(source: str) -> bool:
    return source.split("/")[0] == STATE
