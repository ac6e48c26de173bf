"""What an appspec.yml orders, and what may be wrong with it, as frozen types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shipit.models import Severity

#: Seconds after which CodeDeploy ends a lifecycle event, and what a script gets that names no timeout.
LONGEST_EVENT = 3600


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Say what is wrong and what to do; `line` and `column` count from 1, and are 0 where there is no place.

    An ERROR is what the agent refuses, a WARNING what people regret.
    """

    file: str
    reason: str
    fix: str
    line: int = 0
    column: int = 0
    severity: Severity = Severity.ERROR

    @property
    def place(self) -> str:
        """Return the file, line and column as far as they are known, as compilers write them."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)

    def __str__(self) -> str:
        return f"{self.place}: {self.severity}: {self.reason}; {self.fix}"


@dataclass(frozen=True, kw_only=True)
class FileMapping:
    """Copy `source` (from the top of the bundle, "" for all of it) into the folder `destination`."""

    source: str
    destination: str
    line: int = 0


@dataclass(frozen=True, kw_only=True)
class Permission:
    """Set owner, group and mode (octal digits) of what matches below `object`; empty leaves them alone."""

    object: str
    pattern: str = "**"
    excluded: tuple[str, ...] = ()
    owner: str = ""
    group: str = ""
    mode: str = ""
    types: tuple[str, ...] = ("file", "directory")


@dataclass(frozen=True, kw_only=True)
class Hook:
    """Run the script at `location` (from the top of the bundle) for at most `timeout` seconds."""

    location: str
    timeout: int = LONGEST_EVENT
    runas: str = ""
    line: int = 0
    column: int = 0


@dataclass(frozen=True, kw_only=True)
class AppSpec:
    """Hold what an appspec.yml orders; `file_exists_behavior` is empty where it leaves that to the API."""

    files: tuple[FileMapping, ...] = ()
    permissions: tuple[Permission, ...] = ()
    hooks: Mapping[str, tuple[Hook, ...]] = field(default_factory=dict)
    file_exists_behavior: str = ""
