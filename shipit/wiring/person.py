"""Who types the command, and what they answer when asked."""

from __future__ import annotations

import getpass
import os
import socket
import sys

from shipit.errors import PreflightError


def author() -> str:
    """Return who runs this: the CI job's address where one is known, else user@host."""
    job = os.environ.get("GITHUB_RUN_ID", "")
    if job:
        server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
        return f"{server}/{os.environ.get('GITHUB_REPOSITORY', '')}/actions/runs/{job}"
    return os.environ.get("CI_JOB_URL", "") or f"{getpass.getuser()}@{socket.gethostname()}"


def confirm(question: str, wanted: str, *, yes: bool) -> None:
    """Return where `yes` was given, or the answer typed is `wanted`; raises PreflightError for any other.

    Without a terminal nobody can answer: that is a no, too.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise PreflightError(f"{question} Nobody is there to confirm it", hint="--yes confirms it in advance")
    sys.stderr.write(f"{question} Type {wanted!r} to go on: ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):  # Ctrl-D: what is said next has a line of its own all the same
        sys.stderr.write("\n")
    if answer.strip() != wanted:
        raise PreflightError("not confirmed: no group was changed", hint="the same command asks again")
