"""JSON values as S3 keeps them, for the ledger."""

from __future__ import annotations

from typing import Any

from shipit.errors import AwsUnavailable, DamagedError
from shipit.models import StoredJson


class Objects:
    """An S3 of JSON values that can fail for a while."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.writes: list[str] = []
        self.failing = 0
        self._etags = 0
        self._versions: dict[str, str] = {}

    def get_json(self, key: str) -> Any:
        self._maybe_fail()
        found = self.values.get(key)
        if isinstance(found, DamagedError):
            raise found
        return found

    def put_json(self, key: str, value: Any) -> None:
        self._maybe_fail()
        self.writes.append(key)
        self._etags += 1
        self.values[key], self._versions[key] = value, str(self._etags)

    def read_json(self, key: str) -> StoredJson | None:
        value = self.get_json(key)
        return None if value is None else StoredJson(value=value, etag=self._versions[key], age=0.0)

    def write_json(self, key: str, value: Any, *, replaces: str | None) -> str | None:
        if self._versions.get(key) != replaces:
            return None
        self.put_json(key, value)
        return self._versions[key]

    def names(self, prefix: str) -> list[str]:
        return sorted(k.removeprefix(f"{prefix}/") for k in self.values if k.startswith(f"{prefix}/"))

    def _maybe_fail(self) -> None:
        if self.failing:
            self.failing -= 1
            raise AwsUnavailable("S3 is away")
