"""Run scripts through an Invoke Context: on this machine, or on another where the Context is a Fabric Connection."""

from __future__ import annotations

import os
import posixpath
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote
from typing import cast

from invoke.context import Context
from invoke.runners import Local, Promise, Result, Runner


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
        with _held_back() as came:
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
        try:
            if came:
                raise KeyboardInterrupt
            promise.runner.wait()
        except BaseException:
            _kill(promise.runner)
            raise
        return promise.join()


@contextmanager
def _held_back() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM instead of heeding them: in the middle of a start, Invoke fails in its own way.

    Only the main thread hears signals, and only those are held back that Python handles.
    """
    came: list[int] = []
    heard = threading.current_thread() is threading.main_thread()
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if heard and callable(signal.getsignal(n))]
    before = {n: signal.signal(n, lambda number, frame: came.append(number)) for n in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
