"""A version is published once: the same content again costs one request, other content is refused."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import NOON

from shipit.errors import PreflightError, UsageError
from shipit.events import Event, Published
from shipit.models import Build, Revision, StoredObject
from shipit.publish import Builds


class Objects:
    """A bucket that counts its requests; `rival` is written by somebody else just before our upload."""

    name = "bucket"

    def __init__(self, rival: StoredObject | None = None) -> None:
        self.stored: dict[str, StoredObject] = {}
        self.requests: list[str] = []
        self._rival = rival

    def find(self, key: str) -> StoredObject | None:
        self.requests.append("find")
        return self.stored.get(key)

    def upload(
        self, path: Path, key: str, *, sha256: str, metadata: Mapping[str, str], progress: Callable[[int], None]
    ) -> Revision | None:
        self.requests.append("upload")
        if self._rival:
            self.stored[key] = self._rival
        if key in self.stored:
            return None
        revision = Revision(bucket="bucket", key=key, version_id="1", etag="e")
        self.stored[key] = StoredObject(revision=revision, size=9, metadata=metadata)
        progress(9)
        return revision

    def folders(self, prefix: str) -> Iterator[str]:
        return (key.split("/")[1] for key in self.stored)


BUILD = Build(version="v1", sha="a" * 40, digest="d" * 64, content_digest="c" * 64, committed_at=NOON, size=9)
OTHER = Build(version="v1", sha="b" * 40, digest="f" * 64, content_digest="e" * 64, committed_at=NOON, size=9)
BUNDLE = Path("bundle.tgz")


def publish(store: Objects, build: Build = BUILD) -> list[Event]:
    events: list[Event] = []
    Builds(store, application="worker", prefix="builds").publish(build, BUNDLE, events.append)
    return events


def stored(build: Build) -> StoredObject:
    store = Objects()
    publish(store, build)
    return store.stored["builds/v1/worker-v1.tgz"]


def test_a_new_build_is_uploaded_under_its_version() -> None:
    store = Objects()
    events = publish(store)
    assert list(store.stored) == ["builds/v1/worker-v1.tgz"]
    assert isinstance(events[-1], Published)
    assert not events[-1].already


def test_the_same_build_again_sends_nothing_and_makes_one_request() -> None:
    store = Objects()
    publish(store)
    store.requests.clear()
    events = publish(store)
    assert store.requests == ["find"]
    assert [e.already for e in events if isinstance(e, Published)] == [True]


def test_the_same_content_in_other_bytes_is_the_build_that_is_published() -> None:
    store = Objects()
    publish(store)
    compressed_otherwise = replace(BUILD, digest="0" * 64, size=8)
    (event,) = publish(store, compressed_otherwise)
    assert event == Published(build=BUILD, location="s3://bucket/builds/v1/worker-v1.tgz", already=True)


def test_other_content_under_the_same_version_is_refused() -> None:
    store = Objects()
    publish(store)
    with pytest.raises(PreflightError, match="other content"):
        publish(store, OTHER)


def test_a_rival_with_the_same_content_is_as_good_as_us() -> None:
    events = publish(Objects(rival=stored(BUILD)))
    assert [e.already for e in events if isinstance(e, Published)] == [True]


def test_a_rival_with_other_content_is_not() -> None:
    with pytest.raises(PreflightError):
        publish(Objects(rival=stored(OTHER)))


def test_a_published_build_is_read_back_whole() -> None:
    store = Objects()
    publish(store)
    assert Builds(store, application="worker", prefix="builds").get("v1").build == BUILD


def test_a_build_that_many_groups_run_is_looked_for_once() -> None:
    store = Objects()
    publish(store)
    store.requests.clear()
    builds = Builds(store, application="worker", prefix="builds")
    assert builds.get(BUILD.version) is builds.get(BUILD.version)
    assert store.requests == ["find"]


def test_an_unknown_version_names_the_nearest() -> None:
    store = Objects()
    publish(store)
    with pytest.raises(UsageError, match="did you mean 'v1'"):
        Builds(store, application="worker", prefix="builds").get("v1x")


def test_an_object_that_shipit_did_not_write_is_not_taken_for_a_build() -> None:
    store = Objects()
    publish(store)
    key = "builds/v1/worker-v1.tgz"
    store.stored[key] = StoredObject(revision=store.stored[key].revision, size=9, metadata={})
    with pytest.raises(UsageError, match="not published by shipit"):
        Builds(store, application="worker", prefix="builds").get("v1")
