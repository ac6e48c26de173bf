"""The workgroups of the sandbox's Athena: where their results go, how much one of their queries may read."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from shipit.sandbox.wire import ApiError

PRIMARY = "primary"
ENGINE_VERSION = {"SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3"}


@dataclass(frozen=True, kw_only=True)
class Workgroup:
    """Hold one workgroup: `output` an s3:// URL or empty, `scan_limit` in bytes, None for no limit."""

    name: str
    output: str = ""
    scan_limit: int | None = None


class Workgroups:
    """Hold all workgroups; `primary` is there from the start. Safe for several threads."""

    def __init__(self, output: str) -> None:
        """Give `primary` this output location."""
        self._lock = threading.Lock()
        self._groups = {PRIMARY: Workgroup(name=PRIMARY, output=output)}

    def names(self) -> list[str]:
        """Return the names of all, in order."""
        with self._lock:
            return sorted(self._groups)

    def get(self, name: str) -> Workgroup:
        """Return a workgroup; an unknown one is refused."""
        with self._lock:
            if name not in self._groups:
                raise invalid(f"WorkGroup {name} is not found.")
            return self._groups[name]

    def create(self, group: Workgroup) -> None:
        """Add a workgroup; a name that is taken is refused."""
        with self._lock:
            if group.name in self._groups:
                raise invalid("WorkGroup is already created")
            self._groups[group.name] = group

    def limit(self, name: str, scan_limit: int | None) -> None:
        """Let a query of the workgroup read so many bytes at most; an unknown one is refused."""
        group = self.get(name)
        with self._lock:
            self._groups[name] = replace(group, scan_limit=scan_limit)


def invalid(message: str) -> ApiError:
    """Return Athena's refusal of a request."""
    return ApiError("InvalidRequestException", message)
