"""Uploads are whole or not there, in one request or in parts; a taken key is never overwritten."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from shipit.aws.s3 import Bucket
from shipit.errors import AwsError, DamagedError

KEY = "builds/v1/worker-v1.tgz"
META = {"sha256": "d" * 64}


@pytest.fixture
def client() -> Iterator[object]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        client.create_bucket(Bucket="bucket")
        client.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        yield client


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "small").write_bytes(b"bundle")
    return tmp_path / "small"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    (tmp_path / "large").write_bytes(bytes(range(256)) * (80 * 1024))
    return tmp_path / "large"


def upload(bucket: Bucket, path: Path) -> tuple[object, list[int]]:
    sent: list[int] = []
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return bucket.upload(path, KEY, sha256=digest, metadata=META, progress=sent.append), sent


def keys(client: object) -> list[str]:
    return [o["Key"] for o in client.list_objects_v2(Bucket="bucket").get("Contents", ())]  # type: ignore[attr-defined]  # boto3's client


def test_a_small_file_is_found_again_with_version_and_metadata(client: object, small: Path) -> None:
    bucket = Bucket(client, "bucket")
    revision, sent = upload(bucket, small)
    found = bucket.find(KEY)
    assert found
    assert (found.revision, found.size, found.metadata) == (revision, 6, META)
    assert found.revision.version_id
    assert sent == [6]


def test_a_large_file_goes_in_parts_and_arrives_whole(client: object, large: Path) -> None:
    bucket = Bucket(client, "bucket", one_request=1024)
    _, sent = upload(bucket, large)
    assert client.get_object(Bucket="bucket", Key=KEY)["Body"].read() == large.read_bytes()  # type: ignore[attr-defined]  # boto3's client
    assert sent == sorted(sent)
    assert sent[-1] == large.stat().st_size
    assert len(sent) >= 2


def test_a_taken_key_is_left_as_it_is(client: object, small: Path) -> None:
    client.put_object(Bucket="bucket", Key=KEY, Body=b"before")  # type: ignore[attr-defined]  # boto3's client
    assert upload(Bucket(client, "bucket"), small)[0] is None
    assert client.get_object(Bucket="bucket", Key=KEY)["Body"].read() == b"before"  # type: ignore[attr-defined]  # boto3's client


def test_an_interrupted_upload_leaves_neither_an_object_nor_parts(client: object, large: Path) -> None:
    def interrupt(sent: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Bucket(client, "bucket", one_request=1024).upload(
            large, KEY, sha256="0" * 64, metadata=META, progress=interrupt
        )
    assert keys(client) == []
    assert "Uploads" not in client.list_multipart_uploads(Bucket="bucket")  # type: ignore[attr-defined]  # boto3's client


def test_what_is_not_there_is_none(client: object) -> None:
    assert Bucket(client, "bucket").find("nothing") is None
    assert Bucket(client, "bucket").get_json("nothing") is None


def test_an_absent_bucket_is_one_error_that_names_it(client: object, small: Path) -> None:
    with pytest.raises(AwsError, match="does not exist"):
        upload(Bucket(client, "no-such-bucket"), small)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"not json"])
def test_an_object_that_is_no_json_is_named(client: Any, body: bytes) -> None:
    client.put_object(Bucket="bucket", Key="rollouts/prod/r.json", Body=body)
    with pytest.raises(DamagedError, match=r"s3://bucket/rollouts/prod/r\.json is no JSON"):
        Bucket(client, "bucket").get_json("rollouts/prod/r.json")


def test_json_is_read_back_and_folders_are_listed(client: object) -> None:
    bucket = Bucket(client, "bucket")
    bucket.put_json("builds/v1/x.json", {"a": 1})
    bucket.put_json("builds/v2/x.json", {"a": 2})
    assert bucket.get_json("builds/v2/x.json") == {"a": 2}
    assert list(bucket.folders("builds")) == ["v1", "v2"]


def age_of(client: Any, seconds_ago: float, date: str | None = "now") -> float:
    """Read an object that S3 says it wrote so long ago; `date` replaces the header of the answer."""
    Bucket(client, "bucket").put_json("locks/e.json", {})
    now = datetime.now(UTC).replace(microsecond=0)

    def answer(parsed: dict[str, Any], **_: object) -> None:
        headers = parsed["ResponseMetadata"]["HTTPHeaders"]
        headers.pop("date", None)
        if date is not None:
            headers["date"] = format_datetime(now, usegmt=True) if date == "now" else date
        parsed["LastModified"] = now - timedelta(seconds=seconds_ago)

    client.meta.events.register("after-call.s3.GetObject", answer)
    found = Bucket(client, "bucket").read_json("locks/e.json")
    assert found
    return found.age


def test_the_age_of_an_object_is_told_by_s3s_clock_alone(client: object) -> None:
    assert age_of(client, 90) == 90


def test_an_age_is_never_negative_and_without_a_date_the_object_is_new(client: object) -> None:
    assert age_of(client, -1) == 0
    assert age_of(client, 90, date=None) == 0


def test_a_json_object_is_written_once_where_the_key_must_be_free(client: object) -> None:
    bucket = Bucket(client, "bucket")
    etag = bucket.write_json("locks/e.json", {"by": "first"}, replaces=None)
    assert etag
    assert bucket.write_json("locks/e.json", {"by": "second"}, replaces=None) is None
    found = bucket.read_json("locks/e.json")
    assert found
    assert (found.value, found.etag) == ({"by": "first"}, etag)


def test_a_json_object_is_replaced_only_in_the_version_that_was_read(client: object) -> None:
    bucket = Bucket(client, "bucket")
    first = bucket.write_json("locks/e.json", 1, replaces=None)
    second = bucket.write_json("locks/e.json", 2, replaces=first)
    assert second not in (None, first)
    assert bucket.write_json("locks/e.json", 3, replaces=first) is None
    assert bucket.get_json("locks/e.json") == 2


def test_a_json_object_that_was_deleted_is_not_replaced(client: Any) -> None:
    bucket = Bucket(client, "bucket")
    etag = bucket.write_json("locks/e.json", 1, replaces=None)
    client.delete_object(Bucket="bucket", Key="locks/e.json")
    assert bucket.write_json("locks/e.json", 2, replaces=etag) is None
    assert bucket.read_json("locks/e.json") is None
    assert bucket.write_json("locks/e.json", 2, replaces=None)


def test_a_conflicting_write_under_way_is_a_failed_condition(client: Any) -> None:
    with Stubber(client) as stub:
        stub.add_client_error("put_object", "ConditionalRequestConflict", http_status_code=409)
        assert Bucket(client, "bucket").write_json("locks/e.json", 1, replaces=None) is None


def test_a_refusal_that_is_not_about_the_condition_is_an_error(client: Any) -> None:
    with pytest.raises(AwsError, match="does not exist"):
        Bucket(client, "no-such-bucket").write_json("locks/e.json", 1, replaces='"e"')
    with Stubber(client) as stub:
        stub.add_client_error("put_object", "AccessDenied", http_status_code=403)
        with pytest.raises(AwsError, match="denied"):
            Bucket(client, "bucket").write_json("locks/e.json", 1, replaces=None)


def test_a_body_that_is_no_json_reads_as_none_and_can_be_replaced(client: Any) -> None:
    client.put_object(Bucket="bucket", Key="locks/e.json", Body=b"\xff{")
    bucket = Bucket(client, "bucket")
    found = bucket.read_json("locks/e.json")
    assert found
    assert found.value is None
    assert bucket.write_json("locks/e.json", 1, replaces=found.etag)
