"""Every attempt is counted and paced, botocore's own retries among them."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from shipit.aws.budget import RateBudget
from shipit.aws.codedeploy import CodeDeploy
from shipit.aws.session import AwsSession, Credentials, is_loopback
from shipit.errors import AccountFull, AwsError, AwsUnavailable, GroupBusy
from shipit.models import Revision
from shipit.sandbox.throttle import Throttle
from shipit.sandbox.wire import ApiError, JsonService

REVISION = Revision(bucket="b", key="builds/v1/worker-v1.tgz")
BUSY = "The Deployment Group 'email' already has an active Deployment 'd-ABCDEF123'"


class Service:
    """A CodeDeploy that answers by the group's name."""

    def create_deployment(self, request: dict[str, Any]) -> dict[str, Any]:
        match request["deploymentGroupName"]:
            case "busy":
                raise ApiError("DeploymentLimitExceededException", BUSY)
            case "full":
                raise ApiError("DeploymentLimitExceededException", "The account is at its limit")
            case "denied":
                raise ApiError("AccessDeniedException", "User is not authorized")
        return {"deploymentId": "d-123456789"}

    def batch_get_deployments(self, request: dict[str, Any]) -> dict[str, Any]:
        ids = request["deploymentIds"]
        if "d-AWAY" in ids:
            raise ApiError("InternalFailure", "away", 500)
        return {"deploymentsInfo": [{"deploymentId": i, "status": "InProgress"} for i in ids]}

    def list_deployment_targets(self, request: dict[str, Any]) -> dict[str, Any]:
        raise ApiError("DeploymentNotStartedException", "not yet")


class Site:
    """A loopback server of the service with its throttle, and sessions into it."""

    def __init__(self, url: str, throttle: Throttle) -> None:
        self.url = url
        self.throttle = throttle
        self.waits: list[float] = []
        self.throttled: list[tuple[str, float]] = []

    def session(self, url: str = "") -> AwsSession:
        return AwsSession(
            budget=RateBudget(1000, 1000, sleep=self.waits.append),
            region="us-east-1",
            endpoint_url=url or self.url,
            credentials=Credentials(access_key="sandbox", secret_key="sandbox"),
            on_throttle=lambda operation, rate: self.throttled.append((operation, rate)),
        )


@pytest.fixture
def site() -> Iterator[Site]:
    throttle = Throttle()
    service = JsonService("codedeploy", Service(), throttle)

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = service.handle(self.headers["X-Amz-Target"].partition(".")[2], body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Site(f"http://127.0.0.1:{server.server_port}", throttle)
    server.shutdown()
    server.server_close()


def create(session: AwsSession, group: str = "email") -> str:
    gateway = CodeDeploy(session.client("codedeploy"), "worker")
    return gateway.create(group, REVISION, description="d", config="CodeDeployDefault.AllAtOnce")


def test_calls_are_counted_by_operation(site: Site) -> None:
    session = site.session()
    assert create(session) == "d-123456789"
    assert session.calls == {"CreateDeployment": 1}


def test_retries_of_a_throttle_are_counted_and_slow_the_budget(site: Site) -> None:
    site.throttle.limit(probability=0.5, seed=3)
    session = site.session()
    for _ in range(4):
        create(session)
    assert session.calls["CreateDeployment"] == site.throttle.calls["CreateDeployment"]
    assert session.calls["CreateDeployment"] == 4 + site.throttle.refused["CreateDeployment"]
    assert site.throttled[0] == ("CreateDeployment", 450.0)


def test_throttles_to_the_end_are_unavailability_not_a_verdict(site: Site) -> None:
    site.throttle.limit(probability=1)
    session = AwsSession(
        budget=RateBudget(1000, 1000, sleep=site.waits.append),
        region="us-east-1",
        endpoint_url=site.url,
        credentials=Credentials(access_key="a", secret_key="b"),
        attempts=2,
    )
    with pytest.raises(AwsUnavailable, match="ThrottlingException"):
        create(session)


def test_a_busy_group_names_its_holder(site: Site) -> None:
    with pytest.raises(GroupBusy) as caught:
        create(site.session(), "busy")
    assert caught.value.holder_id == "d-ABCDEF123"


def test_the_accounts_limit_is_not_taken_for_a_busy_group(site: Site) -> None:
    with pytest.raises(AccountFull, match="limit"):
        create(site.session(), "full")


def polling(site: Site) -> CodeDeploy:
    session = site.session()
    return CodeDeploy(session.client("codedeploy"), "worker", once=session.client("codedeploy", attempts=1))


def test_a_poll_makes_one_attempt_a_batch_and_leaves_out_those_that_failed(site: Site) -> None:
    ids = [f"d-{n:09}" for n in range(60)]
    assert set(polling(site).poll(ids)) == set(ids)
    assert site.throttle.calls["BatchGetDeployments"] == 3
    assert set(polling(site).poll(["d-AWAY", *ids])) == set(ids[24:])
    assert site.throttle.calls["BatchGetDeployments"] == 6


def test_a_poll_of_which_nothing_was_served_is_unavailability(site: Site) -> None:
    site.throttle.limit(probability=1)
    with pytest.raises(AwsUnavailable):
        polling(site).poll([f"d-{n:09}" for n in range(60)])
    assert site.throttle.calls["BatchGetDeployments"] == 3


def test_a_denied_call_is_one_error_of_exit_code_7(site: Site) -> None:
    with pytest.raises(AwsError, match="denied CreateDeployment") as caught:
        create(site.session(), "denied")
    assert caught.value.exit_code == 7


def test_a_deployment_that_has_not_started_has_no_targets(site: Site) -> None:
    assert CodeDeploy(site.session().client("codedeploy"), "worker").targets("d-123456789") == ()


def test_an_unknown_profile_is_refused_before_any_call() -> None:
    with pytest.raises(AwsError, match="no-such-profile"):
        AwsSession(budget=RateBudget(1, 1), profile="no-such-profile")


def test_a_dead_endpoint_is_out_of_reach() -> None:
    session = AwsSession(
        budget=RateBudget(1000, 1000),
        region="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        credentials=Credentials(access_key="a", secret_key="b"),
        attempts=1,
    )
    with pytest.raises(AwsUnavailable, match="out of reach"):
        create(session)


def use_proxy(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Put a proxy into the environment as companies do, with nothing excepted from it."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, url)
        monkeypatch.setenv(name.lower(), url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_a_loopback_endpoint_is_reached_past_the_proxy(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    use_proxy(monkeypatch, "http://127.0.0.1:9")
    assert create(site.session()) == "d-123456789"


def test_every_other_endpoint_is_reached_through_the_proxy(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    use_proxy(monkeypatch, site.url)
    assert create(site.session("http://codedeploy.example.invalid")) == "d-123456789"


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:5959", True),
        ("http://127.8.0.1", True),
        ("http://[::1]:5959", True),
        ("http://LOCALHOST:4566", True),
        ("http://s3.localhost:4566", True),
        ("", False),
        ("https://codedeploy.eu-west-1.amazonaws.com", False),
        ("https://localhost.example.com", False),
        ("https://127.0.0.1.example.com", False),
        ("http://10.0.0.1:80", False),
    ],
)
def test_only_this_machine_itself_is_loopback(url: str, own: bool) -> None:
    assert is_loopback(url) is own
