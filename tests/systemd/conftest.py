"""An instance whose units a real systemd runs, where this machine lets one run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hook_host import services
from instances import FACTS
from machine import Machine, NoMachine
from real_host import LOGGED, RealHost


@pytest.fixture
def host(tmp_path: Path) -> Iterator[RealHost]:
    (tmp_path / "machine").mkdir()
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)  # the workers' users look at the bundle, too
    try:
        machine = Machine(tmp_path / "machine")
    except NoMachine as reason:
        pytest.skip(f"no systemd of its own: {reason}")
    files = {
        "etc/shipit/instance.env": FACTS.env_file({"SHIPIT_STABLE_SECONDS": "0.5", "SHIPIT_SMOKE": "no"}),
        "etc/systemd/system/worker@.service.d/log.conf": LOGGED,
    }
    ends: dict[str, datetime] = {}
    for name, text in files.items():
        (machine.root / name).parent.mkdir(parents=True, exist_ok=True)
        (machine.root / name).write_text(text)
    with services(ends) as (endpoint, s3):
        bundle = tmp_path / "agent/deployment-archive"
        host = RealHost(machine.root, tmp_path, tmp_path, endpoint, s3, bundle, machine=machine, ends=ends)
        host.point_the_watcher_here()
        yield host
    machine.close()
