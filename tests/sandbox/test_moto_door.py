"""What the sandbox needs of moto beyond its HTTP door, and what moto does otherwise than EC2."""

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from shipit.models import Revision
from shipit.sandbox.athena.store import NoSuchObject
from shipit.sandbox.moto_door import Moto, is_about_instances, may_change_instances
from shipit.sandbox.objects import MotoObjects

REGION = "us-east-1"


@pytest.fixture
def moto() -> Iterator[Moto]:
    with mock_aws():
        moto = Moto(REGION)
        moto.create_bucket("some-bucket")
        moto.create_fleet_template("template")
        moto.create_group("worker-reports", "template", 2, {"queue": "reports"})
        yield moto


def upload(body: bytes) -> Revision:
    s3 = boto3.client("s3", region_name=REGION)
    put = s3.put_object(Bucket="some-bucket", Key="builds/1.tgz", Body=body)
    return Revision(bucket="some-bucket", key="builds/1.tgz", version_id=put["VersionId"], etag=put["ETag"])


def test_a_revision_is_that_version_though_a_later_one_exists(moto: Moto) -> None:
    first, second = upload(b"first"), upload(b"second")
    assert (moto.fetch(first), moto.fetch(second)) == (b"first", b"second")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"bucket": "nowhere"}, "bucket does not exist: nowhere"),
        ({"key": "nothing"}, "key does not exist: s3://some-bucket/nothing"),
        ({"version_id": "unknown"}, "key does not exist"),
        ({"etag": '"0123"'}, "expected etag"),
    ],
)
def test_a_revision_that_is_not_there_says_what_is_missing(
    moto: Moto, changes: dict[str, str], complaint: str
) -> None:
    there = upload(b"bundle")
    values = {"bucket": there.bucket, "key": there.key, "version_id": there.version_id, "etag": there.etag}
    with pytest.raises(OSError, match=complaint):
        moto.fetch(Revision(**{**values, **changes}))


def test_instances_are_spot_and_bear_their_own_tags_alone(moto: Moto) -> None:
    moto.create_group("worker-email", "template", 1, {"queue": "email"})
    found = boto3.client("ec2", region_name=REGION).describe_instances()
    instances = [instance for reservation in found["Reservations"] for instance in reservation["Instances"]]
    assert {instance["InstanceLifecycle"] for instance in instances} == {"spot"}
    queues = [tag["Value"] for instance in instances for tag in instance["Tags"] if tag["Key"] == "queue"]
    assert sorted(queues) == ["email", "reports", "reports"]


def test_tags_are_still_searched_by_wildcard_and_by_value(moto: Moto) -> None:
    ec2 = boto3.client("ec2", region_name=REGION)
    for name, value in (("resource-id", "i-*"), ("value", "reports")):
        found = ec2.describe_tags(Filters=[{"Name": name, "Values": [value]}])["Tags"]
        assert {"reports"} == {tag["Value"] for tag in found if tag["Key"] == "queue"}


def test_a_reclaim_of_unknown_instances_is_refused_whole(moto: Moto) -> None:
    before = moto.in_service("worker-reports")
    with pytest.raises(ValueError, match="i-unknown"):
        moto.reclaim([before[0], "i-unknown"])
    assert moto.in_service("worker-reports") == before


def test_an_unknown_group_has_nobody_in_service(moto: Moto) -> None:
    assert moto.in_service("nobody") == []


def test_objects_are_listed_by_prefix_in_order_and_what_is_deleted_is_gone(moto: Moto) -> None:
    objects = MotoObjects(moto)
    for key in ("reports/b", "reports/a", "other"):
        objects.put("some-bucket", key, key.encode())
    boto3.client("s3", region_name=REGION).delete_object(Bucket="some-bucket", Key="reports/b")
    assert [(o.key, o.size) for o in objects.list("some-bucket", "reports/")] == [("reports/a", 9)]
    assert objects.get("some-bucket", "reports/a") == b"reports/a"
    with pytest.raises(NoSuchObject):
        objects.get("some-bucket", "reports/b")


def test_a_missing_bucket_is_no_such_object_to_athena(moto: Moto) -> None:
    objects = MotoObjects(moto)
    with pytest.raises(NoSuchObject):
        objects.get("nowhere", "key")
    with pytest.raises(NoSuchObject):
        objects.put("nowhere", "key", b"")
    with pytest.raises(NoSuchObject):
        list(objects.list("nowhere", ""))


@pytest.mark.parametrize(("service", "about"), [("autoscaling", True), ("ec2", True), ("s3", False)])
def test_the_signature_says_whether_a_request_is_about_instances(service: str, about: bool) -> None:
    scope = f"AWS4-HMAC-SHA256 Credential=a/20261124/{REGION}/{service}/aws4_request, SignedHeaders=host"
    assert is_about_instances(scope) is about
    assert not is_about_instances("")


@pytest.mark.parametrize(
    ("form", "changes"),
    [
        (b"Action=SetDesiredCapacity&Version=2011-01-01", True),
        (b"Version=2016-11-15&Action=TerminateInstances", True),
        (b"Action=DescribeInstances&Version=2016-11-15", False),
        (b"Version=2011-01-01&Action=DescribeAutoScalingGroups", False),
    ],
)
def test_only_requests_that_may_change_the_fleet_are_followed_up(form: bytes, changes: bool) -> None:
    assert may_change_instances(form) is changes
