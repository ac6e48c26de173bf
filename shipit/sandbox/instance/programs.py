"""Put programs on the PATH of an instance's hooks that the machine has otherwise, or has not."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

_JOURNALCTL = """#!/bin/sh
lines=10
while [ $# -gt 0 ]; do
  case $1 in
    --unit) unit=$2 ;;
    --lines) lines=$2 ;;
  esac
  shift
done
[ ! -f {journal}/"$unit.log" ] || exec tail -n "$lines" {journal}/"$unit.log"
"""


def write_python(folder: Path) -> None:
    """Give hooks this very Python: what else `python3` may be on a laptop (a version manager's shim) is slow."""
    for name in ("python3", "python"):
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', encoding="utf-8")
        path.chmod(0o755)


def write_journalctl(folder: Path, journal: Path) -> None:
    """Give hooks what their own units printed: the machine's journalctl, if it has one, knows nothing of them.

    It knows `--unit NAME` and `--lines N` and prints plain lines, as `--output cat` does.
    """
    path = folder / "journalctl"
    path.write_text(_JOURNALCTL.format(journal=shlex.quote(str(journal))), encoding="utf-8")
    path.chmod(0o755)
