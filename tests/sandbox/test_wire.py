"""The JSON door answers like AWS: bad requests by name, our own mistakes loudly."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shipit.sandbox.throttle import Throttle
from shipit.sandbox.wire import ApiError, JsonService


class Handler:
    """Answer what it is told to, and keep what it was asked."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.request: dict[str, Any] | None = None

    def _keep(self, request: dict[str, Any]) -> Any:
        self.request = request
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    get_deployment = create_deployment = list_deployments = create_application = _keep
    delete_application = start_query_execution = get_query_execution = _keep


def call(operation: str, request: Any, answer: Any = None, service: str = "codedeploy") -> tuple[int, dict[str, Any]]:
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    status, out = JsonService(service, Handler({} if answer is None else answer)).handle(operation, body)
    return status, json.loads(out)


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("GetDeployment", {}, "DeploymentIdRequiredException"),
        ("CreateApplication", {"applicationName": ""}, "InvalidApplicationNameException"),
        ("CreateApplication", {"applicationName": "a b"}, "InvalidApplicationNameException"),
        ("CreateApplication", {"applicationName": "x" * 101}, "InvalidApplicationNameException"),
        ("CreateApplication", {"applicationName": 7}, "SerializationException"),
        ("ListDeployments", {"includeOnlyStatuses": ["Done"]}, "InvalidDeploymentStatusException"),
        ("ListDeployments", {"includeOnlyStatuses": "Failed"}, "SerializationException"),
        (
            "CreateDeployment",
            {"applicationName": "a", "fileExistsBehavior": "MAYBE"},
            "InvalidFileExistsBehaviorException",
        ),
        ("CreateDeployment", {"applicationName": "a", "updateOutdatedInstancesOnly": 1}, "SerializationException"),
        ("GetDeployment", b"{", "SerializationException"),
        ("GetDeployment", b"[]", "SerializationException"),
    ],
)
def test_a_bad_request_is_refused_by_the_name_that_aws_models(operation: str, request_: Any, code: str) -> None:
    status, body = call(operation, request_)
    assert (status, body["__type"]) == (400, code)


def test_a_service_with_one_error_for_all_gets_that_one() -> None:
    status, body = call("StartQueryExecution", {}, service="athena")
    assert (status, body["__type"]) == (400, "InvalidRequestException")


def test_the_message_names_the_place_of_a_nested_mistake() -> None:
    request = {"applicationName": "a", "revision": {"s3Location": {"bundleType": "rar"}}}
    _, body = call("CreateDeployment", request)
    assert "revision.s3Location.bundleType must be one of tar, tgz, zip" in body["message"]


def test_a_parameter_of_a_newer_client_is_dropped_and_null_is_absent() -> None:
    handler = Handler({})
    body = b'{"deploymentId": "d-1", "fromTheFuture": 1}'
    assert JsonService("codedeploy", handler).handle("GetDeployment", body)[0] == 200
    assert handler.request == {"deploymentId": "d-1"}
    assert call("GetDeployment", {"deploymentId": None})[1]["__type"] == "DeploymentIdRequiredException"


def test_an_empty_body_is_an_empty_request() -> None:
    assert call("ListDeployments", b"") == (200, {})


def test_an_answer_loses_its_nones_and_its_times_become_epoch_numbers() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    info = {"deploymentId": "d-1", "createTime": at, "startTime": 1.5, "completeTime": None}
    _, body = call("GetDeployment", {"deploymentId": "d-1"}, {"deploymentInfo": info})
    assert body == {"deploymentInfo": {"deploymentId": "d-1", "createTime": at.timestamp(), "startTime": 1.5}}


@pytest.mark.parametrize(
    "answer",
    [
        {"deploymentInfo": {"deploymentID": "d-1"}},
        {"deploymentInfo": {"deploymentId": 7}},
        {"deploymentInfo": ["d-1"]},
        RuntimeError("on purpose"),
    ],
)
def test_a_mistake_of_ours_is_an_internal_failure(answer: Any) -> None:
    status, body = call("GetDeployment", {"deploymentId": "d-1"}, answer)
    assert (status, body["__type"]) == (500, "InternalFailure")


def test_an_operation_without_output_answers_an_empty_object() -> None:
    assert call("DeleteApplication", {"applicationName": "a"}, {}) == (200, {})


@pytest.mark.parametrize("operation", ["MakeCoffee", "PutLifecycleEventHookExecutionStatus", "__init__"])
def test_an_operation_that_nobody_serves_is_unknown(operation: str) -> None:
    assert call(operation, {})[1]["__type"] == "UnknownOperationException"


def test_a_handler_refuses_with_its_own_code_message_and_status() -> None:
    status, body = call("GetDeployment", {"deploymentId": "d-1"}, ApiError("Gone", "it went", 404))
    assert (status, body) == (404, {"__type": "Gone", "message": "it went"})


def test_a_bucket_lets_a_burst_through_then_its_rate() -> None:
    now = [0.0]
    throttle = Throttle(now=lambda: now[0])
    throttle.limit(rate=2, burst=3)
    assert [throttle.refuses("X") for _ in range(5)] == [False, False, False, True, True]
    now[0] = 0.5
    assert [throttle.refuses("X") for _ in range(2)] == [False, True]
    now[0] = 100
    assert [throttle.refuses("Y") for _ in range(4)] == [False, False, False, True]
    assert (throttle.calls, throttle.refused) == ({"X": 7, "Y": 4}, {"X": 3, "Y": 1})


def test_chance_refuses_the_same_calls_for_the_same_seed() -> None:
    def draw(seed: int) -> list[bool]:
        throttle = Throttle()
        throttle.limit(probability=0.5, seed=seed)
        return [throttle.refuses("X") for _ in range(50)]

    assert draw(1) == draw(1) != draw(2)
    assert {True, False} == set(draw(1))


@pytest.mark.parametrize("limits", [{"rate": 0}, {"rate": -1}, {"probability": 1.1}, {"probability": -0.1}])
def test_a_limit_that_makes_no_sense_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be positive or None"):
        Throttle().limit(**limits)


def test_a_throttled_call_never_reaches_the_handler_and_is_counted() -> None:
    handler, throttle = Handler({}), Throttle()
    throttle.limit(probability=1)
    service = JsonService("codedeploy", handler, throttle)
    status, out = service.handle("GetDeployment", b"not even read")
    assert (status, json.loads(out)) == (400, {"__type": "ThrottlingException", "message": "Rate exceeded"})
    assert handler.request is None
    assert throttle.refused == {"GetDeployment": 1}
    throttle.limit()
    throttle.reset_counts()
    assert service.handle("GetDeployment", b'{"deploymentId": "d-1"}')[0] == 200
    assert (throttle.calls, throttle.refused) == ({"GetDeployment": 1}, {})
