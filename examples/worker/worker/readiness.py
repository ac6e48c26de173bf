"""Tell systemd when the worker consumes (Type=notify): `systemctl start` waits for it, and fails if it breaks."""

from __future__ import annotations

import os
import socket

from celery.signals import worker_ready, worker_shutting_down


def connect() -> None:
    """Send READY=1 when the worker is ready and STOPPING=1 when it shuts down."""
    worker_ready.connect(_ready, weak=False)
    worker_shutting_down.connect(_stopping, weak=False)


def _ready(**_: object) -> None:
    notify("READY=1")


def _stopping(**_: object) -> None:
    notify("STOPPING=1")


def notify(state: str) -> None:
    """Send one line to the socket that systemd gave us; without systemd do nothing (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
