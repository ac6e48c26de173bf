"""Ask git, through a Shell, what the commit at HEAD is and which files it tracks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from shlex import quote
from typing import NoReturn

from invoke.runners import Result

from shipit.build.shell import Shell
from shipit.errors import PreflightError, UsageError
from shipit.models import Commit
from shipit.version import GitFacts

_EXECUTABLE, _LINK, _SUBMODULE = "100755", "120000", "160000"
_NOT_FOUND = 127
#: What the user's own settings could change of a diff; a digest of it must not depend on them.
_PLAIN_DIFF = (
    "diff --binary --full-index --no-color --no-ext-diff --no-textconv --no-renames --ignore-submodules=none "
    "--diff-algorithm=myers --indent-heuristic -U3 --inter-hunk-context=0 --src-prefix=a/ --dst-prefix=b/ "
    "-O/dev/null --submodule=short HEAD --"
)


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """Name a file that git tracks, from the folder where it was asked, with the mode that git keeps."""

    name: str
    mode: str

    @property
    def executable(self) -> bool:
        """Tell whether git keeps it executable."""
        return self.mode == _EXECUTABLE

    @property
    def is_link(self) -> bool:
        """Tell whether git keeps it as a symlink."""
        return self.mode == _LINK

    @property
    def is_submodule(self) -> bool:
        """Tell whether it is a repository of its own, whose files git keeps elsewhere."""
        return self.mode == _SUBMODULE


class Git:
    """Ask the repository around the shell's folder. All methods raise UsageError where there is none, or no git."""

    def __init__(self, shell: Shell) -> None:
        """Ask through `shell`; all paths are relative to its folder."""
        self._shell = shell

    def facts(self) -> GitFacts:
        """Return the facts of HEAD that name a build.

        Of several annotated tags the highest version counts, where `v2-rc1` is below `v2`.
        """
        sha, committed_at = self._ask("log -1 --no-show-signature --format='%H %ct' HEAD").split()
        return GitFacts(
            sha=sha, committed_at=int(committed_at), tag=self._tag(), dirty_digest=self.digest_of_changes()
        )

    def digest_of_changes(self) -> str:
        """Return a digest of all that differs from HEAD in tracked files, empty where nothing does."""
        if not self.changed():
            return ""
        return self._ask(f"{_PLAIN_DIFF} | git hash-object --stdin").strip()

    def changed(self) -> list[str]:
        """Return the tracked files that differ from HEAD, from the top of the repository."""
        return _names(self._ask("diff --name-only -z --no-renames --ignore-submodules=none HEAD --"))

    def tracked(self) -> list[Tracked]:
        """Return all tracked files; raises PreflightError for one whose content nobody can vouch for."""
        found = []
        for line in _names(self._ask("ls-files -s -v -z")):
            facts, _, name = line.partition("\t")
            tag, mode, _, stage = facts.split(" ")
            if stage != "0":
                raise PreflightError(f"{name}: is in the middle of a merge", hint="resolve it and commit")
            if tag.islower() or tag == "S":
                raise PreflightError(
                    f"{name}: git was told not to look at it, so it may differ from the commit",
                    hint=f"git update-index --no-assume-unchanged --no-skip-worktree {quote(name)}, "
                    "or git sparse-checkout disable",
                )
            found.append(Tracked(name=name, mode=mode))
        return found

    def untracked(self, folders: Iterable[str], *, ignored: bool) -> list[str]:
        """Return the files below `folders` that git does not track, with those that it ignores if asked."""
        paths = " ".join(quote(f":(literal){folder}") for folder in folders)
        if not paths:
            return []
        return _names(self._ask(f"ls-files --others -z {'' if ignored else '--exclude-standard'} -- {paths}"))

    def kept_by_lfs(self) -> list[str]:
        """Return the tracked files whose content git-lfs keeps elsewhere."""
        return _names(self._ask("ls-files -z -- ':(attr:filter=lfs)'"))

    def is_ancestor(self, older: str, newer: str) -> bool | None:
        """Tell whether `newer` descends from `older`, or is it; None where this repository cannot know.

        It cannot where it lacks one of the commits, and in a shallow clone where no line was found: what joins the
        two may lie beyond its edge.
        """
        if not (self._knows(older) and self._knows(newer)):
            return None
        arguments = f"merge-base --is-ancestor {quote(older)} {quote(newer)}"
        result = self._run(arguments)
        if result.exited not in (0, 1):
            self._fail(arguments, result)
        if result.exited == 0:
            return True
        return None if self._ask("rev-parse --is-shallow-repository").strip() == "true" else False

    def commits(self, since: str, until: str) -> tuple[Commit, ...]:
        """Return the commits that `until` has and `since` has not, the newest first.

        Raises UsageError where one of the two is not in this repository. A shallow clone may lack some of them.
        """
        for name in (since, until):
            if not self._knows(name):
                raise UsageError(
                    f"the repository at {self._shell.folder} has no commit {name!r}",
                    hint="git fetch --tags (git fetch --unshallow in a shallow clone)",
                )
        shown = self._ask(
            "log -z --no-show-signature --no-color --no-decorate --no-notes --encoding=UTF-8 "
            f"--format='%H%x00%aN%x00%ct%x00%s' {quote(f'{since}..{until}')} --"
        )
        fields = shown.removesuffix("\0").split("\0") if shown else []
        return tuple(
            Commit(sha=sha, author=author, date=datetime.fromtimestamp(int(seconds), UTC), subject=subject)
            for sha, author, seconds, subject in zip(*[iter(fields)] * 4, strict=True)
        )

    def resolve(self, name: str) -> str:
        """Return the commit that a name means, empty where this repository holds none of that name."""
        return self._ask(f"rev-parse --verify {quote(name + '^{commit}')}").strip() if self._knows(name) else ""

    def _knows(self, name: str) -> bool:
        """Tell whether the repository holds the commit; `--verify` takes no flag for a name."""
        if not name:
            return False
        arguments = f"rev-parse --verify --quiet {quote(name + '^{commit}')}"
        result = self._run(arguments)
        if result.exited not in (0, 1):
            self._fail(arguments, result)
        return result.exited == 0

    def _tag(self) -> str:
        lines: Sequence[str] = self._ask(
            "-c versionsort.suffix=- for-each-ref --points-at=HEAD --sort=-version:refname "
            "--format='%(objecttype) %(refname:strip=2)' refs/tags"
        ).splitlines()
        return next((line.removeprefix("tag ") for line in lines if line.startswith("tag ")), "")

    def _run(self, arguments: str) -> Result:
        return self._shell.run(f"git {arguments}", env={"LC_ALL": "C"})

    def _ask(self, arguments: str) -> str:
        result = self._run(arguments)
        return str(result.stdout) if result.ok else self._fail(arguments, result)

    def _fail(self, arguments: str, result: Result) -> NoReturn:
        where, said = self._shell.folder, result.stderr.strip()
        if result.exited == _NOT_FOUND:
            raise UsageError(f"git is not installed where the build runs ({where})", hint="install git there")
        if "not a git repository" in said:
            raise UsageError(f"{where} is not in a git repository", hint="a build is made of a commit: git init")
        if "dubious ownership" in said:
            raise UsageError(
                f"git does not trust {where}, which belongs to another user",
                hint=f"git config --global --add safe.directory {where}",
            )
        if "unknown revision" in said or "bad revision" in said or "does not have any commits" in said:
            raise UsageError(f"{where} has no commit yet", hint="a build is made of a commit: git commit")
        raise UsageError(f"git {arguments.split()[0]} failed in {where}: {' '.join(said.split())}")


def _names(output: str) -> list[str]:
    return [name for name in output.split("\0") if name]
