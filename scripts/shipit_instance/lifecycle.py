"""The lifecycle action by which Auto Scaling waits for an instance that it takes away: extend it, and end it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from shipit_instance.aws import Refused
from shipit_instance.metadata import Failed

#: What Auto Scaling says where no action of this hook waits for the instance.
_NO_ACTION = "ValidationError"
#: Seconds after the first look in which it may say so because the action has yet to begin: the metadata tell the
#: target before the instance waits (documented as an order, its time was not measured).
_EARLY = 60.0
#: Seconds between attempts to complete.
_AGAIN = 5.0


class Caller(Protocol):
    """What this needs of AWS."""

    def call(self, service: str, action: str, **parameters: str) -> str:
        """Call an operation. Raises Refused, and Failed where nobody answered."""


class Hook:
    """Hold the instance by a lifecycle hook of its group, and let go once it has drained.

    No token is needed: group, hook and instance name the action. Only ValidationError ends the heartbeats; after any
    other failure the next one is due as ever, since the hook's own timeout goes on.
    """

    def __init__(
        self, aws: Caller, *, group: str, hook: str, instance_id: str, every: float, say: Callable[[str], None]
    ) -> None:
        """Send a heartbeat `every` so many seconds."""
        self._aws = aws
        self._names = {"AutoScalingGroupName": group, "LifecycleHookName": hook, "InstanceId": instance_id}
        self._every = every
        self._say = say
        self._since: float | None = None
        self._beat_at = 0.0
        self._complete_at = 0.0
        self._beats = True
        self.completed = False

    def step(self, now: float, *, drained: bool) -> None:
        """Do what is due while Auto Scaling takes the instance away."""
        if self._since is None:
            self._since = self._beat_at = now
        if drained:
            if not self.completed and now >= self._complete_at:
                self._complete_at = now + _AGAIN
                self._complete(now - self._since)
        elif self._beats and now >= self._beat_at:
            self._beat_at = now + self._every
            self._beat(now - self._since)

    def _beat(self, age: float) -> None:
        try:
            self._aws.call("autoscaling", "RecordLifecycleActionHeartbeat", **self._names)
        except Failed as failure:
            if self._there_is_none(failure, age):
                self._beats = False
                self._say(f"no lifecycle action waits for this instance, no more heartbeats: {failure}")
            else:
                self._say(f"heartbeat of the lifecycle action: {failure}")

    def _complete(self, age: float) -> None:
        try:
            self._aws.call("autoscaling", "CompleteLifecycleAction", LifecycleActionResult="CONTINUE", **self._names)
            self.completed = True
            self._say("drained: the lifecycle action is completed")
        except Failed as failure:
            self.completed = self._there_is_none(failure, age)
            self._say(f"completing the lifecycle action: {failure}")

    def _there_is_none(self, failure: Failed, age: float) -> bool:
        return isinstance(failure, Refused) and failure.code == _NO_ACTION and age >= _EARLY
