"""Put a bundle where every instance can fetch it, once: a version is immutable."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol

from shipit.errors import PreflightError, UsageError
from shipit.events import Listener, Published, UploadProgress
from shipit.models import Build, PublishedBuild, Revision, StoredObject


class Store(Protocol):
    """What publishing needs of S3."""

    @property
    def name(self) -> str:
        """Return the bucket's name."""

    def find(self, key: str) -> StoredObject | None:
        """Return the object, or None."""

    def upload(
        self, path: Path, key: str, *, sha256: str, metadata: Mapping[str, str], progress: Callable[[int], None]
    ) -> Revision | None:
        """Write under a free key; None where it is taken."""

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield the names right below a prefix."""


class Builds:
    """The published builds of one application, below `prefix/<version>/`."""

    def __init__(self, store: Store, *, application: str, prefix: str) -> None:
        """Keep them in `store`."""
        self._store = store
        self._application = application
        self._prefix = prefix
        #: A published build never changes: each is looked for once, however many groups run it.
        self._known: dict[str, PublishedBuild] = {}

    def publish(self, build: Build, path: Path, listen: Listener) -> PublishedBuild:
        """Upload the bundle, or find that it is there: then nothing is sent, and one request made.

        Raises PreflightError where the version is taken by other content: what instances run must not change under
        its name.
        """
        key = self._key(build.version)
        stored = self._store.find(key)
        if stored is None:
            revision = self._store.upload(
                path,
                key,
                sha256=build.digest,
                metadata=_metadata(build),
                progress=lambda sent: listen(UploadProgress(version=build.version, sent=sent, total=build.size)),
            )
            if revision is not None:
                listen(Published(build=build, location=str(revision), already=False))
                return PublishedBuild(build=build, revision=revision)
            # Another publisher was faster, between our look and our write.
            stored = self._store.find(key)
        # The content counts: another version of the compressor gives other bytes for it.
        if stored is None or stored.metadata.get("content-digest") != build.content_digest:
            raise PreflightError(
                f"build {build.version} is published already, with other content: s3://{self._store.name}/{key}",
                hint="commit what changed, so that it gets a version of its own; a published version never changes",
            )
        published = _read(build.version, stored)
        listen(Published(build=published.build, location=str(published.revision), already=True))
        return published

    def get(self, version: str) -> PublishedBuild:
        """Return a published build; raises UsageError that names the nearest for one that is not there."""
        if version in self._known:
            return self._known[version]
        stored = self._store.find(self._key(version))
        if stored is None:
            known = sorted(self.versions())
            close = difflib.get_close_matches(version, known, n=1, cutoff=0.5)
            meant = f" (did you mean {close[0]!r}?)" if close else ""
            newest = ", ".join(known[-3:]) or "none yet"
            raise UsageError(
                f"build {version!r} is not published in s3://{self._store.name}/{self._prefix}/{meant}",
                hint=f"the newest by name: {newest}; inv publish uploads the build of HEAD",
            )
        self._known[version] = _read(version, stored)
        return self._known[version]

    def versions(self) -> frozenset[str]:
        """Return the versions of all published builds."""
        return frozenset(self._store.folders(self._prefix))

    def prospective(self, build: Build) -> PublishedBuild:
        """Return a build as it is published, or as it would be: for plans."""
        key = self._key(build.version)
        stored = self._store.find(key)
        if stored is not None:
            return _read(build.version, stored)
        return PublishedBuild(build=build, revision=Revision(bucket=self._store.name, key=key))

    def _key(self, version: str) -> str:
        return f"{self._prefix}/{version}/{self._application}-{version}.tgz"


def _metadata(build: Build) -> dict[str, str]:
    return {
        "sha256": build.digest,
        "content-digest": build.content_digest,
        "git-sha": build.sha,
        "committed-at": build.committed_at.isoformat(),
    }


def _read(version: str, stored: StoredObject) -> PublishedBuild:
    facts = stored.metadata
    try:
        build = Build(
            version=version,
            sha=facts["git-sha"],
            digest=facts["sha256"],
            committed_at=datetime.fromisoformat(facts["committed-at"]),
            content_digest=facts["content-digest"],
            size=stored.size,
        )
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"{stored.revision} was not published by shipit: its metadata lacks {error}",
            hint="publish the build with inv publish",
        ) from None
    return PublishedBuild(build=build, revision=stored.revision)
