"""Pass everything on to a display: what adds to one, and needs but a part of what it is told, begins here."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from shipit.errors import ShipitError
from shipit.events import Event
from shipit.models import RolloutPlan

if TYPE_CHECKING:
    from shipit.display import Display


class Around:
    """Stand in front of a display."""

    def __init__(self, display: Display) -> None:
        """Wrap `display`."""
        self._display = display

    def __enter__(self) -> Self:
        self._display.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.__exit__(kind, error, trace)

    def __call__(self, event: Event) -> None:
        """Pass the event on."""
        self._display(event)

    def plan(self, plan: RolloutPlan) -> None:
        """Pass the plan on."""
        self._display.plan(plan)

    def text(self, line: str, *, code: bool = False) -> None:
        """Pass the line on."""
        self._display.text(line, code=code)

    def value(self, kind: str, fields: Mapping[str, object]) -> None:
        """Pass the answer on."""
        self._display.value(kind, fields)

    def error(self, error: ShipitError) -> None:
        """Pass the error on."""
        self._display.error(error)
