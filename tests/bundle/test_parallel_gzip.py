"""One gzip member that every reader reads, the same bytes from any number of threads."""

import gzip
import random
import threading
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipit.bundle.parallel_gzip import _BLOCK, ParallelGzip


def squeeze(pieces: list[bytes], threads: int, level: int = 1) -> bytes:
    out = bytearray()
    with ParallelGzip(out.extend, level=level, threads=threads) as stream:
        for piece in pieces:
            stream.write(piece)
    return bytes(out)


@pytest.fixture(scope="module")
def text() -> bytes:
    words = [b"deploy", b"worker", b"queue", b"\n", b"0123456789" * 40]
    return b" ".join(random.Random(1).choices(words, k=120_000))[: 5 * _BLOCK + 17]


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_the_bytes_do_not_depend_on_the_number_of_threads(text: bytes, level: int) -> None:
    one = squeeze([text], 1, level)
    assert gzip.decompress(one) == text
    assert squeeze([text], 2, level) == one
    assert squeeze([text], 7, level) == one


def test_there_is_one_member_and_nothing_behind_it(text: bytes) -> None:
    reader = zlib.decompressobj(wbits=31)
    assert reader.decompress(squeeze([text], 2)) == text
    assert reader.eof
    assert reader.unused_data == b""


def test_the_header_tells_nothing_of_the_machine() -> None:
    assert squeeze([b"x"], 1)[:10] == bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])


@pytest.mark.parametrize("size", [0, 1, _BLOCK - 1, _BLOCK, _BLOCK + 1, 2 * _BLOCK])
def test_sizes_around_a_block_survive(size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert gzip.decompress(squeeze([data], 3)) == data


@given(st.lists(st.binary(max_size=2000), max_size=20))
@settings(max_examples=30)
def test_how_it_is_cut_into_writes_does_not_matter(pieces: list[bytes]) -> None:
    assert squeeze(pieces, 2) == squeeze([b"".join(pieces)], 1)


def test_a_failure_ends_the_threads_and_writes_no_trailer(text: bytes) -> None:
    out = bytearray()

    def fail() -> None:
        with ParallelGzip(out.extend, level=1, threads=2) as stream:
            stream.write(text)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not [t for t in threading.enumerate() if t.name.startswith("deflate")]
    with pytest.raises(EOFError):
        gzip.decompress(bytes(out))
