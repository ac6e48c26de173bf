"""An agent with one instance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from instances import FACTS, ID, Driver

from shipit.sandbox.instance.agent import ProcessAgent
from shipit.sandbox.instance.folders import InstanceFolder


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    """Give an agent with one instance, and end all that it started."""
    bundles: dict[str, bytes] = {}
    agent = ProcessAgent(tmp_path, lambda revision: bundles[revision.key], "http://127.0.0.1:9")
    agent.add(FACTS)
    yield Driver(agent, InstanceFolder(tmp_path / "instances" / ID), bundles)
    agent.close()
