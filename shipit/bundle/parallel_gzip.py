"""Compress a stream on all cores into one gzip member, the same bytes from any number of them.

As pigz does: fixed-size blocks are deflated apart, each with the last 32 KB before it as its dictionary, and end on a
byte boundary, so that they join into one stream. Readers that stop after the first gzip member read all of it.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from isal import isal_zlib

_BLOCK = 1 << 19
_WINDOW = 1 << 15
_RAW = -15  # wbits of a deflate stream without header or trailer
_MEMORY = 9
#: No time, no name, and "unknown" for the file system: nothing of the machine.
_HEADER = struct.pack("<4BIBB", 0x1F, 0x8B, 8, 0, 0, 0, 255)
_MOST_THREADS = 8


def cores() -> int:
    """Return how many threads are of use here: one for each core that this process may use, at most 8."""
    return min(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, _MOST_THREADS
    )


class ParallelGzip:
    """Compress what is written, and hand it to `sink` in order; at most two blocks a thread are held.

    `level` is isal's, 0 to 3; `sink` is called from the thread that writes.
    """

    def __init__(self, sink: Callable[[bytes], object], *, level: int, threads: int) -> None:
        """Write the header, and start the threads on demand."""
        self._sink = sink
        self._level = level
        self._limit = 2 * threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="deflate")
        self._running: deque[Future[bytes]] = deque()
        self._pending = bytearray()
        self._window = b""
        self._crc = 0
        self._size = 0
        sink(_HEADER)

    def __enter__(self) -> ParallelGzip:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def write(self, data: bytes) -> None:
        """Compress `data`."""
        self._pending += data
        while len(self._pending) > _BLOCK:  # the last block stays: only `_finish` knows that it is the last
            self._submit(bytes(memoryview(self._pending)[:_BLOCK]), last=False)
            del self._pending[:_BLOCK]

    def _finish(self) -> None:
        self._submit(bytes(self._pending), last=True)
        while self._running:
            self._sink(self._running.popleft().result())
        self._sink(struct.pack("<II", self._crc, self._size & 0xFFFFFFFF))

    def _submit(self, block: bytes, *, last: bool) -> None:
        self._crc = isal_zlib.crc32(block, self._crc)
        self._size += len(block)
        self._running.append(self._pool.submit(_deflate, block, self._window, self._level, last))
        self._window = block[-_WINDOW:]
        while len(self._running) > self._limit:
            self._sink(self._running.popleft().result())


def _deflate(block: bytes, window: bytes, level: int, last: bool) -> bytes:
    method, strategy = isal_zlib.DEFLATED, isal_zlib.Z_DEFAULT_STRATEGY
    history = (window,) if window else ()  # isal takes no empty dictionary
    stream = isal_zlib.compressobj(level, method, _RAW, _MEMORY, strategy, *history)
    return stream.compress(block) + stream.flush(isal_zlib.Z_FINISH if last else isal_zlib.Z_SYNC_FLUSH)
