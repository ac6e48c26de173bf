"""Run scripts through an Invoke Context: on this machine, or on another where the Context is a Fabric Connection."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from shlex import quote
from typing import cast

from invoke.context import Context
from invoke.runners import Promise, Result


class Shell:
    """A POSIX shell in one folder of the Context's machine."""

    def __init__(self, context: Context, folder: str) -> None:
        """Run in `folder`, which is a path on that machine."""
        self._context = context
        self.folder = folder

    def inside(self, folder: str) -> Shell:
        """Return a shell in a folder below this one's."""
        return Shell(self._context, posixpath.join(self.folder, folder))

    def run(self, script: str, *, env: Mapping[str, str] | None = None) -> Result:
        """Run the script to its end, with nothing on stdin, and return its output and exit code.

        Ctrl-C kills it at once: Invoke would wait for the end of a script that cannot hear it.
        """
        exports = "".join(f"export {name}={quote(value)}; " for name, value in (env or {}).items())
        whole = f"{exports}cd {quote(self.folder)} && {{ {script}\n}}"
        promise = cast(
            Promise,
            self._context.run(
                f"sh -c {quote(whole)}", shell="/bin/sh", encoding="utf-8", pty=False, warn=True, asynchronous=True
            ),
        )
        try:
            promise.runner.wait()
        except BaseException:
            promise.runner.kill()
            raise
        return promise.join()
