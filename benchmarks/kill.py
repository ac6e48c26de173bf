"""Kill `inv deploy` at N moments spread over its whole run, carry each on, and count who converged.

usage: python benchmarks/kill.py [N]      default: 20

Eight groups in a scripted sandbox, half of the rollouts in two waves. Each process dies by SIGKILL at one of its
requests to AWS, chosen at random: before it is sent, or when AWS did what was asked and the answer is on its way.
Goal: N of N, with exactly one successful deployment of the build per group.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from killing import kill_many


def main(number: int) -> int:
    """Print a line for each death and the sum; return how many did not converge."""
    with tempfile.TemporaryDirectory() as folder:
        deaths = kill_many(Path(folder), number, seed=number, listen=lambda death: print(death, flush=True))
    counts = sorted({n for d in deaths for n in d.per_group.values()})
    well = sum(not d.wrong for d in deaths)
    print(f"{well} of {number} converged; deployments per group {', '.join(map(str, counts))}")
    return number - well


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 20) > 0)
