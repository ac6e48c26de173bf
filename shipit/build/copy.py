"""A copy of the repository, in which other commits are built while the user's checkout stays as it is."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from invoke.context import Context

from shipit.build.shell import Shell
from shipit.errors import ShipitError

#: No hook of the user's runs in the copy, and nobody is asked for a signature.
_GIT = (
    "git -c core.hooksPath=/dev/null -c commit.gpgsign=false -c user.name=shipit -c user.email=shipit@example.invalid"
)


class Copy:
    """Hold a clone that shares the repository's objects, and in which commits may be made that nobody else sees."""

    def __init__(self, context: Context, root: Path, folder: Path) -> None:
        """Clone the repository around `root` to `folder`, with nothing checked out; raises ShipitError."""
        shell = Shell(context, str(root))
        top, prefix = (_run(shell, f"rev-parse {flag}") for flag in ("--show-toplevel", "--show-prefix"))
        _run(shell, f"clone --quiet --shared --no-checkout -- {quote(top)} {quote(str(folder))}")
        self._shell = Shell(context, str(folder))
        #: The project's folder in the copy.
        self.root = folder / prefix

    def switch(self, commit: str) -> None:
        """Check a commit out, whatever lies there."""
        _run(self._shell, f"checkout --quiet --force --detach {quote(commit)}")

    def commit(self, message: str) -> None:
        """Commit all that differs, new files too; without any difference, a commit of the same content."""
        _run(self._shell, "add --all")
        _run(self._shell, f"commit --quiet --allow-empty --no-verify --message {quote(message)}")


def _run(shell: Shell, arguments: str) -> str:
    result = shell.run(f"{_GIT} {arguments}", env={"LC_ALL": "C"})
    if not result.ok:
        said = " ".join(result.stderr.split())
        raise ShipitError(f"git {arguments.split()[0]} failed in {shell.folder}: {said}")
    return str(result.stdout).strip()
