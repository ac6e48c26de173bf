"""What all operations share: the store, the engine, the time, and one lock around each of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from shipit.sandbox.clock import Timer
from shipit.sandbox.codedeploy.engine import Engine
from shipit.sandbox.codedeploy.store import Store

S = TypeVar("S", bound="Operations")


class Operations:
    """Hold what an operation works on."""

    def __init__(self, store: Store, engine: Engine, timer: Timer, arn_prefix: str) -> None:
        """Take `arn_prefix` as in `arn:aws:ec2:us-east-1:123456789012:instance/`."""
        self._store = store
        self._engine = engine
        self._timer = timer
        self._arn_prefix = arn_prefix


def operation(method: Callable[[S, dict[str, Any]], dict[str, Any]]) -> Callable[[S, dict[str, Any]], dict[str, Any]]:
    """Run an operation under the store's lock."""

    @wraps(method)
    def locked(self: S, request: dict[str, Any]) -> dict[str, Any]:
        with self._store.lock:
            return method(self, request)

    return locked
