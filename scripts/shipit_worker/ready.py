"""Tell systemd when the worker consumes (Type=notify): `systemctl start` waits for it, and fails if it breaks.

Without a service manager, which sets NOTIFY_SOCKET (sd_notify(3)), nothing happens. SHIPIT_READY=off switches it off:
a unit of Type=notify then never becomes ready.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from celery.signals import worker_ready, worker_shutting_down

from shipit_worker.plugin import on


def connect() -> None:
    """Send READY=1 when the worker consumes, and STOPPING=1 when it is told to end."""
    on(worker_ready, _ready)
    on(worker_shutting_down, _stopping)


def notify(*lines: str) -> None:
    """Send lines to the service manager; without one do nothing.

    Raises OSError where the socket cannot be reached.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        # An @ stands for the zero byte of an abstract address.
        connection.sendto("\n".join(lines).encode(), "\0" + address[1:] if address[0] == "@" else address)


def _ready(**_: Any) -> None:
    notify("READY=1", "STATUS=consuming")


def _stopping(how: str = "", **_: Any) -> None:
    notify("STOPPING=1", f"STATUS={how.lower() or 'a'} shutdown")
