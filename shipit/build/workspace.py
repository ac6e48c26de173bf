"""Where a checkout lies, and how its files come to this machine."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Workspace(Protocol):
    """A checkout on the Context's machine."""

    @property
    def folder(self) -> str:
        """Return the project's folder there: where shipit.toml lies."""

    def bring(self, names: Collection[str]) -> Path:
        """Return a folder on this machine that holds the files of these names, below `folder` there."""


@dataclass(frozen=True, kw_only=True)
class LocalWorkspace:
    """A checkout on this machine: its files are here already."""

    root: Path

    @property
    def folder(self) -> str:
        """Return the project's folder."""
        return str(self.root)

    def bring(self, names: Collection[str]) -> Path:
        """Return the project's folder."""
        return self.root
