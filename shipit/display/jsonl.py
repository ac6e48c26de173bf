"""Print one JSON object a line, generic from the events' dataclasses (docs/json.md, events.schema.json)."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import PurePath
from types import TracebackType
from typing import Any, Self, TextIO

from shipit.clock import steady_now
from shipit.display.writer import Writer, write_error
from shipit.errors import ShipitError
from shipit.events import Event
from shipit.models import Overview, RolloutPlan, Verification

SCHEMA = 2
#: Properties that a reader would otherwise have to compute by our rules.
_COMPUTED: dict[type, tuple[str, ...]] = {Overview: ("total", "done"), Verification: ("counted", "converged")}


def event_name(kind: type) -> str:
    """Return the name of an event's type in JSON: `GroupStarted` is `group_started`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).lower()


def encode(value: object) -> Any:
    """Return the value as JSON's types: dataclasses as objects, times as ISO 8601 in UTC, not-a-number as null."""
    if is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in fields(value)] + list(_COMPUTED.get(type(value), ()))
        return {name: encode(getattr(value, name)) for name in names}
    if isinstance(value, Enum):
        return encode(value.value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(encode(k)): encode(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted((encode(v) for v in value), key=str)
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


class JsonDisplay:
    """Print events for programs: every line has `schema`, `event` and `at`, and stands alone."""

    def __init__(self, stream: TextIO, *, now: Callable[[], datetime] = steady_now) -> None:
        """Print to `stream`; `now` dates what has no time of its own."""
        self._writer = Writer(stream)
        self._now = now
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __call__(self, event: Event) -> None:
        """Print the event."""
        self._object(event_name(type(event)), encode(event))

    def plan(self, plan: RolloutPlan) -> None:
        """Print the plan as the event `plan`."""
        self._object("plan", {"plan": encode(plan)})

    def text(self, line: str, *, code: bool = False) -> None:
        """Print the line as the event `text`."""
        self._object("text", {"text": line})

    def value(self, kind: str, fields: Mapping[str, object]) -> None:
        """Print a command's answer as the event `value`, its fields below `fields`."""
        self._object("value", {"kind": kind, "fields": encode(fields)})

    def error(self, error: ShipitError) -> None:
        """Print the error as the event `error`, and for people on standard error."""
        self._object(
            "error",
            {
                "error": type(error).__name__,
                "message": error.message,
                "hint": error.hint,
                "exit_code": error.exit_code,
            },
        )
        write_error(error)

    def _object(self, name: str, body: Mapping[str, Any]) -> None:
        envelope = {"schema": SCHEMA, "event": name, "at": body.get("at") or encode(self._now())}
        text = json.dumps({**envelope, **{k: v for k, v in body.items() if k != "at"}}, separators=(",", ":"))
        with self._lock:
            self._writer.line(text)
