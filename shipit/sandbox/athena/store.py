"""The seam between Athena and S3: list, get, put."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class ObjectInfo:
    """Describe one object as a listing does; `size` in bytes."""

    key: str
    size: int
    etag: str


class NoSuchObject(LookupError):
    """Say that the object, or its whole bucket, is not there."""


class ObjectStore(Protocol):
    """Hold the objects that queries read and the results that they write; called from several threads."""

    def list(self, bucket: str, prefix: str) -> Iterable[ObjectInfo]:
        """Return the objects whose key starts with `prefix`; raises NoSuchObject where the bucket is missing."""

    def get(self, bucket: str, key: str) -> bytes:
        """Return an object's bytes; raises NoSuchObject."""

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Write an object; raises NoSuchObject where the bucket is missing."""


class S3Store:
    """Reach the objects through a boto3 client of S3."""

    def __init__(self, client: Any) -> None:
        """Use `client`; boto3's clients may be shared by threads."""
        self._client = client

    def list(self, bucket: str, prefix: str) -> Iterable[ObjectInfo]:
        """Return the objects below the prefix, all pages of them."""
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return [
                ObjectInfo(key=item["Key"], size=item["Size"], etag=item["ETag"])
                for page in pages
                for item in page.get("Contents", ())
            ]
        except self._client.exceptions.NoSuchBucket as error:
            raise NoSuchObject(f"s3://{bucket}") from error

    def get(self, bucket: str, key: str) -> bytes:
        """Return the whole object."""
        try:
            body: bytes = self._client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except (self._client.exceptions.NoSuchKey, self._client.exceptions.NoSuchBucket) as error:
            raise NoSuchObject(f"s3://{bucket}/{key}") from error
        return body

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Write the object."""
        try:
            self._client.put_object(Bucket=bucket, Key=key, Body=body)
        except self._client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucket":
                raise
            raise NoSuchObject(f"s3://{bucket}") from error


def split_url(url: str) -> tuple[str, str]:
    """Return bucket and key, or prefix, of an s3:// URL; raises ValueError for any other."""
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise ValueError(f"{url!r} is not an s3:// URL")
    return bucket, key
