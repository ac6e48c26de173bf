"""The parts of a bundle that come with the tool: appspec.yml, the hooks, and what else runs on an instance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import shipit
from shipit.bundle import Entry

#: In a checkout of shipit itself these are links to its top folders, in an installed package copies.
_FOLDER = Path(shipit.__file__).parent / "standard"
APPSPEC = "appspec.yml"
SCRIPTS = "scripts"


def standard_entries() -> Iterator[Entry]:
    """Yield appspec.yml and all of scripts/, under their names in the bundle."""
    yield _entry(APPSPEC, _FOLDER / "appspec" / APPSPEC)
    scripts = _FOLDER / "scripts"
    for path in sorted(scripts.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield _entry(f"{SCRIPTS}/{path.relative_to(scripts).as_posix()}", path)


def _entry(name: str, source: Path) -> Entry:
    """Take what begins with #! for a program: an archive that the package went through may have dropped its mode."""
    with source.open("rb") as file:
        return Entry(name=name, source=source.resolve(), executable=file.read(2) == b"#!")
