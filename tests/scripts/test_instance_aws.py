"""Requests are signed as botocore signs them; tokens and credentials are renewed before and after they expire."""

from __future__ import annotations

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from instance_aws import SPOT, InstanceAws
from shipit_instance.aws import Aws, Refused, sign
from shipit_instance.facts import identify
from shipit_instance.metadata import Credentials, Failed, Metadata


@pytest.mark.parametrize("token", ["session", ""])
@pytest.mark.parametrize(("service", "path"), [("s3", "/bucket/slot%3D1/AROA%3Ai-0-1.json"), ("autoscaling", "/")])
def test_a_request_is_signed_as_botocore_would_sign_it(service: str, path: str, token: str) -> None:
    now, body = 1_795_354_000.0, b"Action=GetCallerIdentity"
    signed = sign(
        service,
        "host.example:8080",
        "PUT",
        path,
        {"content-type": "text/plain"},
        body,
        "eu-central-1",
        Credentials("AKIDEXAMPLE", "secret", token),
        now,
    )
    request = AWSRequest("PUT", f"http://host.example:8080{path}", {**signed}, body)
    del request.headers["authorization"]
    request.context["timestamp"] = signed["x-amz-date"]
    auth_class = S3SigV4Auth if service == "s3" else SigV4Auth
    auth = auth_class(BotocoreCredentials("AKIDEXAMPLE", "secret", token or None), service, "eu-central-1")
    signature = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    assert signed["authorization"].endswith(f"Signature={signature}")
    assert ("x-amz-security-token" in signed) is bool(token)


def test_one_token_serves_until_it_grows_old(aws: InstanceAws) -> None:
    now = [0.0]
    metadata = Metadata(aws.url, lambda: now[0])
    for _ in range(3):
        assert metadata.get("meta-data/instance-life-cycle") == "spot"
    assert aws.tokens_given == 1
    now[0] = 21_600 * 0.95
    metadata.get("meta-data/instance-life-cycle")
    assert aws.tokens_given == 2


def test_a_token_that_expired_before_its_time_is_replaced_without_a_failure(aws: InstanceAws) -> None:
    metadata = Metadata(aws.url)
    metadata.get(SPOT)
    aws.tokens.clear()
    aws.metadata[SPOT] = "{}"
    assert metadata.get(SPOT) == "{}"
    assert aws.tokens_given == 2


def test_tokens_that_are_never_good_are_a_failure_and_no_loop(aws: InstanceAws) -> None:
    metadata = Metadata(aws.url)
    aws.tokens = _Nothing()
    with pytest.raises(Failed, match="HTTP 401"):
        metadata.get(SPOT)
    assert aws.tokens_given == 2


class _Nothing(set[str]):
    def add(self, element: str) -> None:
        """Keep nothing."""


@pytest.mark.parametrize("status", [500, 503, 403])
def test_errors_of_the_metadata_service_are_no_answer(aws: InstanceAws, status: int) -> None:
    metadata = Metadata(aws.url)
    aws.metadata_fails = status
    with pytest.raises(Failed, match=f"HTTP {status}"):
        metadata.get(SPOT)
    aws.metadata_fails = 0
    assert metadata.get(SPOT) is None


def test_a_service_that_is_not_there_is_a_failure() -> None:
    with pytest.raises(Failed, match="instance metadata"):
        Metadata("http://127.0.0.1:9/").get(SPOT)


def test_a_connection_that_was_closed_meanwhile_is_opened_again(aws: InstanceAws) -> None:
    metadata = Metadata(aws.url)
    metadata.get(SPOT)
    metadata._server._connection.sock.shutdown(2)
    assert metadata.get(SPOT) is None


def test_the_role_is_asked_for_again_after_five_minutes_or_when_it_was_refused(aws: InstanceAws) -> None:
    now = [0.0]
    metadata = Metadata(aws.url, lambda: now[0])
    assert metadata.credentials() == Credentials("ASIAEXAMPLE1", "secret", "session")
    aws.key = "ASIAEXAMPLE2"
    assert metadata.credentials().key == "ASIAEXAMPLE1"
    now[0] = 301
    assert metadata.credentials().key == "ASIAEXAMPLE2"
    aws.key = "ASIAEXAMPLE3"
    metadata.forget_credentials()
    assert metadata.credentials().key == "ASIAEXAMPLE3"


def test_an_instance_without_a_role_says_so(aws: InstanceAws) -> None:
    del aws.metadata["meta-data/iam/security-credentials/"]
    with pytest.raises(Failed, match="security-credentials/: HTTP 404"):
        Metadata(aws.url).credentials()


def test_an_identity_document_without_a_zone_is_a_failure(aws: InstanceAws) -> None:
    aws.metadata["dynamic/instance-identity/document"] = "{}"
    with pytest.raises(Failed, match="'instanceId'"):
        identify(Metadata(aws.url))


@pytest.mark.parametrize("text", ["", "<html>", "[]", "null"])
def test_an_identity_document_that_is_none_is_a_failure(text: str, aws: InstanceAws) -> None:
    aws.metadata["dynamic/instance-identity/document"] = text
    with pytest.raises(Failed, match="does not say who this is"):
        identify(Metadata(aws.url))


def test_a_clock_that_differs_is_reckoned_with_and_a_fraction_of_a_second_is_none(aws: InstanceAws) -> None:
    metadata = Metadata(aws.url)
    metadata.get(SPOT)
    assert metadata.ahead == 0.0
    aws.ahead = 3600
    metadata.get(SPOT)
    assert 3595 < metadata.ahead < 3605


def test_a_refusal_bears_the_code_and_whether_it_passes(aws: InstanceAws) -> None:
    client = Aws(Metadata(aws.url), "eu-central-1")
    aws.errors["RecordLifecycleActionHeartbeat"] = [(400, "ValidationError"), (400, "Throttling"), (500, "")]
    found = []
    for _ in range(3):
        with pytest.raises(Refused) as e:
            client.call("autoscaling", "RecordLifecycleActionHeartbeat", InstanceId="i-1")
        found.append((e.value.code, e.value.passing))
    assert found == [("ValidationError", False), ("Throttling", True), ("", True)]


def test_aws_that_is_not_there_is_a_failure_and_no_refusal(aws: InstanceAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    with pytest.raises(Failed) as e:
        Aws(Metadata(aws.url), "eu-central-1").user_id()
    assert not isinstance(e.value, Refused)
