"""Tell which paths a list of globs means: `*` and `?` stay within a folder, `**` crosses folders.

A glob is matched from the top, and one that names a folder means all below it: `docs`, `docs/` and `docs/**` are
the same.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

_PART = re.compile(r"(?P<any>\*\*/)|(?P<rest>\*\*)|(?P<star>\*)|(?P<one>\?)|(?P<set>\[!?\]?[^]/]*\])|(?P<plain>.)")
_MAGIC = re.compile(r"[*?[]")


class Globs:
    """Match paths against any of several globs."""

    def __init__(self, globs: Iterable[str]) -> None:
        """Compile the globs."""
        self._globs = [glob.removeprefix("./").rstrip("/") for glob in globs]
        self._pattern = re.compile(
            "|".join(f"(?:{_translate(g)})(?:/.*)?" for g in self._globs) or r"(?!)", re.DOTALL
        )

    def match(self, path: str) -> bool:
        """Tell whether a glob means this path, or a folder above it."""
        return self._pattern.fullmatch(path) is not None

    def folders(self) -> list[str]:
        """Return the paths below which all matches lie, "." for the top."""
        return sorted({_fixed(glob) or "." for glob in self._globs})


def _translate(glob: str) -> str:
    return "".join(_piece(match) for match in _PART.finditer(glob))


def _piece(match: re.Match[str]) -> str:
    text = match.group()
    match match.lastgroup:
        case "any":
            return "(?:.*/)?"
        case "rest":
            return ".*"
        case "star":
            return "[^/]*"
        case "one":
            return "[^/]"
        case "set":
            # fnmatch knows empty ranges and what needs a backslash; around the set it puts `(?s:` and `)\Z`.
            return f"(?!/){fnmatch.translate(text)[4:-3]}"
        case _:
            return re.escape(text)


def _fixed(glob: str) -> str:
    """Return the leading folders of the glob that have no wildcard."""
    parts = glob.split("/")
    plain = next((n for n, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
    return "/".join(parts[:plain])
