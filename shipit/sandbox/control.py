"""The sandbox's own requests below /_sandbox/: its status, its end, and what goes wrong on demand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from shipit.errors import UsageError
from shipit.models import EventStatus
from shipit.sandbox.agents import Outcome, Rule, ScriptedAgent, script_failure
from shipit.sandbox.faults.injector import Faults
from shipit.sandbox.throttle import Throttle


class Control:
    """Answer the requests below /_sandbox/."""

    def __init__(
        self,
        *,
        status: Callable[[], Mapping[str, object]],
        wake: Callable[[], bool],
        stop: Callable[[], None],
        throttle: Throttle,
        faults: Faults,
        reclaim: Callable[[list[str]], None],
        script: ScriptedAgent | None,
    ) -> None:
        """Act through these parts; `wake` is False where the end has begun.

        `reclaim` raises ValueError for unknown instances; without `script` the instances are real and take none.
        """
        self._status = status
        self._wake = wake
        self._stop = stop
        self._throttle = throttle
        self._faults = faults
        self._reclaim = reclaim
        self._script = script

    def handle(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Answer one request with a status and a JSON body; what the client got wrong is a 400."""
        try:
            given = json.loads(body or b"{}")
            if not isinstance(given, dict):
                raise ValueError("the body must be a JSON object")
            return 200, json.dumps(self._answer(path, given)).encode()
        except UsageError as error:
            return 400, json.dumps({"error": error.message, "hint": error.hint}).encode()
        except (KeyError, TypeError, ValueError) as error:
            return 400, json.dumps({"error": f"{path}: {error!r}"}).encode()

    def _answer(self, path: str, given: dict[str, Any]) -> Mapping[str, object]:
        match path:
            case "status":
                return self._status()
            case "calls":
                throttle = self._throttle
                counts = {"calls": throttle.calls, "refused": throttle.refused}
                return {**counts, "busiest_second": throttle.busiest_second}
            case "wake":
                if not self._wake():
                    raise ValueError("the sandbox is about to end")
            case "stop":
                self._stop()
            case "throttle":
                self._faults.throttle(
                    {name: given[name] for name in ("rate", "probability", "seed") if given.get(name) is not None}
                )
            case "fault":
                return {"told": self._faults.inject(given.pop("name"), given)}
            case "faults":
                return {"in_effect": self._faults.in_effect()}
            case "script":
                self._play(given["rules"])
            case "instances/reclaim":
                self._reclaim(list(given["ids"]))
            case _:
                raise ValueError("no such request")
        return {}

    def _play(self, rules: list[dict[str, Any]]) -> None:
        if self._script is None:
            raise ValueError('only instances of workers = "scripted" take a script')
        self._script.script(*(_rule(**rule) for rule in rules))


def _rule(
    *,
    instance_id: str = "",
    group: str = "",
    event: str = "",
    seconds: float = 1.0,
    fail: dict[str, str] | None = None,
    hang: bool = False,
    absent: bool = False,
) -> Rule:
    outcome: Outcome | None = Outcome(status=EventStatus.SUCCEEDED)
    if fail is not None:
        outcome = script_failure(fail.get("script", "scripts/hook.sh"), fail.get("log_tail", ""))
    return Rule(
        instance_id=instance_id,
        group=group,
        event=event,
        seconds=seconds,
        outcome=None if hang else outcome,
        absent=absent,
    )
