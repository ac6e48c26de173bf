"""Let Athena read moto's objects in this process: a query over thousands of them makes no HTTP request."""

from __future__ import annotations

from collections.abc import Iterable

from shipit.sandbox.athena.store import NoSuchObject, ObjectInfo
from shipit.sandbox.moto_door import Moto


class MotoObjects:
    """Satisfy `shipit.sandbox.athena.store.ObjectStore` from moto's S3."""

    def __init__(self, moto: Moto) -> None:
        """Read and write the buckets of `moto`."""
        self._moto = moto

    def list(self, bucket: str, prefix: str) -> Iterable[ObjectInfo]:
        """Return the objects below the prefix; raises NoSuchObject for an unknown bucket."""
        if not self._moto.has_bucket(bucket):
            raise NoSuchObject(f"s3://{bucket}")
        return [ObjectInfo(key=key, size=size, etag=etag) for key, size, etag in self._moto.list(bucket, prefix)]

    def get(self, bucket: str, key: str) -> bytes:
        """Return an object; raises NoSuchObject."""
        body = self._moto.get(bucket, key) if self._moto.has_bucket(bucket) else None
        if body is None:
            raise NoSuchObject(f"s3://{bucket}/{key}")
        return body

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """Write an object; raises NoSuchObject for an unknown bucket."""
        if not self._moto.has_bucket(bucket):
            raise NoSuchObject(f"s3://{bucket}")
        self._moto.put(bucket, key, body)
