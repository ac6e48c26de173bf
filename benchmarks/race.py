"""Start two `inv deploy` of different builds at the same instant, N times, and count how often exactly one ran.

usage: python benchmarks/race.py [N]      default: 100

Four groups in a scripted sandbox. Both processes have read that the lock is free before either may take it: that is
the narrowest moment there is. Goal: N of N. The other one ends with exit 4 and says who has the lock; each group got
one deployment, all of them of the same build; the lock is free at the end.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from racing import Racer


def main(number: int) -> int:
    """Print a line for each race that went wrong, and the sum; return how many did."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        racer = Racer(Path(folder))
        try:
            races = []
            for race in racer.races(number):
                races.append(race)
                if race.wrong:
                    print(race, flush=True)
        finally:
            racer.close()
    well = [race for race in races if not race.wrong]
    first = sum(race.winner == 0 for race in well)
    print(
        f"{len(well)} of {number} times exactly one ran: {first} times the one that was started first, "
        f"{len(well) - first} times the other; {time.monotonic() - began:.0f} s"
    )
    return number - len(well)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 100) > 0)
