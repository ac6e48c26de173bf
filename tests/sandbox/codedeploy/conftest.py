"""One server and client for all tests of a process; a new world for each test."""

from collections.abc import Iterator

import pytest
from sandbox.codedeploy.world import Door, World


@pytest.fixture(scope="session")
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.close()


@pytest.fixture
def world(door: Door) -> World:
    return World(door)
