"""What goes wrong on demand is asked for below /_sandbox/; a wrong request says so."""

import json
from collections.abc import Callable, Iterator

import pytest

from shipit.models import EventStatus, Revision
from shipit.sandbox.agents import Command, Outcome, ScriptedAgent
from shipit.sandbox.clock import ManualClock
from shipit.sandbox.control import Control
from shipit.sandbox.faults.injector import Faults, Parts
from shipit.sandbox.faults.instances import FaultyAgent
from shipit.sandbox.throttle import Throttle
from shipit.sandbox.wire import ApiError

COMMAND = Command(
    instance_id="i-1",
    event="Install",
    deployment_id="d-1",
    deployment_creator="user",
    application="worker",
    group="reports",
    group_id="g",
    revision=Revision(bucket="b", key="k"),
    bundle_type="tgz",
    file_exists_behavior="OVERWRITE",
)


class NoFleet:
    """Groups without instances, and deployments that nobody makes."""

    def __init__(self) -> None:
        self.limits: list[int | None] = []

    def groups(self) -> list[str]:
        return ["worker-reports"]

    def members(self) -> Iterator[tuple[str, str, str, str]]:
        return iter(())

    def reclaim(self, ids: list[str]) -> None:
        raise AssertionError(ids)

    def scale(self, group: str, by: int) -> None:
        raise ValueError(f"{group} is full")

    def limit_active(self, active: int | None) -> None:
        self.limits.append(active)

    def occupy(self, application: str, group: str, description: str, note: Callable[[str, bool], None]) -> None:
        raise ApiError("DeploymentLimitExceededException", f"{group} is busy")

    def abort(self, deployment_id: str) -> None:
        raise AssertionError(deployment_id)


def no_faults(throttle: Throttle) -> Faults:
    clock, nothing = ManualClock(), NoFleet()
    agent = FaultyAgent(ScriptedAgent(clock), clock, lambda instance_id: None, scripted=True)
    return Faults(
        Parts(application="worker", throttle=throttle, fleet=nothing, deployments=nothing, timer=clock, agent=agent)
    )


def control(
    script: ScriptedAgent | None = None, throttle: Throttle | None = None, ending: bool = False
) -> tuple[Control, list[str]]:
    reclaimed: list[str] = []
    throttle = throttle or Throttle()
    made = Control(
        status=lambda: {"groups": 1},
        wake=lambda: not ending,
        stop=lambda: None,
        throttle=throttle,
        faults=no_faults(throttle),
        reclaim=reclaimed.extend,
        script=script,
    )
    return made, reclaimed


def ask(made: Control, path: str, given: object = None) -> tuple[int, object]:
    status, body = made.handle(path, b"" if given is None else json.dumps(given).encode())
    return status, json.loads(body)


def test_the_status_is_given() -> None:
    assert ask(control()[0], "status") == (200, {"groups": 1})


def test_a_sandbox_that_is_about_to_end_is_not_woken() -> None:
    assert ask(control()[0], "wake")[0] == 200
    status, answer = ask(control(ending=True)[0], "wake")
    assert status == 400
    assert "about to end" in str(answer)


def test_throttling_begins_and_ends_on_demand() -> None:
    throttle = Throttle()
    made, _ = control(throttle=throttle)
    ask(made, "throttle", {"probability": 1})
    assert throttle.refuses("X")
    ask(made, "throttle", {})
    assert not throttle.refuses("X")
    assert ask(made, "calls") == (200, {"calls": {"X": 2}, "refused": {"X": 1}, "busiest_second": 2})


def test_throttling_is_listed_among_the_faults_and_cleared_with_them() -> None:
    throttle = Throttle()
    made, _ = control(throttle=throttle)
    ask(made, "throttle", {"rate": 1})
    assert ask(made, "faults") == (200, {"in_effect": [{"fault": "throttle", "what": "--rate 1", "struck": 0}]})
    assert ask(made, "fault", {"name": "clear"}) == (200, {"told": "clear: no fault is in effect"})
    assert ask(made, "faults") == (200, {"in_effect": []})
    assert not throttle.refuses("X")
    assert not throttle.refuses("X")


def test_instances_are_reclaimed_by_id() -> None:
    made, reclaimed = control()
    ask(made, "instances/reclaim", {"ids": ["i-1"]})
    assert reclaimed == ["i-1"]


def test_a_script_fails_an_event_with_its_log() -> None:
    clock = ManualClock()
    agent = ScriptedAgent(clock)
    made, _ = control(agent)
    fail = {"script": "scripts/x.sh", "log_tail": "boom"}
    assert ask(made, "script", {"rules": [{"group": "reports", "seconds": 2, "fail": fail}]})[0] == 200
    seen: list[Outcome] = []
    agent.run(COMMAND, seen.append)
    clock.advance(2)
    assert [(o.status, o.script, o.log_tail) for o in seen] == [(EventStatus.FAILED, "scripts/x.sh", "boom")]


@pytest.mark.parametrize(
    ("path", "given"),
    [
        ("nothing", None),
        ("throttle", {"probability": 2}),
        ("instances/reclaim", {}),
        ("script", {"rules": []}),
        ("throttle", []),
        ("fault", {}),
        ("fault", {"name": "flood"}),
        ("fault", {"name": "reset"}),
        ("fault", {"name": "reset", "share": "many"}),
        ("fault", {"name": "reset", "share": [1]}),
        ("fault", {"name": "reclaim", "number": 1}),
        ("fault", {"name": "reclaim", "ids": ["i-unknown"]}),
        ("fault", {"name": "scale", "group": "reports", "by": 1}),
        ("fault", {"name": "busy", "group": "reports", "seconds": 1}),
        ("fault", {"name": "agent", "group": "report"}),
    ],
)
def test_a_wrong_request_is_a_400_that_says_why(path: str, given: object) -> None:
    status, answer = ask(control()[0], path, given)
    assert status == 400
    assert isinstance(answer, dict)
    assert (path in answer["error"]) or answer["hint"]
