"""Keep what shipit leaves in a project's folder out of the project's git."""

from __future__ import annotations

from pathlib import Path


def make_home(folder: Path) -> None:
    """Make `folder`, the `.shipit` of a project, with a `.gitignore` over all of it; one that is there stays.

    Without it a first `git add` would commit builds and the sandbox, and the tree would be dirty ever after.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
