"""Write files into a folder, all of them or none, and over nothing that somebody changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shipit.errors import UsageError
from shipit.wording import plural


@dataclass(frozen=True, kw_only=True)
class Written:
    """Say which files were written, and which were there just so."""

    written: tuple[str, ...]
    same: tuple[str, ...]


def write(folder: Path, texts: Mapping[str, str], *, force: bool) -> Written:
    """Write each text to its path below `folder`, which is made where it is not there.

    Raises UsageError, before anything is written, where a file there differs and `force` is not given; and where the
    folder cannot be written to.
    """
    try:
        there = {name: _there(folder / name) for name in texts}
        differing = [name for name, text in texts.items() if there[name] not in (None, text)]
        if differing and not force:
            names = ", ".join(differing)
            raise UsageError(
                f"{plural(len(differing), 'file')} in {folder} would change, and nothing was written: {names}",
                hint="--force writes over them; what was changed there by hand is lost",
            )
        changed = tuple(name for name, text in texts.items() if there[name] != text)
        for name in changed:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[name], encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{error.filename or folder}: {error.strerror}", hint="choose a folder to write to"
        ) from None
    return Written(written=changed, same=tuple(name for name in texts if name not in changed))


def _there(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
