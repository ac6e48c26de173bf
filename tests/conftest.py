"""What holds for all tests: their order, those that take long first on each worker, and how Hypothesis tries."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import settings

# No example is timed: a machine that is busy for 200 ms is no failure. Each run tries the same examples, so that a
# failure is of the change at hand; `pytest --hypothesis-profile=explore` tries others.
settings.register_profile("repeat", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("repeat")

#: Folders of tests that start daemons, workers or whole deployments: seconds each, where the others take none.
LONG = ("e2e", "worker", "systemd")
#: Of these, the files whose tests take longest begin.
LONGEST = ("test_rehearse.py", "test_resume.py", "test_interrupts.py", "test_rollback.py", "test_verify.py")
HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each worker of xdist a share that begins with long tests, whose ends the short ones then even out.

    `--dist worksteal` cuts the list into as many pieces as there are workers; whoever is done takes from another's
    tail. In the order of files, the long ones would all be one worker's, and the last to end. Files stay together,
    for their fixtures' sake.
    """
    workers = int(getattr(config, "workerinput", {}).get("workercount", 1))
    if workers < 2:
        return
    files: dict[Path, list[pytest.Item]] = defaultdict(list)
    for item in items:
        files[item.path].append(item)
    long = [path for path in files if path.relative_to(HERE).parts[0] in LONG]
    long.sort(key=lambda path: (path.name not in LONGEST, -len(files[path])))
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for number, path in enumerate(long):
        turn = number % (2 * workers)  # there and back again, so that no worker gets the longer one each time
        shares[min(turn, 2 * workers - 1 - turn)] += files[path]
    short = [item for path, own in files.items() if path not in set(long) for item in own]
    for number, share in enumerate(shares):
        room = len(items) // workers - len(share) if number < workers - 1 else len(short)
        share += short[: max(0, room)]
        del short[: max(0, room)]
    items[:] = [item for share in shares for item in share]
