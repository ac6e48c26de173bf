"""Kill hooks N times at random points, run them again or deploy anew, and look after each whether anything is mixed.

usage: python benchmarks/hook_fuzz.py [N] [SEED]      default: 200 1

One instance of the sandbox, on which three builds replace one another in random order. After every hook and every
kill: each worker runs from the folder of the build that it names, each release holds its bundle byte for byte, and
a worker runs. Goal: N kills, nothing found.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from hook_fuzz import Broken, fuzz, victim


def main(kills: int, seed: int) -> int:
    """Print what was killed how often, and what was found; return the exit code."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, victim(Path(folder), seed) as one:
        found = ""
        try:
            fuzz(one, kills)
        except Broken as broken:
            found = str(broken)
        tally = one.tally
    for name, count in sorted(tally.kills.items()):
        print(f"{name:24} killed {count} times")
    print(f"{sum(tally.kills.values())} kills, {tally.deployments} deployments, {time.monotonic() - began:.0f} s")
    print(f"seed {seed}: {found}" if found else "no build was mixed with another, and a worker always ran")
    return 1 if found else 0


if __name__ == "__main__":
    kills, seed, *_ = [*map(int, sys.argv[1:]), *(200, 1)[len(sys.argv) - 1 :]]
    sys.exit(main(kills, seed))
