"""Instance metadata answers as version 2 does, each instance for itself."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from instances import FACTS

from shipit.sandbox.instance.imds import Imds

OTHER = replace(FACTS, id="i-0fedcba9876543210", lifecycle="on-demand", queue="email-digest")


class Client:
    """Call the WSGI application as a server would."""

    def __init__(self, instance_id: str = FACTS.id, **more: Any) -> None:
        self.imds = Imds({facts.id: facts for facts in (FACTS, OTHER)}.get, **more)
        self.id = instance_id

    def request(self, method: str, path: str, **headers: str) -> tuple[str, str]:
        answers: list[str] = []

        def start(status: str, _: list[tuple[str, str]], exc_info: Any = None) -> Any:
            answers.append(status)

        environ = {"REQUEST_METHOD": method, "PATH_INFO": f"/{self.id}/latest/{path}"}
        environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
        body = b"".join(self.imds(environ, start))
        return answers[0], body.decode()

    def token(self) -> str:
        return self.request("PUT", "api/token", x_aws_ec2_metadata_token_ttl_seconds="60")[1]

    def get(self, path: str) -> tuple[str, str]:
        return self.request("GET", path, x_aws_ec2_metadata_token=self.token())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("meta-data/instance-id", FACTS.id),
        ("meta-data/instance-life-cycle", "spot"),
        ("meta-data/placement/availability-zone", "us-east-1a"),
        ("meta-data/placement/region", "us-east-1"),
        ("meta-data/tags/instance/queue", "reports"),
        ("meta-data/tags/instance/aws:autoscaling:groupName", "worker-reports"),
        ("meta-data/iam/security-credentials/", "shipit-instance"),
    ],
)
def test_facts_are_served_as_text(path: str, value: str) -> None:
    assert Client().get(path) == ("200 OK", value)


def test_each_instance_is_told_its_own() -> None:
    client = Client(OTHER.id)
    assert client.get("meta-data/instance-life-cycle")[1] == "on-demand"
    assert json.loads(client.get("dynamic/instance-identity/document")[1])["instanceId"] == OTHER.id


def test_credentials_have_the_form_that_clients_read() -> None:
    credentials = json.loads(Client().get("meta-data/iam/security-credentials/shipit-instance")[1])
    assert {"AccessKeyId", "SecretAccessKey", "Token", "Expiration", "Code"} <= set(credentials)


def test_nobody_reclaims_the_instance() -> None:
    assert Client().get("meta-data/spot/instance-action")[0] == "404 Not Found"


def test_without_a_token_it_is_unauthorized() -> None:
    assert Client().request("GET", "meta-data/instance-id") == ("401 Unauthorized", "")
    assert Client().request("GET", "meta-data/instance-id", x_aws_ec2_metadata_token="guess")[0] == "401 Unauthorized"


def test_a_token_takes_a_put_with_a_lifetime() -> None:
    assert Client().request("PUT", "api/token")[0] == "400 Bad Request"
    assert Client().request("GET", "api/token", x_aws_ec2_metadata_token_ttl_seconds="60")[0] == "400 Bad Request"


@pytest.mark.parametrize("seconds", ["0", "21601", "", "soon", "-1"])
def test_a_lifetime_that_ec2_would_not_take_is_refused(seconds: str) -> None:
    asked = Client().request("PUT", "api/token", x_aws_ec2_metadata_token_ttl_seconds=seconds)
    assert asked[0] == "400 Bad Request"


def test_a_token_expires_when_its_time_is_over_and_another_one_is_good() -> None:
    now = [100.0]
    client = Client(monotonic=lambda: now[0])
    token = client.token()
    now[0] = 159.0
    assert client.request("GET", "meta-data/instance-id", x_aws_ec2_metadata_token=token)[0] == "200 OK"
    now[0] = 161.0
    assert client.request("GET", "meta-data/instance-id", x_aws_ec2_metadata_token=token)[0] == "401 Unauthorized"
    assert client.get("meta-data/instance-id")[0] == "200 OK"


def test_a_service_that_is_out_of_order_answers_503_whatever_it_is_asked() -> None:
    client = Client(fails=lambda instance_id: instance_id == FACTS.id)
    asked = client.request("PUT", "api/token", x_aws_ec2_metadata_token_ttl_seconds="60")
    assert asked[0] == "503 Service Unavailable"
    assert Client(OTHER.id, fails=lambda instance_id: instance_id == FACTS.id).token()


def test_the_lifecycle_state_that_auto_scaling_aims_at_is_told() -> None:
    path = "meta-data/autoscaling/target-lifecycle-state"
    assert Client().get(path) == ("200 OK", "InService")
    assert Client(target=lambda instance_id: "Terminated").get(path) == ("200 OK", "Terminated")


def test_an_unknown_instance_is_not_found() -> None:
    assert (
        Client("i-unknown").request("PUT", "api/token", x_aws_ec2_metadata_token_ttl_seconds="60")[0]
        == "404 Not Found"
    )


def test_the_spot_notice_is_there_for_the_instance_that_is_taken_and_a_404_for_all_others() -> None:
    ends = {FACTS.id: datetime(2026, 11, 25, 12, 0, 20, tzinfo=UTC)}
    taken, other = Client(), Client(OTHER.id)
    for client in (taken, other):
        client.imds = Imds({facts.id: facts for facts in (FACTS, OTHER)}.get, ends.get)
    notice = taken.get("meta-data/spot/instance-action")
    assert notice == ("200 OK", '{"action": "terminate", "time": "2026-11-25T12:00:20Z"}')
    assert "noticeTime" in taken.get("meta-data/events/recommendations/rebalance")[1]
    assert other.get("meta-data/events/recommendations/rebalance")[0].startswith("404")
    assert other.get("meta-data/spot/instance-action")[0].startswith("404")
