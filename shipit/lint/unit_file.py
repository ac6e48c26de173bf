"""Read systemd unit files as text: settings with their lines, drop-ins behind the unit that they belong to."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from shipit.lint.commands import logical_lines
from shipit.lint.sources import Sources

_SECONDS = {"": 1.0, "us": 1e-6, "ms": 0.001, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0}
_SECONDS |= {"m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0, "h": 3600.0, "hr": 3600.0, "hour": 3600.0}
_SECONDS |= {"hours": 3600.0, "d": 86400.0, "day": 86400.0, "days": 86400.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*")


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Hold one `key=value` of a unit or of its drop-in; `line` counts from 1."""

    key: str
    value: str
    file: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Hold a unit's settings in the order in which systemd takes them; `line` is that of its [Service]."""

    file: str
    line: int = 0
    settings: tuple[Assignment, ...] = field(default=())

    def all(self, key: str) -> list[Assignment]:
        """Return all values of a key; an empty one resets those before it."""
        found: list[Assignment] = []
        for one in self.settings:
            if one.key == key:
                found = [*found, one] if one.value else []
        return found

    def last(self, key: str) -> Assignment | None:
        """Return the value that counts, None where there is none."""
        return next(reversed(self.all(key)), None)

    def value(self, key: str, default: str = "") -> str:
        """Return the text of the value that counts."""
        found = self.last(key)
        return found.value if found else default

    def line_of(self, key: str) -> tuple[str, int]:
        """Return where a key is set, else the line of [Service]."""
        found = self.last(key)
        return (found.file, found.line) if found else (self.file, self.line)


def read_units(sources: Sources, suffix: str = ".service") -> Iterator[Unit]:
    """Yield the bundle's units of a kind, each with the drop-ins of its folder `NAME.d`."""
    for name in sources.files:
        if not name.endswith(suffix) or sources.files[name].link:
            continue
        own = list(_assignments(name, sources.text(name)))
        extra = sorted(f for f in sources.files if posixpath.dirname(f) == f"{name}.d" and f.endswith(".conf"))
        for file in extra:
            own += _assignments(file, sources.text(file))
        yield Unit(file=name, line=_section(sources.text(name)), settings=tuple(own))


def _assignments(name: str, text: str) -> Iterator[Assignment]:
    for number, line in logical_lines(text):
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith(("#", ";", "[")):
            yield Assignment(key=key.strip(), value=value.strip(), file=name, line=number)


def _section(text: str) -> int:
    lines = text.splitlines()
    return next((n for n, line in enumerate(lines, start=1) if line.strip() == "[Service]"), 1)


def seconds(span: str) -> float | None:
    """Return the seconds of a time span such as `90`, `2min` or `infinity`, None for what is none."""
    if span in ("infinity", "0"):
        return float("inf")  # systemd.service(5): both switch a timeout off
    parts = _SPAN.findall(span)
    if not parts or _SPAN.sub("", span) or any(unit not in _SECONDS for _, unit in parts):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
