"""What is shipped: builds, and where they lie in S3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Build:
    """Name one versioned artifact.

    `digest` is the bundle's sha256 in hex and `size` its bytes; `content_digest` is that of its files (the
    `digest` of build.json), which is what an instance can report of what lies on its disk.
    """

    version: str
    sha: str
    digest: str
    committed_at: datetime
    content_digest: str = ""
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class Revision:
    """Point at a bundle in S3 as CodeDeploy sees it.

    The agent fetches `version_id` and fails on another `etag`: send both (reference codedeploy.md, §1).
    """

    bucket: str
    key: str
    version_id: str = ""
    etag: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """Find an object in S3: where it is, its size in bytes, and the metadata that it was written with."""

    revision: Revision
    size: int
    metadata: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class StoredJson:
    """Hold a JSON object of S3, which version of it that is, and its age in seconds by S3's own clock.

    `etag` is opaque: only good to be given back. `age` is exact to a second either way, as S3 tells whole seconds.
    """

    value: Any
    etag: str
    age: float


@dataclass(frozen=True, kw_only=True)
class PublishedBuild:
    """Join a build with the revision that holds it."""

    build: Build
    revision: Revision


@dataclass(frozen=True, kw_only=True)
class Commit:
    """Describe one commit: its sha in full, its author, when it was committed, and the first line of its message."""

    sha: str
    author: str
    date: datetime
    subject: str
