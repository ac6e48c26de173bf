"""Counts come to CloudWatch as they were given, and a refusal is an error."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from fakes import NOON
from moto import mock_aws

from shipit.aws.cloudwatch import CloudWatch
from shipit.errors import AwsError
from shipit.models import Metric

ONE = Metric(name="instances", dimensions={"env": "prod", "state": "outdated"}, value=3)


@pytest.fixture
def client() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("cloudwatch", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")


def test_a_count_is_there_with_its_dimensions_and_its_time(client: Any) -> None:
    CloudWatch(client).put("shipit/fleet", [ONE], at=NOON)
    [found] = client.list_metrics(Namespace="shipit/fleet")["Metrics"]
    assert (found["MetricName"], found["Dimensions"]) == (
        "instances",
        [{"Name": "env", "Value": "prod"}, {"Name": "state", "Value": "outdated"}],
    )
    [point] = client.get_metric_statistics(
        Namespace="shipit/fleet",
        MetricName="instances",
        Dimensions=found["Dimensions"],
        StartTime=NOON,
        EndTime=NOON.replace(minute=1),
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    assert (point["Maximum"], point["Timestamp"]) == (3.0, NOON)


def test_no_request_holds_more_than_cloudwatch_takes(client: Any) -> None:
    many = [Metric(name="instances", dimensions={"env": f"e{n}"}, value=n) for n in range(2001)]
    with Stubber(client) as stub:
        for _ in range(3):
            stub.add_response("put_metric_data", {})
        CloudWatch(client).put("shipit/fleet", many, at=NOON)
        stub.assert_no_pending_responses()


def test_a_refusal_is_an_error(client: Any) -> None:
    with Stubber(client) as stub:
        stub.add_client_error("put_metric_data", "AccessDenied", "not you", 403)
        with pytest.raises(AwsError, match="denied PutMetricData"):
            CloudWatch(client).put("shipit/fleet", [ONE], at=NOON)
