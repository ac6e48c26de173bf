"""Projects with sandboxes, started when a test first needs them and stopped at its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from project import Project


@pytest.fixture(scope="session")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose sandbox several tests use one after another; none may leave it broken."""
    project = Project(tmp_path_factory.mktemp("shared"))
    yield project
    project.stop()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project with a sandbox for one test alone."""
    project = Project(tmp_path)
    yield project
    project.stop()


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Project]:
    """A project whose instances play a script and run no processes: quick, and hanging on demand."""
    project = Project(tmp_path, workers="scripted", instances=12)
    yield project
    project.stop()
