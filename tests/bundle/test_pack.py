"""A bundle is deterministic, complete, readable by every tar, and appears all at once or not at all."""

import gzip
import hashlib
import json
import os
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.bundle import BUILD_JSON, Entry, Packed, pack
from shipit.bundle.pack import _plain_header
from shipit.errors import PreflightError, UsageError

COMMITTED = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
LONG = "/".join(["package" * 5] * 4) + "/" + "m" * 120 + ".py"


def put(folder: Path, name: str, text: bytes = b"x\n") -> Entry:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return Entry(name=name, source=path)


def make(entries: list[Entry], into: Path, *, threads: int = 2, allow_secrets: tuple[str, ...] = ()) -> Packed:
    return pack(
        entries,
        into,
        version="v1",
        sha="a" * 40,
        committed_at=COMMITTED,
        threads=threads,
        allow_secrets=allow_secrets,
    )


@pytest.fixture
def sample(tmp_path: Path) -> list[Entry]:
    tree = tmp_path / "tree"
    return [
        put(tree, "b/x.py", b"print(1)\n"),
        put(tree, "a.txt"),
        put(tree, LONG, b"long\n"),
        put(tree, "ünï/日本.txt", "é\n".encode()),
        put(tree, "large.bin", os.urandom(3_000_000)),
        Entry(name="bin/run", source=put(tree, "bin/run", b"#!/bin/sh\n").source, executable=True),
        Entry(name="bin/again", source=tree / "bin/again", link="run"),
        put(tree, "empty", b""),
    ]


def members(path: Path) -> list[tarfile.TarInfo]:
    with tarfile.open(path) as archive:
        return archive.getmembers()


def test_the_same_content_gives_the_same_bytes_whatever_order_threads_and_place(
    sample: list[Entry], tmp_path: Path
) -> None:
    one = make(sample, tmp_path / "one.tgz", threads=1)
    two = make(sample[::-1], tmp_path / "elsewhere" / "two.tgz", threads=3)
    assert one.path.read_bytes() == two.path.read_bytes()
    assert one.build == two.build
    assert one.build.digest == hashlib.sha256(one.path.read_bytes()).hexdigest()
    assert one.build.size == one.path.stat().st_size


def test_times_modes_and_owners_of_the_machine_do_not_matter(sample: list[Entry], tmp_path: Path) -> None:
    one = make(sample, tmp_path / "one.tgz")
    for entry in sample:
        if not entry.link:
            os.utime(entry.source, (1, 1))
            entry.source.chmod(0o700)
    assert make(sample, tmp_path / "two.tgz").build == one.build


def test_entries_are_sorted_belong_to_root_and_bear_the_commit_s_time(sample: list[Entry], tmp_path: Path) -> None:
    found = members(make(sample, tmp_path / "b.tgz").path)
    names = [m.name for m in found]
    assert names == [*sorted((e.name for e in sample), key=str.encode), BUILD_JSON]
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in found} == {(0, 0, "", "", COMMITTED.timestamp())}
    assert {m.name: m.mode for m in found if m.isreg()} == {
        e.name: 0o755 if e.executable else 0o644 for e in sample if not e.link
    } | {BUILD_JSON: 0o644}
    assert [(m.name, m.linkname) for m in found if m.issym()] == [("bin/again", "run")]


def test_the_tar_program_unpacks_it_as_the_agent_calls_it(sample: list[Entry], tmp_path: Path) -> None:
    bundle = make(sample, tmp_path / "b.tgz").path
    into = tmp_path / "out"
    into.mkdir()
    said = subprocess.run(["tar", "-xzpsf", bundle], cwd=into, capture_output=True, text=True, check=True)
    assert said.stderr == ""
    for entry in sample:
        if entry.link:
            assert os.readlink(into / entry.name) == entry.link
        else:
            assert (into / entry.name).read_bytes() == entry.source.read_bytes()
            assert (into / entry.name).stat().st_mode & 0o777 == entry.mode


def test_zcat_and_python_read_the_same_stream(sample: list[Entry], tmp_path: Path) -> None:
    bundle = make(sample, tmp_path / "b.tgz").path
    shown = subprocess.run(["zcat", bundle], capture_output=True, check=True).stdout
    assert shown == gzip.decompress(bundle.read_bytes())


