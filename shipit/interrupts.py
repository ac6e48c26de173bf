"""Hold Ctrl-C and SIGTERM back for the moment in which they would tear something in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_back() -> Iterator[None]:
    """Heed Ctrl-C and SIGTERM only at the end of the block, which is to be short and to wait for nobody.

    Only the main thread hears signals, and only those are held back that Python handles. Raises KeyboardInterrupt
    where one came and the block did not fail by itself.
    """
    came: list[int] = []
    heard = threading.current_thread() is threading.main_thread()
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if heard and callable(signal.getsignal(n))]
    before = {n: signal.signal(n, lambda number, frame: came.append(number)) for n in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt
