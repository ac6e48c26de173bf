"""What expires in a bucket: our rules beside the user's, of which none changes its meaning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from shipit.aws.setup.s3 import BucketRules
from shipit.errors import AwsError
from shipit.models import ExpiryRule

OURS = ExpiryRule(id="shipit-prod-reports", prefix="prod/reports/v1/", days=8)
RAW = {
    "ID": OURS.id,
    "Filter": {"Prefix": OURS.prefix},
    "Status": "Enabled",
    "Expiration": {"Days": 8},
    "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
}


@pytest.fixture
def client() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        client.create_bucket(Bucket="bucket")
        yield client


def test_a_bucket_without_rules_gets_ours(client: Any) -> None:
    rules = BucketRules(client, "bucket")
    assert rules.rules() == ()
    rules.add([OURS])
    assert rules.rules() == (OURS,)


def test_rules_of_the_user_stay_as_they_are(client: Any) -> None:
    theirs = {
        "ID": "archive",
        "Filter": {"And": {"Prefix": "logs/", "Tags": [{"Key": "keep", "Value": "cold"}]}},
        "Status": "Disabled",
        "Transitions": [{"Days": 30, "StorageClass": "GLACIER"}],
        "Expiration": {"Days": 3650},
    }
    client.put_bucket_lifecycle_configuration(Bucket="bucket", LifecycleConfiguration={"Rules": [theirs]})
    before = client.get_bucket_lifecycle_configuration(Bucket="bucket")["Rules"]
    rules = BucketRules(client, "bucket")
    assert rules.rules()[0].enabled is False
    rules.add([OURS])
    after = client.get_bucket_lifecycle_configuration(Bucket="bucket")["Rules"]
    assert after[:-1] == before
    assert after[-1]["ID"] == OURS.id


def test_a_rule_of_the_old_form_is_written_in_the_new_one_and_the_default_size_is_kept() -> None:
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    old = {"ID": "old", "Prefix": "tmp/", "Status": "Enabled", "Expiration": {"Days": 3}}
    smallest = {"TransitionDefaultMinimumObjectSize": "varies_by_storage_class"}
    new = {"ID": "old", "Status": "Enabled", "Expiration": {"Days": 3}, "Filter": {"Prefix": "tmp/"}}
    with Stubber(client) as stubber:
        stubber.add_response("get_bucket_lifecycle_configuration", {"Rules": [old], **smallest}, {"Bucket": "bucket"})
        wanted = {"Bucket": "bucket", "LifecycleConfiguration": {"Rules": [new, RAW]}, **smallest}
        stubber.add_response("put_bucket_lifecycle_configuration", {}, wanted)
        BucketRules(client, "bucket").add([OURS])
        stubber.assert_no_pending_responses()


def test_a_bucket_that_may_not_be_looked_at_is_no_bucket_without_rules() -> None:
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client) as stubber:
        stubber.add_client_error("get_bucket_lifecycle_configuration", "AccessDenied", http_status_code=403)
        with pytest.raises(AwsError, match="denied GetBucketLifecycleConfiguration"):
            BucketRules(client, "bucket").add([OURS])
