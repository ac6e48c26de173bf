"""Scale-in with a lifecycle hook: an instance that its group lets go waits for its watcher to drain it.

moto knows hooks and lets none of them hold anything, nor has it the two operations by which an instance answers
(RecordLifecycleActionHeartbeat, CompleteLifecycleAction). Only instances on which a watcher runs are held: where
nobody would answer, the hook's whole timeout would pass for nothing.
"""

from __future__ import annotations

import threading
import time
import urllib.parse
from collections.abc import Callable
from typing import Protocol

#: The hook that every group of the sandbox has, and for how many seconds it holds an instance that says nothing.
HOOK, TIMEOUT = "shipit-drain", 120

_OPERATIONS = ("RecordLifecycleActionHeartbeat", "CompleteLifecycleAction")


class Groups(Protocol):
    """What is needed of the Auto Scaling groups."""

    def hold(self, group: str, count: int, held: Callable[[str], bool]) -> list[str]:
        """Let so many instances of a group wait for their end, those that `held` says; return their ids."""

    def let_go(self, instance_id: str) -> None:
        """End an instance that waits."""

    def hook_timeout(self, group: str, hook: str) -> float | None:
        """Return after how many seconds a hook lets an instance go; None where the group has no such hook."""


class ScaleIn:
    """Hold instances that leave their groups. Safe from any thread."""

    def __init__(self, groups: Groups, watched: Callable[[str], bool], on_end: Callable[[], None]) -> None:
        """Hold those on which a watcher runs, by `watched`; `on_end` is called after one has ended."""
        self._groups = groups
        self._watched = watched
        self._on_end = on_end
        self._until: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def begin(self, group: str, count: int) -> None:
        """Let `count` instances of a group leave once they have drained; those that nobody watches are left alone."""
        timeout = self._groups.hook_timeout(group, HOOK)
        if timeout is None:
            return
        for instance_id in self._groups.hold(group, count, self._watched):
            with self._lock:
                self._until[instance_id] = (group, time.monotonic() + timeout)
            self._look_again_in(instance_id, timeout)

    def target(self, instance_id: str) -> str:
        """Return the lifecycle state that Auto Scaling brings an instance to, as its metadata service tells it."""
        with self._lock:
            return "Terminated" if instance_id in self._until else "InService"

    def answer(self, form: bytes) -> tuple[int, bytes] | None:
        """Answer one of the two operations; None for a request that is something else."""
        asked = dict(urllib.parse.parse_qsl(form.decode(errors="replace")))
        operation = asked.get("Action", "")
        if operation not in _OPERATIONS:
            return None
        instance_id, group = asked.get("InstanceId", ""), asked.get("AutoScalingGroupName", "")
        timeout = self._groups.hook_timeout(group, asked.get("LifecycleHookName", ""))
        with self._lock:
            waits = self._until.get(instance_id, ("", 0.0))[0] == group
            if waits and timeout is not None and operation == _OPERATIONS[0]:
                self._until[instance_id] = (group, time.monotonic() + timeout)
        if not waits or timeout is None:
            message = f"No active Lifecycle Action found with instance ID {instance_id}"
            error = f"<Error><Type>Sender</Type><Code>ValidationError</Code><Message>{message}</Message></Error>"
            return 400, _xml("ErrorResponse", error)
        if operation == _OPERATIONS[1]:
            self._end(instance_id)
        return 200, _xml(f"{operation}Response", f"<{operation}Result/>")

    def _end(self, instance_id: str) -> None:
        with self._lock:
            if self._until.pop(instance_id, None) is None:
                return
        self._groups.let_go(instance_id)
        self._on_end()

    def _look_again_in(self, instance_id: str, seconds: float) -> None:
        timer = threading.Timer(seconds, self._time_out, (instance_id,))
        timer.daemon = True
        timer.start()

    def _time_out(self, instance_id: str) -> None:
        with self._lock:
            left = self._until.get(instance_id, ("", 0.0))[1] - time.monotonic()
        if left > 0:
            self._look_again_in(instance_id, left)
        else:
            self._end(instance_id)


def _xml(root: str, content: str) -> bytes:
    about = "<RequestId>sandbox</RequestId>"
    if root != "ErrorResponse":
        about = f"<ResponseMetadata>{about}</ResponseMetadata>"
    return f'<{root} xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/">{content}{about}</{root}>'.encode()
