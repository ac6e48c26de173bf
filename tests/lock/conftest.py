"""An S3 and two machines that share a lock in it."""

import pytest
from locking import FakeS3, Machine


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3()


@pytest.fixture
def laptop(s3: FakeS3) -> Machine:
    return Machine(s3)


@pytest.fixture
def ci(s3: FakeS3) -> Machine:
    return Machine(s3, name="runner", machine="boot-2", pid=2)