def test_build_json_names_the_build_and_nothing_of_the_machine(sample: list[Entry], tmp_path: Path) -> None:
    packed = make(sample, tmp_path / "b.tgz")
    with tarfile.open(packed.path) as archive:
        file = archive.extractfile(BUILD_JSON)
        assert file
        about = json.load(file)
    assert about.pop("builder").startswith("shipit ")
    assert about == {
        "schema": 1,
        "version": "v1",
        "sha": "a" * 40,
        "committed_at": "2026-03-01T12:30:00+00:00",
        "digest": packed.build.content_digest,
        "files": len(sample),
    }


def test_the_content_digest_is_that_of_the_listing(tmp_path: Path) -> None:
    entries = [put(tmp_path, "b", b"1"), Entry(name="a", source=tmp_path / "a", link="b")]
    listing = f"120000 {hashlib.sha256(b'b').hexdigest()} a\n100644 {hashlib.sha256(b'1').hexdigest()} b\n"
    packed = make(entries, tmp_path / "x.tgz")
    assert packed.build.content_digest == hashlib.sha256(listing.encode()).hexdigest()


def test_a_project_cannot_bring_its_own_build_json(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"build\.json"):
        make([put(tmp_path, BUILD_JSON)], tmp_path / "b.tgz")


class Growing(Entry):
    """A file that another process appends to, or cuts, between its opening and its reading."""

    def contents(self):  # type: ignore[no-untyped-def]
        content = super().contents()
        self.source.write_bytes(b"x" * {"grow": 20, "shrink": 3}[self.name])
        return content


@pytest.mark.parametrize("name", ["grow", "shrink"])
def test_a_file_that_changes_while_it_is_read_stops_the_build_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    path = put(tmp_path / "tree", name, b"x" * 10).source
    out = tmp_path / "out"
    with pytest.raises(PreflightError, match="changed while it was read"):
        make([Growing(name=name, source=path)], out / "b.tgz")
    assert list(out.iterdir()) == []


def test_a_secret_inside_a_file_leaves_nothing(tmp_path: Path) -> None:
    key = b"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n"
    entry = put(tmp_path / "tree", "conf/tls", key)
    out = tmp_path / "out"
    with pytest.raises(PreflightError, match="conf/tls:1"):
        make([entry], out / "b.tgz")
    assert list(out.iterdir()) == []
    assert make([entry], out / "b.tgz", allow_secrets=("conf/*",)).files == 1


def test_an_interrupt_leaves_the_bundle_of_before(tmp_path: Path) -> None:
    entry = put(tmp_path / "tree", "a")
    before = make([entry], tmp_path / "out" / "b.tgz")

    class Interrupted(Entry):
        def contents(self):  # type: ignore[no-untyped-def]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make([Interrupted(name="a", source=entry.source)], before.path)
    assert [p.name for p in before.path.parent.iterdir()] == ["b.tgz"]
    assert hashlib.sha256(before.path.read_bytes()).hexdigest() == before.build.digest


@pytest.fixture
def odd_files(tmp_path: Path) -> dict[str, Path]:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/etc/passwd")
    return {"a pipe": tmp_path / "pipe", "a folder": tmp_path / "folder", "a link": tmp_path / "link"}


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a link"])
def test_what_is_no_file_any_more_is_refused_and_not_waited_for(
    kind: str, odd_files: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(PreflightError, match=r"^a: "):
        make([Entry(name="a", source=odd_files[kind])], tmp_path / "b.tgz")


@given(
    name=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60).filter(
        lambda n: len(n.encode()) < 100 and not n.endswith("/")
    ),
    mode=st.sampled_from([0o644, 0o755]),
    size=st.integers(0, (1 << 33) - 1),
    mtime=st.integers(0, 1 << 32),
)
def test_our_header_is_tarfile_s_own(name: str, mode: int, size: int, mtime: int) -> None:
    info = tarfile.TarInfo(name)
    info.mode, info.size, info.mtime = mode, size, mtime
    assert _plain_header(name.encode(), mode, size, mtime) == info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")
