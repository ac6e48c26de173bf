"""What the plugins share: settings of the environment, and errors that stay one line in the log."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from typing import Any

from celery.signals import Signal

#: Not one of Celery's loggers: they say nothing before a worker has set up its logging.
log = logging.getLogger("shipit_worker")

OFF = {"0", "off", "no", "false"}


def switched_on(name: str) -> bool:
    """Say whether the plugin is on: it is, unless SHIPIT_<NAME> says off, no, false or 0."""
    return os.environ.get(f"SHIPIT_{name.upper()}", "").strip().lower() not in OFF


def number(name: str, default: float) -> float:
    """Return the number in SHIPIT_<name>, or the default; where it is no number, say so."""
    text = os.environ.get(f"SHIPIT_{name}", "").strip()
    try:
        return float(text) if text else default
    except ValueError:
        log.warning("shipit_worker: SHIPIT_%s=%s is not a number: %g is used", name, text, default)
        return default


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that an error in it is one line in the log, and nothing else."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            about = " ".join(f"{type(error).__name__}: {error}".split())
            log.error("shipit_worker: %s.%s failed: %s", function.__module__, function.__qualname__, about)
            return None

    return wrapper


def on(signal: Signal, handler: Callable[..., Any]) -> None:
    """Connect a handler to a signal of Celery, once however often it is asked for."""
    uid = f"{handler.__module__}.{handler.__qualname__}"
    signal.connect(guarded(handler), weak=False, dispatch_uid=uid)


def sqs_info(message: Any) -> dict[str, Any] | None:
    """Return what SQS said of a message that kombu delivered (`sqs_message`, `sqs_queue`); None on other brokers."""
    found = getattr(message, "delivery_info", None) or {}
    return found if "sqs_message" in found and "sqs_queue" in found else None
