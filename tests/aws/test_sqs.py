"""What queues are set to is read by name; one that is not there says so, and a refusal is an error."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from shipit.aws.sqs import Queues
from shipit.errors import AwsError
from shipit.models import QueueFacts


@pytest.fixture
def client() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("sqs", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")


def test_what_a_queue_is_set_to_is_read(client: Any) -> None:
    client.create_queue(QueueName="dead")
    arn = "arn:aws:sqs:us-east-1:123456789012:dead"
    policy = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": "3"}}'
    client.create_queue(QueueName="email", Attributes={"VisibilityTimeout": "90", "RedrivePolicy": policy})
    assert Queues(client).facts(["email", "nowhere", "dead", "email"]) == (
        QueueFacts(name="dead", visibility_timeout=30),
        QueueFacts(name="email", visibility_timeout=90, dead_letter=arn, max_receives=3),
        QueueFacts(name="nowhere", exists=False),
    )


def test_forty_queues_are_read_in_order(client: Any) -> None:
    names = [f"q{n:02}" for n in range(40)]
    for name in names:
        client.create_queue(QueueName=name)
    assert [q.name for q in Queues(client).facts(reversed(names))] == names


def test_a_refusal_is_an_error_and_no_missing_queue(client: Any) -> None:
    with Stubber(client) as stub:
        stub.add_client_error("get_queue_url", "AccessDenied", "not you", 403)
        with pytest.raises(AwsError, match="denied GetQueueUrl"):
            Queues(client).facts(["email"])
