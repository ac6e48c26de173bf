"""Requests of clients are late, refused, reset or carried out unanswered; those of the instances never are."""

import io
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError
from daemons import Sandbox, eventually, small

from shipit.sandbox.faults.refusals import Asked
from shipit.sandbox.faults.requests import RequestFaults
from shipit.sandbox.instance.role import ACCESS_KEY

APPLICATION = {"applicationName": "worker"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox(small(tmp_path_factory.mktemp("requests")))
    sandbox.ensure()
    yield sandbox
    sandbox.stop()


@pytest.fixture
def sandbox(daemon: Sandbox) -> Iterator[Sandbox]:
    """A daemon without faults."""
    yield daemon
    daemon.control("fault", name="clear")
    assert daemon.control("faults") == {"in_effect": []}


def fault(sandbox: Sandbox, name: str, **flags: object) -> str:
    return str(sandbox.control("fault", name=name, **flags)["told"])


def struck(sandbox: Sandbox) -> dict[str, int]:
    return {row["fault"]: row["struck"] for row in sandbox.control("faults")["in_effect"]}


#: A call of each service that changes nothing.
CALLS: dict[str, Callable[[Any], Any]] = {
    "codedeploy": lambda client: client.list_applications(),
    "athena": lambda client: client.list_work_groups(),
    "s3": lambda client: client.list_objects_v2(Bucket="some-bucket"),
    "ec2": lambda client: client.describe_instances(),
    "autoscaling": lambda client: client.describe_auto_scaling_groups(),
}


def call(sandbox: Sandbox, service: str, key: str = "a") -> Any:
    return CALLS[service](sandbox.client(service, key))


def refused(sandbox: Sandbox, service: str) -> tuple[str, int]:
    with pytest.raises(ClientError) as e:
        call(sandbox, service)
    return e.value.response["Error"]["Code"], e.value.response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize("service", CALLS)
def test_an_outage_answers_503_in_the_protocol_of_its_service_and_leaves_the_others_alone(
    sandbox: Sandbox, service: str
) -> None:
    fault(sandbox, "outage", service=service, seconds=600)
    code = "Unavailable" if service == "ec2" else "ServiceUnavailable"
    assert refused(sandbox, service) == (code, 503)
    for other in CALLS.keys() - {service}:
        call(sandbox, other)
    fault(sandbox, "clear")
    call(sandbox, service)


def test_an_outage_ends_by_itself(sandbox: Sandbox) -> None:
    fault(sandbox, "outage", service="codedeploy", seconds=0.5)
    eventually(lambda: not struck(sandbox))
    call(sandbox, "codedeploy")


def test_a_head_request_in_an_outage_has_a_status_and_no_body(sandbox: Sandbox) -> None:
    fault(sandbox, "outage", service="s3", seconds=600)
    with pytest.raises(ClientError, match="503"):
        sandbox.client("s3").head_object(Bucket="some-bucket", Key="nothing")


def test_an_upload_that_is_refused_is_answered_and_not_cut_off(sandbox: Sandbox) -> None:
    fault(sandbox, "refuse", code="AccessDeniedException", operation="PutObject")
    s3 = sandbox.client("s3")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.put_object(Bucket="some-bucket", Key="large", Body=bytes(20_000_000))
    fault(sandbox, "clear")
    assert "Contents" not in s3.list_objects_v2(Bucket="some-bucket", Prefix="large")


@pytest.mark.parametrize("service", CALLS)
def test_errors_are_500_and_503_of_the_service_and_all_of_them_at_a_share_of_1(
    sandbox: Sandbox, service: str
) -> None:
    fault(sandbox, "errors", share=1, service=service)
    assert {status for _, status in (refused(sandbox, service) for _ in range(12))} == {500, 503}
    assert struck(sandbox) == {"errors": 12}


@pytest.mark.parametrize(
    ("service", "denied", "expired"),
    [
        ("codedeploy", ("AccessDeniedException", 400), ("ExpiredTokenException", 400)),
        ("athena", ("AccessDeniedException", 400), ("ExpiredTokenException", 400)),
        ("s3", ("AccessDenied", 403), ("ExpiredToken", 400)),
        ("ec2", ("UnauthorizedOperation", 403), ("RequestExpired", 400)),
        ("autoscaling", ("AccessDenied", 403), ("ExpiredToken", 400)),
    ],
)
def test_a_refusal_speaks_the_dialect_of_its_service(
    sandbox: Sandbox, service: str, denied: tuple[str, int], expired: tuple[str, int]
) -> None:
    fault(sandbox, "refuse", code="AccessDeniedException")
    assert refused(sandbox, service) == denied
    fault(sandbox, "refuse", code="ExpiredTokenException")
    assert refused(sandbox, service) == expired


def test_credentials_expire_half_way_after_so_many_calls(sandbox: Sandbox) -> None:
    fault(sandbox, "refuse", code="ExpiredTokenException", calls=2)
    call(sandbox, "codedeploy")
    call(sandbox, "s3")
    assert refused(sandbox, "codedeploy") == ("ExpiredTokenException", 400)
    assert refused(sandbox, "s3") == ("ExpiredToken", 400)


def test_one_operation_is_refused_and_its_neighbours_are_not(sandbox: Sandbox) -> None:
    fault(sandbox, "refuse", code="AccessDeniedException", service="autoscaling", operation="SetDesiredCapacity")
    asg = sandbox.client("autoscaling")
    with pytest.raises(ClientError, match="AccessDenied"):
        asg.set_desired_capacity(AutoScalingGroupName="worker-email", DesiredCapacity=9)
    found = asg.describe_auto_scaling_groups(AutoScalingGroupNames=["worker-email"])["AutoScalingGroups"][0]
    assert found["DesiredCapacity"] != 9


def test_a_reset_ends_the_connection_without_an_answer(sandbox: Sandbox) -> None:
    fault(sandbox, "reset", share=1, service="codedeploy")
    for _ in range(4):
        with pytest.raises((ConnectionClosedError, HTTPClientError), match=r"reset|aborted|closed"):
            call(sandbox, "codedeploy")
    call(sandbox, "s3")
    fault(sandbox, "clear")
    call(sandbox, "codedeploy")
    assert "Traceback" not in (sandbox.state / "daemon.log").read_text()


def test_what_arrives_is_rst_and_not_the_orderly_end_of_a_connection(sandbox: Sandbox) -> None:
    fault(sandbox, "reset", share=1)
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", sandbox.config.port), timeout=10) as connection:
            connection.sendall(b"GET /some-bucket?list-type=2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                connection.recv(1)


def test_many_clients_at_once_are_hit_exactly_as_often_as_is_counted(sandbox: Sandbox) -> None:
    fault(sandbox, "errors", share=0.5, service="codedeploy")
    client = sandbox.client("codedeploy")

    def fails(_: int) -> bool:
        try:
            client.list_applications()
        except ClientError:
            return True
        return False

    with ThreadPoolExecutor(8) as pool:
        failed = sum(pool.map(fails, range(80)))
    assert 0 < failed < 80
    assert struck(sandbox) == {"errors": failed}


def test_every_other_reset_comes_after_the_object_was_written(sandbox: Sandbox) -> None:
    fault(sandbox, "reset", share=1, operation="PutObject")
    s3 = sandbox.client("s3")
    for key in ("lost-0", "lost-1", "lost-2", "lost-3"):
        with pytest.raises((ConnectionClosedError, HTTPClientError)):
            s3.put_object(Bucket="some-bucket", Key=key, Body=b"x")
    written = s3.list_objects_v2(Bucket="some-bucket", Prefix="lost-")["Contents"]
    assert [one["Key"] for one in written] == ["lost-1", "lost-3"]


def test_a_deployment_whose_answer_is_lost_was_created_and_holds_its_group(sandbox: Sandbox) -> None:
    sandbox.control("script", rules=[{"hang": True}])
    codedeploy = sandbox.client("codedeploy")
    revision = {"revisionType": "S3", "s3Location": {"bucket": "b", "key": "k.tgz", "bundleType": "tgz"}}
    request = {**APPLICATION, "deploymentGroupName": "email", "revision": revision}
    fault(sandbox, "reset", share=1, operation="CreateDeployment")
    for _ in range(2):
        with pytest.raises((ConnectionClosedError, HTTPClientError)):
            codedeploy.create_deployment(**request)
    fault(sandbox, "clear")
    ids = codedeploy.list_deployments(**APPLICATION, deploymentGroupName="email")["deployments"]
    assert len(ids) == 1
    with pytest.raises(ClientError, match=f"DeploymentLimitExceededException.*{ids[0]}"):
        codedeploy.create_deployment(**request)
    codedeploy.stop_deployment(deploymentId=ids[0])


def test_a_request_waits_for_the_latency_and_is_then_answered(sandbox: Sandbox) -> None:
    fault(sandbox, "latency", seconds=0.05, service="codedeploy")
    call(sandbox, "codedeploy")
    call(sandbox, "s3")
    assert struck(sandbox) == {"latency": 1}


def test_latencies_of_a_service_and_of_all_add_up_in_real_seconds() -> None:
    slept: list[float] = []
    faults = RequestFaults(sleep=slept.append)
    key = ("service", "operation")
    for values in ({"seconds": 2.0}, {"seconds": 0.5, "service": "s3"}, {"seconds": 9.0, "service": "ec2"}):
        faults.add("latency", values, key)
    environ = {"wsgi.input": io.BytesIO(b"body"), "CONTENT_LENGTH": "4", "PATH_INFO": "/b/k", "REQUEST_METHOD": "PUT"}
    answer = faults.serve(environ, lambda *given: lambda data: None, lambda env, _: [env["wsgi.input"].read()])
    assert (slept, list(answer)) == ([2.5], [b"body"])


def test_the_instances_own_requests_and_the_sandboxs_are_left_alone(sandbox: Sandbox) -> None:
    fault(sandbox, "outage", service="s3", seconds=600)
    fault(sandbox, "reset", share=1)
    fault(sandbox, "refuse", code="AccessDeniedException")
    sandbox.client("s3", key=ACCESS_KEY).put_object(Bucket="some-bucket", Key="report", Body=b"")
    assert sandbox.status["groups"] == 2
    assert struck(sandbox) == {"outage": 0, "reset": 0, "refuse": 0}


def test_throttling_by_its_name_refuses_and_is_lifted(sandbox: Sandbox) -> None:
    fault(sandbox, "throttle", probability=1)
    assert refused(sandbox, "codedeploy") == ("ThrottlingException", 400)
    fault(sandbox, "throttle", rate=1000)
    call(sandbox, "codedeploy")


def strikes(seed: int, share: float = 0.3) -> list[bool]:
    """Return which of 200 calls are hit by `errors`."""
    faults = RequestFaults()
    faults.add("errors", {"share": share, "seed": seed}, ())
    one = faults.in_effect()[0]
    return [one.strikes(0.0) for _ in range(200)]


def test_the_same_seed_hits_the_same_calls_and_about_the_share_that_was_asked_for() -> None:
    assert strikes(1) == strikes(1) != strikes(2)
    assert 30 <= sum(strikes(1)) <= 90
    assert not any(strikes(1, share=0))


def test_a_fault_given_again_for_the_same_requests_takes_the_place_of_the_first() -> None:
    faults = RequestFaults()
    key = ("service", "operation")
    for values in ({"seconds": 1.0}, {"seconds": 2.0, "service": "s3"}, {"seconds": 3.0}):
        faults.add("latency", values, key)
    assert [one.values["seconds"] for one in faults.in_effect()] == [2.0, 3.0]


def test_a_refusal_begins_after_its_time_and_not_before() -> None:
    moment = [0.0]
    faults = RequestFaults(now=lambda: moment[0])
    faults.add("refuse", {"code": "X", "after": 20.0, "service": "s3"}, ())
    one = faults.in_effect()[0]
    assert not one.strikes(19.9)
    assert one.strikes(20.0)
    assert not one.concerns(Asked(service="ec2", operation="DescribeInstances"))
