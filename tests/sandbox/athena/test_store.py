"""The seam to S3, over boto3 and moto's S3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from shipit.sandbox.athena.store import NoSuchObject, S3Store, split_url


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
        client.create_bucket(Bucket="acme")
        yield client


def test_what_is_put_is_listed_and_read(s3: Any) -> None:
    store = S3Store(s3)
    store.put("acme", "a/1", b"one")
    store.put("acme", "b/1", b"other")
    (found,) = store.list("acme", "a/")
    assert (found.key, found.size, store.get("acme", "a/1")) == ("a/1", 3, b"one")
    store.put("acme", "a/1", b"two")
    (again,) = store.list("acme", "a/")
    assert again.etag != found.etag


def test_what_is_not_there_is_said_to_be_missing(s3: Any) -> None:
    store = S3Store(s3)
    with pytest.raises(NoSuchObject, match="s3://acme/none"):
        store.get("acme", "none")
    with pytest.raises(NoSuchObject, match="s3://nowhere"):
        store.get("nowhere", "a")
    with pytest.raises(NoSuchObject, match="s3://nowhere"):
        store.list("nowhere", "")
    with pytest.raises(NoSuchObject, match="s3://nowhere"):
        store.put("nowhere", "a", b"")


@pytest.mark.parametrize("url", ["", "acme/a", "https://acme/a", "s3://", "s3:///a"])
def test_only_a_url_of_s3_is_one(url: str) -> None:
    with pytest.raises(ValueError, match="not an s3:// URL"):
        split_url(url)
