"""The S3 gateway: builds that are written once, and small JSON records."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from shipit.aws.refusals import code_of, explained
from shipit.errors import DamagedError
from shipit.models import Revision, StoredJson, StoredObject

#: Bundles up to this many bytes go up in one request; larger ones in parts of `_PART` bytes (S3's least is 5 MB).
_ONE_REQUEST = 16 * 2**20
_PART = 8 * 2**20
_SENDERS = 4
_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
#: 412 where the key exists, 409 where another conditional write is under way (S3 user guide, conditional writes).
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})


class Bucket:
    """Speak to S3 about one bucket. All methods raise AwsError."""

    def __init__(self, client: Any, name: str, *, one_request: int = _ONE_REQUEST) -> None:
        """Use `client`, a boto3 client of s3; larger uploads than `one_request` bytes go in parts."""
        self._client = client
        self.name = name
        self._one_request = one_request

    def find(self, key: str) -> StoredObject | None:
        """Return the object, or None where there is none: one request."""
        with explained():
            try:
                head = self._client.head_object(Bucket=self.name, Key=key)
            except ClientError as error:
                if code_of(error) in _ABSENT:
                    return None
                raise
        return StoredObject(
            revision=self._revision(key, head), size=head["ContentLength"], metadata=dict(head.get("Metadata", {}))
        )

    def upload(
        self, path: Path, key: str, *, sha256: str, metadata: Mapping[str, str], progress: Callable[[int], None]
    ) -> Revision | None:
        """Write the file under a key that is free, and return it; None where the key is taken.

        `sha256` (hex) is checked by S3 where one request suffices, else a sum per part. `progress` gets the bytes
        sent so far, in this thread. Whatever ends it early, Ctrl-C too, leaves no object under the key.
        """
        with explained():
            try:
                if path.stat().st_size <= self._one_request:
                    answer = self._put(path, key, sha256, metadata)
                    progress(path.stat().st_size)
                else:
                    answer = self._put_parts(path, key, metadata, progress)
            except ClientError as error:
                if code_of(error) in _TAKEN:
                    return None
                raise
        return self._revision(key, answer)

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield the names right below `prefix/`, in order."""
        with explained():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=f"{prefix}/", Delimiter="/"
            )
            for page in pages:
                for found in page.get("CommonPrefixes", ()):
                    yield found["Prefix"].removeprefix(f"{prefix}/").rstrip("/")

    def names(self, prefix: str) -> list[str]:
        """Return the names of the objects right below `prefix/`, in order."""
        with explained():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=f"{prefix}/", Delimiter="/"
            )
            return [found["Key"].removeprefix(f"{prefix}/") for page in pages for found in page.get("Contents", ())]

    def get_json(self, key: str) -> Any:
        """Return the value, or None where there is none; raises DamagedError where the object is no JSON."""
        with explained():
            try:
                body = self._client.get_object(Bucket=self.name, Key=key)["Body"].read()
            except ClientError as error:
                if code_of(error) in _ABSENT:
                    return None
                raise
        try:
            return json.loads(body)
        except ValueError as error:
            raise DamagedError(f"s3://{self.name}/{key} is no JSON: {error}") from error

    def get_bytes(self, url: str) -> bytes:
        """Return the object at an s3:// URL, of this bucket or another."""
        bucket, _, key = url.removeprefix("s3://").partition("/")
        with explained():
            body: bytes = self._client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def put_json(self, key: str, value: Any) -> None:
        """Write the value over whatever was there."""
        with explained():
            self._client.put_object(
                Bucket=self.name, Key=key, Body=json.dumps(value).encode(), ContentType="application/json"
            )

    def read_json(self, key: str) -> StoredJson | None:
        """Return the value with its etag and age, or None where there is none; a body that is no JSON reads as None.

        The age is this answer's Date less the object's LastModified, both S3's: no clock of ours has a part in it.
        """
        with explained():
            try:
                answer = self._client.get_object(Bucket=self.name, Key=key)
                body = answer["Body"].read()
            except ClientError as error:
                if code_of(error) in _ABSENT:
                    return None
                raise
        try:
            value = json.loads(body)
        except ValueError:
            value = None
        return StoredJson(value=value, etag=answer["ETag"], age=_age(answer))

    def write_json(self, key: str, value: Any, *, replaces: str | None) -> str | None:
        """Write the value over the version of etag `replaces`, or (None) where the key is free; return its etag.

        None where the condition failed. That may be this very write's doing: where the answer to a write that
        succeeded is lost on its way, botocore sends it again, and the second one finds the first.
        """
        condition = {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": replaces}
        with explained():
            try:
                answer = self._client.put_object(
                    Bucket=self.name,
                    Key=key,
                    Body=json.dumps(value).encode(),
                    ContentType="application/json",
                    **condition,
                )
            except ClientError as error:
                # S3 answers 404 to If-Match where the object is gone (S3 user guide, conditional writes).
                if code_of(error) in _TAKEN | _ABSENT:
                    return None
                raise
        etag: str = answer["ETag"]
        return etag

    def _put(self, path: Path, key: str, sha256: str, metadata: Mapping[str, str]) -> Mapping[str, Any]:
        with path.open("rb") as body:
            answer: Mapping[str, Any] = self._client.put_object(
                Bucket=self.name,
                Key=key,
                Body=body,
                IfNoneMatch="*",
                ChecksumSHA256=base64.b64encode(bytes.fromhex(sha256)).decode(),
                Metadata=dict(metadata),
            )
        return answer

    def _put_parts(
        self, path: Path, key: str, metadata: Mapping[str, str], progress: Callable[[int], None]
    ) -> Mapping[str, Any]:
        where = {"Bucket": self.name, "Key": key}
        upload = self._client.create_multipart_upload(**where, Metadata=dict(metadata), ChecksumAlgorithm="SHA256")[
            "UploadId"
        ]
        try:
            parts = self._send_parts(path, {**where, "UploadId": upload}, progress)
            answer: Mapping[str, Any] = self._client.complete_multipart_upload(
                **where, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )
        except BaseException:
            # Parts cost money until they are aborted; Ctrl-C comes through here as well.
            self._client.abort_multipart_upload(**where, UploadId=upload)
            raise
        return answer

    def _send_parts(
        self, path: Path, where: Mapping[str, str], progress: Callable[[int], None]
    ) -> list[dict[str, object]]:
        size, halt = path.stat().st_size, threading.Event()

        def send(number: int) -> tuple[int, dict[str, object]]:
            if halt.is_set():
                return 0, {}
            with path.open("rb") as file:
                file.seek((number - 1) * _PART)
                body = file.read(_PART)
            answer = self._client.upload_part(**where, PartNumber=number, Body=body, ChecksumAlgorithm="SHA256")
            part = {"PartNumber": number, "ETag": answer["ETag"]}
            if "ChecksumSHA256" in answer:
                part["ChecksumSHA256"] = answer["ChecksumSHA256"]
            return len(body), part

        sent, parts = 0, []
        with ThreadPoolExecutor(_SENDERS, thread_name_prefix="upload") as pool:
            pending = {pool.submit(send, number) for number in range(1, -(-size // _PART) + 1)}
            try:
                while pending:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        length, part = future.result()
                        parts.append(part)
                        sent += length
                    progress(sent)
            except BaseException:
                halt.set()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return sorted(parts, key=lambda part: int(str(part["PartNumber"])))

    def _revision(self, key: str, answer: Mapping[str, Any]) -> Revision:
        return Revision(
            bucket=self.name,
            key=key,
            version_id=answer.get("VersionId", ""),
            etag=answer.get("ETag", "").strip('"'),
        )


def _age(answer: Mapping[str, Any]) -> float:
    """Return how old the object of a GetObject answer is; an answer without a date makes it new."""
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    if not date:
        return 0.0
    age: float = (parsedate_to_datetime(date) - answer["LastModified"]).total_seconds()
    return max(0.0, age)
