"""One server for all tests of a process; a new Athena for each test."""

from collections.abc import Iterator

import pytest
from sandbox.athena.cloud import Cloud
from sandbox.codedeploy.world import Door


@pytest.fixture(scope="session")
def athena_door() -> Iterator[Door]:
    door = Door()
    yield door
    door.close()


@pytest.fixture
def cloud(athena_door: Door) -> Iterator[Cloud]:
    cloud = Cloud(athena_door)
    yield cloud
    cloud.close()
