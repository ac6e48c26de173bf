"""One file or symlink of a bundle: what it is called there, and where its bytes lie here."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shipit.errors import PreflightError

#: Bytes read at once: no file is ever held as a whole.
CHUNK = 1 << 19


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Name one file of a bundle (`name` from its top, with slashes), or a symlink where `link` is its target.

    `source` is where the bytes lie. The mode is all of a file's metadata that git keeps, so it is all that a
    bundle keeps.
    """

    name: str
    source: Path
    executable: bool = False
    link: str = ""

    @property
    def mode(self) -> int:
        """Return the permissions that the entry has in the bundle."""
        if self.link:
            return 0o777
        return 0o755 if self.executable else 0o644

    def read(self, limit: int) -> bytes:
        """Return the first `limit` bytes of a file."""
        with self.source.open("rb") as file:
            return file.read(limit)

    def contents(self) -> Content:
        """Open the file; raises PreflightError where it is gone, or is no file."""
        return Content(self)


class Content:
    """An open file with the `size` that it had when it was opened."""

    def __init__(self, entry: Entry) -> None:
        """Open the entry's source. A pipe in its place must not make us wait, nor a symlink lead us elsewhere."""
        self._name = entry.name
        try:
            self._descriptor = os.open(entry.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise PreflightError(f"{entry.name}: cannot be read: {error.strerror}") from error
        facts = os.fstat(self._descriptor)
        if not stat.S_ISREG(facts.st_mode):
            self.close()
            raise PreflightError(f"{entry.name}: is neither a file nor a symlink", hint="add it to build.exclude")
        self.size = facts.st_size

    def __enter__(self) -> Content:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes in chunks; raises PreflightError where they are not as many as `size`."""
        left, ended = self.size, False
        while left >= 0 and not ended:
            wanted = min(left + 1, CHUNK)  # one byte more than is left: most files need one call
            chunk = os.read(self._descriptor, wanted)
            ended = len(chunk) < wanted
            left -= len(chunk)
            if chunk and left >= 0:
                yield chunk
        if left:
            raise PreflightError(f"{self._name}: changed while it was read", hint="build when nothing writes to it")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
