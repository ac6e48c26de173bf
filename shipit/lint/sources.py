"""Give the rules the text of the few files that they look at, read once and never further than a bound."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from shipit.appspec import BundledFile

#: Bytes of a file that are looked at: what is larger is data or was generated.
LONGEST = 1 << 20
_FOREIGN = {"site-packages", "node_modules", ".venv", "venv", "tests", "test", "shipit_worker"}
_LIKELY = re.compile(r"celery|conf|settings|app|worker|task|queue|__init__|__main__", re.IGNORECASE)
_SHELL = re.compile(r"#!.*\b(sh|bash|dash|ash|ksh|zsh)\b")


#: Where a bundle keeps settings, those that win last.
_SETTINGS = ("scripts/defaults.env", "scripts/settings.env")


@dataclass(frozen=True, kw_only=True)
class Assigned:
    """Hold the value of a setting, and where it stands."""

    value: str
    file: str
    line: int


@dataclass(frozen=True)
class Sources:
    """Hold the files of a bundle by name. What cannot be read is empty: the build says so itself."""

    files: Mapping[str, BundledFile]
    _texts: dict[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return the beginning of a file as text; empty for a symlink and for what is not there."""
        if name not in self._texts:
            self._texts[name] = self._read(name)
        return self._texts[name]

    @property
    def read(self) -> list[str]:
        """Return the names of the files that were looked at."""
        return [name for name, text in self._texts.items() if text]

    def _read(self, name: str) -> str:
        return self._bytes(name).decode("utf-8", errors="replace")

    def _bytes(self, name: str) -> bytes:
        file = self.files.get(name)
        if file is None or file.link:
            return b""
        try:
            return file.read(LONGEST)
        except OSError:
            return b""

    def mentions(self, name: str, words: Iterable[bytes]) -> bool:
        """Tell whether a file holds one of the words, given in lower case; keeps nothing of a file that does not."""
        found = self._bytes(name).lower()
        return any(word in found for word in words)

    def python(self, most: int | None) -> list[str]:
        """Return the application's Python files, `most` of them: by likely names first, then the topmost."""
        names = [n for n in self.files if n.endswith(".py") and not _is_foreign(n)]
        names.sort(key=lambda n: (not _LIKELY.search(posixpath.basename(n)), n.count("/"), n))
        return names[:most]

    def shell(self) -> Iterator[str]:
        """Yield the shell scripts: by their suffix, or an executable without one that begins with a shell's #!."""
        for name, file in self.files.items():
            base = posixpath.basename(name)
            if _is_foreign(name) or file.link:
                continue
            if base.endswith((".sh", ".bash")) or (
                file.executable and "." not in base and _SHELL.match(self.text(name))
            ):
                yield name

    def named(self, path: str) -> str:
        """Return the file of the bundle that a path on an instance means, by its end; empty where there is none."""
        parts = path.strip("/").split("/")
        ends = ("/".join(parts[n:]) for n in range(len(parts)))
        return next((end for end in ends if end in self.files), "")

    def settings(self) -> dict[str, Assigned]:
        """Return what the bundle says to its worker, as scripts/lib.sh reads it: the project's before the standard.

        What the user data of an instance says goes before both; it cannot be seen from here.
        """
        return {key: one for name in _SETTINGS for key, one in self._assigned(name)}

    def _assigned(self, name: str) -> Iterator[tuple[str, Assigned]]:
        for number, line in enumerate(self.text(name).splitlines(), start=1):
            key, equals, value = line.strip().partition("=")
            if equals and not key.startswith("#"):
                yield key.strip(), Assigned(value=value.strip().strip("'\""), file=name, line=number)


def _is_foreign(name: str) -> bool:
    folders, base = name.split("/")[:-1], posixpath.basename(name)
    return not _FOREIGN.isdisjoint(folders) or base.startswith("test_") or base == "conftest.py"
