"""Time `inv --list` of shipit beside that of an empty tasks.py, alternately; the goal is a ratio of at most 1.3.

usage: python benchmarks/listing.py [ROUNDS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INVOKE = [sys.executable, "-m", "invoke", "--list"]


def seconds(folder: Path) -> float:
    """Return the wall seconds of one listing in `folder`."""
    begun = time.perf_counter()
    subprocess.run(INVOKE, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - begun


def main(rounds: int) -> None:
    """Print both medians and their ratio."""
    with tempfile.TemporaryDirectory() as name:
        empty = Path(name)
        (empty / "tasks.py").write_text(
            "from invoke import task\n\n\n@task\ndef nothing(context):\n    '''Do nothing.'''\n"
        )
        pairs = [(seconds(empty), seconds(ROOT)) for _ in range(rounds + 1)][1:]
    peer, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(
        f"inv --list, median of {rounds}: empty tasks.py {peer:.3f} s, shipit {ours:.3f} s, ratio {ours / peer:.2f}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
