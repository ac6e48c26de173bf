"""Play a rollout under each fault of the sandbox, and print how each one ended.

usage: python benchmarks/faults.py [--quick] [--only NAME] [--groups N] [--instances N] [--verbose]

The real command line runs in temporary projects with sandboxes of their own (tests/fault_rows.py says what goes wrong
and what is right). `--only` plays the rows whose name contains the text. Where a service is down it is for a minute,
with `--quick` for eight seconds. `--verbose` shows what wrong rows printed. Exits with 1 where any row ended wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from fault_rows import queues, rows
from fault_stage import Result, Stage

_LINE = "{:<46} {:>10} {:>9} {:>11} {:>8}  {:<6} {}"


def told(result: Result) -> str:
    """Return a row of the table."""
    row = result.row
    return _LINE.format(
        row.name,
        f"{result.code} ({row.code})",
        f"{result.succeeded}/{result.groups}",
        f"{result.most} ({row.most})",
        f"{result.seconds:.1f}",
        "WRONG" if result.wrong else "right",
        result.last[:110],
    )


def main() -> int:
    """Play the rows that were asked for; return how many ended wrong, at most 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="services are down for 8 seconds, not for a minute")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument("--instances", type=int, default=60)
    parser.add_argument("--verbose", action="store_true", help="show what wrong rows printed")
    given = parser.parse_args()
    chosen = [row for row in rows(8.0 if given.quick else 60.0) if given.only.lower() in row.name.lower()]
    if not chosen:
        parser.error(f"no row is called {given.only!r}")
    wrong = 0
    print(_LINE.format("fault", "exit", "succeeded", "most", "seconds", "ended", "words"))
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder), queues(given.groups), given.instances)
        try:
            for row in chosen:
                result = stage.play(row)
                wrong += bool(result.wrong)
                print(told(result), flush=True)
                for line in result.wrong:
                    print(f"    wrong: {line}", flush=True)
                if result.wrong and given.verbose:
                    print(result.said, flush=True)
        finally:
            stage.close()
    print(f"{len(chosen) - wrong} of {len(chosen)} ended as they must")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
