"""Run scripts through an Invoke Context: on this machine, or on another where the Context is a Fabric Connection."""

from __future__ import annotations

import os
import posixpath
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import cast

from invoke.context import Context
from invoke.runners import Local, Promise, Result, Runner

from shipit.interrupts import held_back


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

        Ctrl-C kills it at once, with what it started: Invoke would wait for the end of a script that cannot hear it.
        """
        exports = "".join(f"export {name}={quote(value)}; " for name, value in (env or {}).items())
        whole = f"{exports}cd {quote(self.folder)} && {{ {script}\n}}"
        promise: Promise | None = None
        try:
            # In the middle of a start, an interrupt makes Invoke fail in its own way.
            with held_back():
                promise = cast(
                    Promise,
                    self._context.run(
                        f"sh -c {quote(whole)}",
                        shell="/bin/sh",
                        encoding="utf-8",
                        pty=False,
                        warn=True,
                        asynchronous=True,
                    ),
                )
            promise.runner.wait()
        except BaseException:
            if promise is not None:
                _kill(promise.runner)
            raise
        return promise.join()


def _kill(runner: Runner) -> None:
    """Kill a script and, on this machine, all that it started: Invoke kills but the shell around it."""
    family = _family(runner.process.pid) if isinstance(runner, Local) else []
    runner.kill()
    for pid in family:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _family(pid: int) -> list[int]:
    """Return the processes below `pid`, as far as this system tells."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [each for child in children for each in (child, *_family(child))]
